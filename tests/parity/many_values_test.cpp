// Channels of more than 2^24 values: beyond that a float cannot even count them.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "support/shapes.hpp"
#include "support/tolerance.hpp"
#include "unitvar/batch_norm.hpp"

namespace unitvar::test {
namespace {

constexpr std::int64_t count = (std::int64_t{1} << 24) + 3;
constexpr double eps = 1e-5;

/// About normal, from a hash of the element's number: the data need not be kept to be judged.
double noise(std::int64_t k, std::uint64_t stream) {
  std::uint64_t z = static_cast<std::uint64_t>(k + 1) * 0x9E3779B97F4A7C15U + stream * 0xD1B54A32D192ED03U;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return (static_cast<double>(z & 0xffffffff) + static_cast<double>(z >> 32)) * 0x1p-32 - 1;
}

float dy_at(std::int64_t k) { return static_cast<float>(0.5 + noise(k, 2)); }

/// Sums of one channel, in long double.
struct Sums {
  long double x = 0, m2 = 0, dy = 0, dy_xmu = 0;
};

/// |actual - expected| / |expected|, element by element.
struct RelativeError {
  double error = 0, size = 0;
  void add(double actual, double expected) {
    error += (actual - expected) * (actual - expected);
    size += expected * expected;
  }
  [[nodiscard]] double value() const { return std::sqrt(error / size); }
};

class ManyValues {
 public:
  explicit ManyValues(const Extent& extent)
      : extent_(extent), sums_(to_size(extent.channels)), x_(to_size(extent.size())), other_(x_.size()) {
    for (std::int64_t k = 0; k < extent.size(); ++k) x_[to_size(k)] = static_cast<float>(0.3 + 3 * noise(k, 1));
    for_each([&](std::int64_t k, Sums& s) { s.x += static_cast<long double>(x_[to_size(k)]); });
    for_each([&](std::int64_t k, Sums& s) {
      const long double d = x_[to_size(k)] - s.x / count;
      s.m2 += d * d;
      s.dy += static_cast<long double>(dy_at(k));
      s.dy_xmu += d * static_cast<long double>(dy_at(k));
    });
  }

  void expect_promise_kept() {
    batch_norm_forward<float>({.extent = extent_, .x = x_, .y = other_, .mean = mean_, .rstd = rstd_, .eps = eps});
    RelativeError y;
    for_each([&](std::int64_t k, const Sums& s) { y.add(static_cast<double>(other_[to_size(k)]), x_hat(k, s)); });
    EXPECT_LE(y.value(), tolerance<float>(Quantity::y, 0));

    std::vector<float>& dy = other_;
    for (std::int64_t k = 0; k < extent_.size(); ++k) dy[to_size(k)] = dy_at(k);
    std::vector<float> dgamma(sums_.size()), dbeta(sums_.size());
    batch_norm_backward<float>({.extent = extent_,
                                .x = x_,
                                .dy = dy,
                                .mean = mean_,
                                .rstd = rstd_,
                                .dx = dy,
                                .dgamma = dgamma,
                                .dbeta = dbeta});
    RelativeError dx;
    for_each([&](std::int64_t k, const Sums& s) { dx.add(static_cast<double>(other_[to_size(k)]), dx_at(k, s)); });
    EXPECT_LE(dx.value(), tolerance<float>(Quantity::dx, 0));
    expect_parameter_gradients(dgamma, dbeta);
  }

 private:
  template <class Body>
  void for_each(const Body& body) {
    for (std::int64_t k = 0; k < extent_.size(); ++k) {
      body(k, sums_[to_size(k / extent_.inner % extent_.channels)]);
    }
  }

  static double rstd_of(const Sums& s) {
    return static_cast<double>(1 / std::sqrt(s.m2 / count + static_cast<long double>(eps)));
  }
  [[nodiscard]] double x_hat(std::int64_t k, const Sums& s) const {
    return (static_cast<double>(x_[to_size(k)]) - static_cast<double>(s.x / count)) * rstd_of(s);
  }
  [[nodiscard]] double dx_at(std::int64_t k, const Sums& s) const {
    const double rstd = rstd_of(s);
    const auto mean_dy = static_cast<double>(s.dy / count), slope = static_cast<double>(s.dy_xmu / count) * rstd;
    return rstd * (static_cast<double>(dy_at(k)) - mean_dy - x_hat(k, s) * slope);
  }

  void expect_parameter_gradients(const std::vector<float>& dgamma, const std::vector<float>& dbeta) const {
    RelativeError of_dgamma, of_dbeta;
    for (std::size_t c = 0; c < sums_.size(); ++c) {
      of_dgamma.add(static_cast<double>(dgamma[c]), static_cast<double>(sums_[c].dy_xmu) * rstd_of(sums_[c]));
      of_dbeta.add(static_cast<double>(dbeta[c]), static_cast<double>(sums_[c].dy));
    }
    EXPECT_LE(of_dgamma.value(), tolerance<float>(Quantity::dgamma, 0));
    EXPECT_LE(of_dbeta.value(), tolerance<float>(Quantity::dbeta, 0));
  }

  Extent extent_;
  std::vector<Sums> sums_;
  std::vector<float> x_, other_;  ///< other_: y, then dy and dx in one place
  std::vector<double> mean_ = std::vector<double>(sums_.size()), rstd_ = mean_;
};

TEST(ManyValues, OfAPlanarChannelKeepThePromise) { ManyValues({1, 1, count}).expect_promise_kept(); }

TEST(ManyValues, OfInterleavedChannelsKeepThePromise) { ManyValues({count, 2, 1}).expect_promise_kept(); }

}  // namespace
}  // namespace unitvar::test
