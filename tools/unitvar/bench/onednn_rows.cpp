// Built where oneDNN was found; in other programs nobody makes one.
#include "bench/onednn_rows.hpp"

#include "bench/problem.hpp"

#if UNITVAR_ONEDNN
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

#include "bench/onednn_types.hpp"

namespace unitvar::bench {
namespace {

using dnnl::memory;
using Forward = dnnl::layer_normalization_forward;
using Backward = dnnl::layer_normalization_backward;

constexpr auto small = static_cast<float>(eps);

dnnl::normalization_flags parameters() {
  return dnnl::normalization_flags::use_scale | dnnl::normalization_flags::use_shift;
}

Forward::primitive_desc describe_forward(const memory::desc& tensor, const dnnl::engine& engine) {
  const auto kind = dnnl::prop_kind::forward_training;
#if DNNL_VERSION_MAJOR >= 3
  return {engine, kind, tensor, tensor, small, parameters()};
#else
  return {{kind, tensor, small, parameters()}, engine};
#endif
}

Backward::primitive_desc describe_backward(const memory::desc& tensor, const dnnl::engine& engine) {
  const auto kind = dnnl::prop_kind::backward;
#if DNNL_VERSION_MAJOR >= 3
  return {engine, kind, tensor, tensor, tensor, small, parameters(), describe_forward(tensor, engine)};
#else
  return {{kind, tensor, tensor, small, parameters()}, engine, describe_forward(tensor, engine)};
#endif
}

}  // namespace

struct OnednnRows::Implementation {
  explicit Implementation(OnednnRowProblem of)
      : problem(std::move(of)), dgamma(problem.gamma.size()), dbeta(problem.gamma.size()) {
    const auto [rows, length] = problem.extent;
    mean.resize(static_cast<std::size_t>(rows));
    var.resize(mean.size());
    const memory::desc tensor({rows, length}, *onednn_type(problem.dtype), memory::format_tag::ab);
    const auto of_tensor = [&](void* data) { return memory(tensor, engine, data); };
    const auto of_floats = [&](std::vector<float>& values) {
      const memory::desc desc({static_cast<std::int64_t>(values.size())}, memory::data_type::f32,
                              memory::format_tag::a);
      return memory(desc, engine, values.data());
    };
    forward = Forward(describe_forward(tensor, engine));
    backward = Backward(describe_backward(tensor, engine));
    common = {{DNNL_ARG_SRC, of_tensor(problem.x)},      {DNNL_ARG_MEAN, of_floats(mean)},
              {DNNL_ARG_VARIANCE, of_floats(var)},       {DNNL_ARG_SCALE, of_floats(problem.gamma)},
              {DNNL_ARG_SHIFT, of_floats(problem.beta)}, {DNNL_ARG_DST, of_tensor(problem.out)}};
    gradients = {{DNNL_ARG_DIFF_DST, of_tensor(problem.dy)},
                 {DNNL_ARG_DIFF_SRC, of_tensor(problem.out)},
                 {DNNL_ARG_DIFF_SCALE, of_floats(dgamma)},
                 {DNNL_ARG_DIFF_SHIFT, of_floats(dbeta)}};
    gradients.insert(common.begin(), common.end());
    gradients.erase(DNNL_ARG_DST);
    if (DNNL_VERSION_MAJOR >= 3) gradients.erase(DNNL_ARG_SHIFT);
  }

  OnednnRowProblem problem;
  std::vector<float> dgamma, dbeta, mean, var;
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  Forward forward;
  Backward backward;
  std::unordered_map<int, memory> common, gradients;
};

OnednnRows::OnednnRows(OnednnRowProblem problem)
    : implementation_(std::make_unique<Implementation>(std::move(problem))) {}

void OnednnRows::run(Pass pass) {
  Implementation& all = *implementation_;
  if (pass == Pass::backward) {
    all.backward.execute(all.stream, all.gradients);
  } else {
    all.forward.execute(all.stream, all.common);
  }
  all.stream.wait();
}

std::span<const float> OnednnRows::dgamma() const { return implementation_->dgamma; }
std::span<const float> OnednnRows::dbeta() const { return implementation_->dbeta; }

}  // namespace unitvar::bench
#else
namespace unitvar::bench {

struct OnednnRows::Implementation {};

OnednnRows::OnednnRows(OnednnRowProblem) {}  // NOLINT(performance-unnecessary-value-param): as where oneDNN is
void OnednnRows::run(Pass) {}
std::span<const float> OnednnRows::dgamma() const { return {}; }
std::span<const float> OnednnRows::dbeta() const { return {}; }

}  // namespace unitvar::bench
#endif

namespace unitvar::bench {

OnednnRows::~OnednnRows() = default;

}  // namespace unitvar::bench
