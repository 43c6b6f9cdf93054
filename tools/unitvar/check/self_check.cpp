#include "check/self_check.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "common/standard_streams.hpp"
#include "unitvar/gradcheck.hpp"
#include "unitvar/reference.hpp"
#include "unitvar/unitvar.hpp"

namespace unitvar::check {
namespace {

using std::int64_t;
using Doubles = std::vector<double>;

constexpr double kEps = 1e-5;

/// Random values in the storage type, as they are and in double.
template <class T>
struct Tensor {
  std::vector<T> values;
  Doubles exact;

  Tensor(int64_t elements, double mean, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal(mean, 1);
    for (int64_t i = 0; i < elements; ++i) {
      values.push_back(T(static_cast<float>(normal(random))));
      exact.push_back(static_cast<double>(values.back()));
    }
  }
};

template <class T>
Doubles doubles(const std::vector<T>& values) {
  Doubles out;
  for (const T v : values) out.push_back(static_cast<double>(v));
  return out;
}

/// What is computed of one operation, in the storage type; what is right; and how long a dgamma is.
template <class T>
struct Layer {
  Tensor<T> x, dy;
  Tensor<param_t<T>> gamma, beta;
  std::vector<T> y, dx;
  std::vector<param_t<T>> dgamma, dbeta;

  Layer(int64_t elements, int64_t parameters)
      : x(elements, 3, 1),
        dy(elements, 0.5, 2),
        gamma(parameters, 1, 3),
        beta(parameters, 0, 4),
        y(x.values.size()),
        dx(x.values.size()),
        dgamma(gamma.values.size()),
        dbeta(gamma.values.size()) {}

  /// Runs a forward and a backward whose extents are set. `groups` is the number of means.
  template <class Forward, class Backward>
  void run(Forward forward, Backward backward, int64_t groups, const auto& run_forward, const auto& run_backward) {
    Doubles mean(static_cast<std::size_t>(groups)), rstd = mean;
    forward.x = backward.x = x.values;
    forward.gamma = backward.gamma = gamma.values;
    forward.beta = beta.values;
    forward.y = y;
    forward.mean = mean, forward.rstd = rstd;
    backward.mean = mean, backward.rstd = rstd;
    backward.dy = dy.values;
    backward.dx = dx, backward.dgamma = dgamma, backward.dbeta = dbeta;
    run_forward(forward);
    run_backward(backward);
  }

