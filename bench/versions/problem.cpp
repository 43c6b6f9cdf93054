#include "bench/versions/problem.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string_view>

#include "bench/data.hpp"
#include "bench/suites.hpp"
#include "common/failure.hpp"
#include "unitvar/dtype.hpp"

namespace unitvar::versions {
namespace {

constexpr std::array<std::string_view, 4> dtype_names = {"f32", "f64", "bf16", "f16"};
constexpr std::array<std::string_view, 4> op_names = {"batch_norm", "layer_norm", "rms_norm", "group_norm"};
constexpr std::array<std::string_view, 3> pass_names = {"forward", "inference", "backward"};
constexpr std::int64_t groups_of_a_sample = 32;

Dtype dtype_of(const std::string& name) {
  const auto* const found = std::find(dtype_names.begin(), dtype_names.end(), name);
  if (found == dtype_names.end()) throw tool::Failure("--dtype is '{}', want f32, f64, bf16 or f16", name);
  return static_cast<Dtype>(found - dtype_names.begin());
}

template <class T>
std::vector<unsigned char> bytes_of(const std::vector<double>& values) {
  std::vector<unsigned char> bytes(values.size() * sizeof(T));
  for (std::size_t k = 0; k < values.size(); ++k) {
    const T value = static_cast<T>(values[k]);
    std::memcpy(bytes.data() + k * sizeof(T), &value, sizeof(T));
  }
  return bytes;
}

/// Normal values as elements of a dtype.
std::vector<unsigned char> elements(Dtype dtype, std::int64_t size, double mean, std::uint64_t seed) {
  const auto values = bench::random_values<double>(size, mean, 1, seed);
  switch (dtype) {
    case Dtype::f64:
      return bytes_of<double>(values);
    case Dtype::bf16:
      return bytes_of<bf16>(values);
    case Dtype::f16:
      return bytes_of<f16>(values);
    default:
      return bytes_of<float>(values);
  }
}

std::size_t bytes_per_element(Dtype dtype) {
  return dtype == Dtype::f64 ? sizeof(double) : dtype == Dtype::f32 ? sizeof(float) : sizeof(bf16);
}

}  // namespace

Problem::Problem(std::string suite, const bench::Shape& shape, Op op, bench::Layout layout, Dtype dtype, int threads)
    : suite_(std::move(suite)),
      layout_(bench::layout_name(layout)),
      text_(fmt::format("{} {}", op_names[static_cast<std::size_t>(op)], bench::shape_text(shape))),
      call_{} {
  const Extent e = bench::extent_of(shape, layout);
  const bool of_rows = op == Op::layer_norm || op == Op::rms_norm;
  call_.op = op, call_.dtype = dtype, call_.threads = threads;
  call_.outer = e.outer, call_.channels = e.channels, call_.inner = e.inner;
  call_.sample_rows = layout == bench::Layout::channels_last ? shape.points() : 1;
  call_.groups = groups_of_a_sample;
  call_.parameters = e.channels;
  call_.statistics = of_rows ? e.outer : op == Op::group_norm ? shape.n * groups_of_a_sample : e.channels;

  const Dtype parameters = dtype == Dtype::f64 ? Dtype::f64 : Dtype::f32;
  x_ = elements(dtype, e.size(), 0.5, 1), dy_ = elements(dtype, e.size(), 0.1, 2);
  gamma_ = elements(parameters, e.channels, 1, 3), beta_ = elements(parameters, e.channels, 0, 4);
  call_.x = x_.data(), call_.dy = dy_.data(), call_.gamma = gamma_.data(), call_.beta = beta_.data();

  const auto result = [&](std::size_t count, std::size_t bytes) {
    results_.emplace_back(count * bytes);
    return results_.back().data();
  };
  const auto size = static_cast<std::size_t>(e.size()), channels = static_cast<std::size_t>(e.channels),
             statistics = static_cast<std::size_t>(call_.statistics);
  results_.reserve(7);
  call_.y = result(size, bytes_per_element(dtype)), call_.dx = result(size, bytes_per_element(dtype));
  call_.dgamma = result(channels, bytes_per_element(parameters));
  call_.dbeta = result(channels, bytes_per_element(parameters));
  for (double** const p : {&call_.mean, &call_.var, &call_.rstd}) {
    *p = reinterpret_cast<double*>(result(statistics, sizeof(double)));
  }
}

std::string Problem::group() const {
  return fmt::format("{}, {}, {}, {}", suite_, layout_, dtype_names[static_cast<std::size_t>(call_.dtype)],
                     pass_names[static_cast<std::size_t>(call_.pass)]);
}

/// The statistics stay: they are what later passes read.
void Problem::clear_results() {
  for (std::size_t k = 0; k < 4; ++k) std::fill(results_[k].begin(), results_[k].end(), std::uint8_t{0});
}

/// FNV-1a by words: every array is of at least one word's multiple, or has its last bytes hashed one by one.
std::uint64_t Problem::hash_of_results() const {
  std::uint64_t hash = 14695981039346656037U;
  for (const Bytes& bytes : results_) {
    std::size_t k = 0;
    for (std::uint64_t word = 0; k + sizeof(word) <= bytes.size(); k += sizeof(word)) {
      std::memcpy(&word, bytes.data() + k, sizeof(word));
      hash = std::rotl((hash ^ word) * 1099511628211U, 29);
    }
    for (; k < bytes.size(); ++k) hash = (hash ^ bytes[k]) * 1099511628211U;
  }
  return hash;
}

void for_each_problem(const std::string& suite_name, const std::string& dtype_name, int threads,
                      const std::function<void(Problem&)>& body) {
  using bench::Layout;
  const bench::Suite suite = bench::find_suite(suite_name);
  const Dtype dtype = dtype_of(dtype_name);
  const bool of_rows = suite.name == "rows", of_groups = suite.name == "groups";
  std::vector<Op> ops = {of_groups ? Op::group_norm : Op::batch_norm};
  if (of_rows) ops = {Op::layer_norm, Op::rms_norm};
  std::vector<Layout> layouts = {Layout::channels_first, Layout::channels_last};
  if (of_rows) layouts = {Layout::channels_last};
  for (const bench::Shape& shape : suite.shapes) {
    for (const Op op : ops) {
      for (const Layout layout : layouts) {
        Problem problem(suite.name, shape, op, layout, dtype, threads);
        for (const Pass pass : {Pass::forward, Pass::inference, Pass::backward}) {
          if (pass == Pass::inference && op != Op::batch_norm) continue;
          problem.set_pass(pass);
          body(problem);
        }
      }
    }
  }
}

}  // namespace unitvar::versions
