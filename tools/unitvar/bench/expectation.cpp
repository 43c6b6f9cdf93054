#include "bench/expectation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace unitvar::bench {
namespace {

// About what the reference computes in a tenth of a second.
constexpr std::int64_t enough_values = std::int64_t{2} << 20;
constexpr std::int64_t fewest_channels = 4;

}  // namespace

double relative_error(std::span<const double> actual, std::span<const double> expected, std::span<const double> scale) {
  double error = 0, size = 0;
  for (std::size_t k = 0; k < expected.size(); ++k) {
    const double d = actual[k] - expected[k];
    error += d * d;
    size += scale[k] * scale[k];
  }
  if (error == 0) return 0;
  const double relative = std::sqrt(error / size);
  return std::isnan(relative) ? std::numeric_limits<double>::infinity() : relative;
}

void require_near(const std::string& who, const char* what, std::span<const double> actual,
                  std::span<const double> expected, std::span<const double> scale, double tolerance) {
  const double error = relative_error(actual, expected, scale);
  if (error <= tolerance) return;
  throw tool::Failure("{}: relative L2 error of {} is {:.3g}, want at most {:.3g}", who, what, error, tolerance);
}

std::vector<std::int64_t> judged_channels(const Extent& extent) {
  const std::int64_t affordable = std::max(fewest_channels, enough_values / std::max<std::int64_t>(1, extent.count()));
  const std::int64_t judged = std::min(extent.channels, affordable);
  std::vector<std::int64_t> channels;
  for (std::int64_t k = 0; k < judged; ++k) {
    channels.push_back(judged == 1 ? 0 : k * (extent.channels - 1) / (judged - 1));
  }
  return channels;
}

}  // namespace unitvar::bench
