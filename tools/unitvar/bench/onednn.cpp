// Built where oneDNN was found; onednn_absent.cpp stands in elsewhere.
#if UNITVAR_ONEDNN
#include "bench/onednn.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <unordered_map>

#include "bench/element_order.hpp"
#include "bench/onednn_descriptors.hpp"
#include "bench/onednn_types.hpp"

namespace unitvar::bench {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

struct Format {
  const char* name;
  Tag tag;
  std::int64_t block;  // channels beside each other; 0: all
};

constexpr Format plain_formats[] = {{"nchw", Tag::nchw, 1}, {"nhwc", Tag::nhwc, 0}};
constexpr Format blocked_formats[] = {{"nChw16c", Tag::nChw16c, 16}, {"nChw8c", Tag::nChw8c, 8}};

// Depth counts as height: normalization does not care.
memory::dims dims_of(const Shape& s) { return {s.n, s.c, s.d * s.h, s.w}; }

Descriptors descriptors(Pass pass, const memory::desc& tensor, const dnnl::engine& engine) {
  return describe(pass, tensor, static_cast<float>(eps), engine);
}

// A dnnl::memory on memory of our own, aligned and paged as that of the problem.
struct Tensor {
  Buffer<std::byte> bytes;
  memory view;

  Tensor(const memory::desc& desc, const dnnl::engine& engine)
      : bytes(desc.get_size()), view(desc, engine, bytes.data()) {
    std::memset(bytes.data(), 0, bytes.bytes());  // Touched, and the padding of blocked formats is zero.
  }
};

// The three tensors of a pass in one format.
struct Place {
  Format format;
  memory::desc desc;
  std::vector<Tensor> own;  // x, dy, out; empty where the problem's memory serves
  memory x, dy, out;
};

}  // namespace

struct Onednn::Implementation {
  explicit Implementation(OnednnProblem of) : problem(std::move(of)) {
    const bool first = problem.layout == Layout::channels_first;
    places.push_back(place_on_problem(plain_formats[first ? 0 : 1]));
    places.push_back(place_of_copies(plain_formats[first ? 1 : 0]));
    for (const Format& format : blocked_formats) {
      if (worthwhile(format)) places.push_back(place_of_copies(format));
    }
    dgamma.resize(problem.gamma.size());
    dbeta.resize(problem.gamma.size());
  }

  [[nodiscard]] memory::desc desc_of(const Format& format) const {
    return {dims_of(problem.shape), *onednn_type(problem.dtype), format.tag};
  }

  // oneDNN has its fast code for the block size of its instruction set, and reference loops for others.
  [[nodiscard]] bool worthwhile(const Format& format) const {
    try {
      const std::string name = descriptors(Pass::forward, desc_of(format), engine).forward.impl_info_str();
      return name.find("ref:") == std::string::npos;
    } catch (const dnnl::error&) {
      return false;
    }
  }

  [[nodiscard]] Place place_on_problem(const Format& format) const {
    const memory::desc desc = desc_of(format);
    return {format,
            desc,
            {},
            memory(desc, engine, problem.x),
            memory(desc, engine, problem.dy),
            memory(desc, engine, problem.out)};
  }

  Place place_of_copies(const Format& format) {
    Place place{format, desc_of(format), {}, {}, {}, {}};
    for (int k = 0; k < 3; ++k) place.own.emplace_back(place.desc, engine);
    place.x = place.own[0].view;
    place.dy = place.own[1].view;
    place.out = place.own[2].view;
    copy(problem.x, places.front(), place.own[0].bytes.data(), place);
    copy(problem.dy, places.front(), place.own[1].bytes.data(), place);
    return place;
  }

  [[nodiscard]] ElementOrder order_of(const Place& place) const {
    return {problem.shape, place.format.block == 0 ? problem.shape.c : place.format.block};
  }