  /// The largest error, and the bits of all results.
  double compare(const Doubles& right_y, const reference::Gradients<double>& right,
                 std::vector<std::byte>& bits) const {
    const auto keep = [&](const auto& t) {
      const auto bytes = std::as_bytes(std::span(t));
      bits.insert(bits.end(), bytes.begin(), bytes.end());
    };
    keep(y), keep(dx), keep(dgamma), keep(dbeta);
    return std::max({l2_error(doubles(y), right_y), l2_error(doubles(dx), right.dx),
                     l2_error(doubles(dgamma), right.dgamma), l2_error(doubles(dbeta), right.dbeta)});
  }
};

template <class T>
double batch_norm_error(const Extent& extent, const unitvar::Options& options, std::vector<std::byte>& bits) {
  Layer<T> l(extent.size(), extent.channels);
  BatchNormForward<T> forward;
  BatchNormBackward<T> backward;
  forward.extent = backward.extent = extent;
  l.run(
      forward, backward, extent.channels, [&](const auto& a) { batch_norm_forward<T>(a, options); },
      [&](const auto& a) { batch_norm_backward<T>(a, options); });
  const auto right = reference::forward<double>(extent, l.x.exact, l.gamma.exact, l.beta.exact, kEps);
  return l.compare(right.y, reference::backward<double>(right.cache, l.dy.exact), bits);
}

template <class T>
double group_norm_error(const Groups& groups, const unitvar::Options& options, std::vector<std::byte>& bits) {
  Layer<T> l(groups.extent.size(), groups.extent.channels);
  GroupNormForward<T> forward;
  GroupNormBackward<T> backward;
  forward.groups = backward.groups = groups;
  l.run(
      forward, backward, groups.size(), [&](const auto& a) { group_norm_forward<T>(a, options); },
      [&](const auto& a) { group_norm_backward<T>(a, options); });
  const auto right = reference::group_norm_forward<double>(groups, l.x.exact, l.gamma.exact, l.beta.exact, kEps);
  return l.compare(right.y, reference::group_norm_backward<double>(right.cache, l.dy.exact), bits);
}

template <class T>
double layer_norm_error(const RowExtent& extent, const unitvar::Options& options, std::vector<std::byte>& bits) {
  Layer<T> l(extent.size(), extent.length);
  LayerNormForward<T> forward;
  LayerNormBackward<T> backward;
  forward.extent = backward.extent = extent;
  l.run(
      forward, backward, extent.rows, [&](const auto& a) { layer_norm_forward<T>(a, options); },
      [&](const auto& a) { layer_norm_backward<T>(a, options); });
  const auto right = reference::layer_norm_forward<double>(extent, l.x.exact, l.gamma.exact, l.beta.exact, kEps);
  return l.compare(right.y, reference::row_norm_backward<double>(right.cache, l.dy.exact), bits);
}

/// Errors up to this are promised (docs/numerics.md): 3e-7 in float, and half a last digit in 16 bits. In double, what
/// a mean of three standard deviations leaves.
template <class T>
double promised() {
  if constexpr (std::is_same_v<T, double>) {
    return 1e-13;
  } else if constexpr (std::is_same_v<T, float>) {
    return 3e-7;
  } else {
    return 0.5 / static_cast<double>(1 << T::mantissa_bits);
  }
}

struct Row {
  double batch, group, layer, limit;
  std::vector<std::byte> bits;
};

template <class T>
Row row_of(Isa isa) {
  const unitvar::Options options{.cpu = {.isa = isa}};
  Row row{0, 0, 0, promised<T>(), {}};
  for (const Extent& extent : {Extent::nchw(8, 13, 14, 14), Extent::nhwc(8, 7, 7, 40), Extent::nchw(3, 5, 70, 70)})
    row.batch = std::max(row.batch, batch_norm_error<T>(extent, options, row.bits));
  row.group = group_norm_error<T>(Groups{Extent::nchw(4, 12, 9, 9), 4, 3}, options, row.bits);
  row.layer = layer_norm_error<T>({60, 257}, options, row.bits);
  return row;
}

/// Of the reference's own gradients, from differences of its forward.
double numeric_error() {
  const Extent extent = Extent::nchw(3, 2, 2, 3);
  Tensor<double> x(extent.size(), 1, 5), dy(extent.size(), 0.5, 6), gamma(2, 1, 7), beta(2, 0, 8);
  const auto f = [&](std::span<const double> at, std::span<double> y) {
    const auto right = reference::forward<double>(extent, at, gamma.exact, beta.exact, kEps);
    std::copy(right.y.begin(), right.y.end(), y.begin());
  };
  const NumericGradient numeric = numeric_vjp(f, x.exact, dy.exact);
  const auto forward = reference::forward<double>(extent, x.exact, gamma.exact, beta.exact, kEps);
  return l2_error(reference::backward<double>(forward.cache, dy.exact).dx, numeric.value);
}

template <class T>
bool check_dtype() {
  bool all = true;
  std::vector<std::byte> first;
  for (const Isa isa : supported_isas()) {
    const Row row = row_of<T>(isa);
    if (first.empty()) first = row.bits;
    const bool same = row.bits == first, right = std::max({row.batch, row.group, row.layer}) <= row.limit;
    tool::print(fmt::format("{:6}{:10}{:<12.1e}{:<12.1e}{:<12.1e}{:<10.0e}{}{}\n", DtypeTraits<T>::name, isa_name(isa),
                            row.batch, row.group, row.layer, row.limit, right ? "right" : "WRONG",
                            same ? "" : ", OTHER BITS"));
    all = all && right && same;
  }
  return all;
}

}  // namespace

int check_self() {
  tool::print("The largest error of y, dx, dgamma and dbeta (relative, L2 norm), and what is promised:\n\n");
  tool::print(fmt::format("{:6}{:10}{:12}{:12}{:12}{:10}\n", "dtype", "isa", "batch norm", "group norm", "layer norm",
                          "promised"));
  bool all = check_dtype<float>();
  all = check_dtype<double>() && all;
  all = check_dtype<bf16>() && all;
  all = check_dtype<f16>() && all;
  const double numeric = numeric_error();
  constexpr double kNumeric = 1e-10;
  tool::print(fmt::format("\nThe reference's dx, from numeric differentiation: {:.1e}, want at most {:.0e}: {}\n",
                          numeric, kNumeric, numeric <= kNumeric ? "right" : "WRONG"));
  all = all && numeric <= kNumeric;
  tool::print(all ? "All is right on this machine; each dtype has the same bits on all instruction sets.\n"
                  : "Something is WRONG on this machine: please report it.\n");
  return all ? 0 : 1;
}

}  // namespace unitvar::check