  void copy(const void* from, const Place& from_place, void* to, const Place& to_place) const {
    copy_elements(from, order_of(from_place), to, order_of(to_place),
                  memory::data_type_size(*onednn_type(problem.dtype)));
  }

  [[nodiscard]] memory vector_of(std::vector<float>& values) const {
    const memory::desc desc({problem.shape.c}, memory::data_type::f32, Tag::x);
    return {desc, engine, values.data()};
  }

  std::unordered_map<int, memory> arguments(const Place& place, Pass pass) {
    std::unordered_map<int, memory> args = {{DNNL_ARG_SRC, place.x}, {DNNL_ARG_SCALE, vector_of(problem.gamma)}};
    if (pass != Pass::backward || backward_takes_shift) args[DNNL_ARG_SHIFT] = vector_of(problem.beta);
    const bool inference = pass == Pass::inference;
    args[DNNL_ARG_MEAN] = vector_of(inference ? problem.running_mean : pass == Pass::forward ? mean : problem.mean);
    args[DNNL_ARG_VARIANCE] = vector_of(inference ? problem.running_var : pass == Pass::forward ? var : problem.var);
    if (pass == Pass::backward) {
      args[DNNL_ARG_DIFF_DST] = place.dy;
      args[DNNL_ARG_DIFF_SRC] = place.out;
      args[DNNL_ARG_DIFF_SCALE] = vector_of(dgamma);
      args[DNNL_ARG_DIFF_SHIFT] = vector_of(dbeta);
    } else {
      args[DNNL_ARG_DST] = place.out;
    }
    return args;
  }

  Work work(const Place& place, Pass pass) {
    const Descriptors of = descriptors(pass, place.desc, engine);
    const dnnl::primitive primitive = of.backward ? dnnl::primitive(dnnl::batch_normalization_backward(*of.backward))
                                                  : dnnl::primitive(dnnl::batch_normalization_forward(of.forward));
    return [this, primitive, args = arguments(place, pass)] {
      primitive.execute(stream, args);
      stream.wait();
    };
  }

  OnednnProblem problem;
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  mutable dnnl::stream stream{engine};
  std::vector<Place> places;
  std::vector<float> dgamma, dbeta;
  std::vector<float> mean = std::vector<float>(problem.gamma.size()), var = mean;  // what its forward saves
};

bool onednn_available() { return true; }

std::string onednn_version() {
  const dnnl::version_t* version = dnnl::version();
  return fmt::format("oneDNN {}.{}.{}", version->major, version->minor, version->patch);
}

bool onednn_supports(std::string_view dtype) {
  if (!onednn_type(dtype)) return false;
  try {
    const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    (void)descriptors(Pass::backward, {{2, 16, 2, 2}, *onednn_type(dtype), Tag::nchw}, engine);
    return true;
  } catch (const dnnl::error&) {
    return false;  // bf16 and f16 need instructions that not every machine has.
  }
}

Onednn::Onednn(OnednnProblem problem) : implementation_(std::make_unique<Implementation>(std::move(problem))) {}
Onednn::~Onednn() = default;

void Onednn::set_statistics(const std::vector<double>& mean, const std::vector<double>& var) {
  const auto round = [](double value) { return static_cast<float>(value); };
  std::ranges::transform(mean, implementation_->problem.mean.begin(), round);
  std::ranges::transform(var, implementation_->problem.var.begin(), round);
}

std::vector<OnednnRival> Onednn::rivals(Pass pass) const {
  Implementation& all = *implementation_;
  std::vector<OnednnRival> rivals;
  for (const Place& place : all.places) {
    const bool same = place.own.empty();
    const Work fetch = [&all, &place, same] {
      if (!same) all.copy(place.own[2].bytes.data(), place, all.problem.out, all.places.front());
    };
    rivals.push_back({{place.format.name, all.work(place, pass)}, same, fetch, all.dgamma.data(), all.dbeta.data()});
  }
  return rivals;
}

}  // namespace unitvar::bench
#endif
