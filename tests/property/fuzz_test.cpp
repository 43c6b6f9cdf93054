// Random shapes, values, options and optional arguments, against the reference and against one plain call.
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>
#include <vector>

#include "support/dtypes.hpp"
#include "support/guarded.hpp"
#include "support/isas.hpp"
#include "support/oracle.hpp"

namespace unitvar::test {
namespace {

constexpr std::int64_t most_elements = 60000;

/// A size whose logarithm is uniform, with a liking for the neighbours of multiples of eight.
std::int64_t random_size(Random& random, std::int64_t largest) {
  auto size = static_cast<std::int64_t>(std::exp(random.uniform(0, std::log(static_cast<double>(largest) + 1))));
  if (random.coin()) size = size / 8 * 8 + random.integer(-1, 1);
  return std::clamp<std::int64_t>(size, 1, largest);
}

Extent random_extent(Random& random) {
  const std::int64_t inner = random.coin() ? 1 : random_size(random, 5000);
  const std::int64_t channels = random_size(random, std::min<std::int64_t>(2000, most_elements / inner / 2 + 1));
  const std::int64_t outer = random_size(random, std::max<std::int64_t>(1, most_elements / (inner * channels)));
  return {outer * inner == 1 ? 2 : outer, channels, inner};
}

/// Now and then an outlier, at the beginning or anywhere, and a channel that is constant.
template <class T>
void disturb(Problem<T>& p, double scale, Random& random) {
  const Extent& e = p.extent;
  const std::int64_t channel = random.integer(0, e.channels - 1);
  if (random.integer(0, 3) == 0)
    p.x[to_size(e.index(0, channel, 0))] = static_cast<T>(std::min(1e6 * scale, largest<T>));
  if (random.integer(0, 3) == 0)
    p.x[to_size(random.integer(0, e.size() - 1))] = static_cast<T>(std::max(-1e4 * scale, -largest<T>));
  if (random.integer(0, 3) != 0) return;
  for (std::int64_t k = 0; k < e.size(); ++k) {
    if (k / e.inner % e.channels == channel) p.x[to_size(k)] = static_cast<T>(0.1 * scale);
  }
}

/// Values and gradients that T can hold.
template <class T>
double random_scale(Random& random) {
  const double decades = std::is_same_v<T, f16> ? 1 : 3;
  return std::pow(10, random.uniform(-decades, decades));
}

template <class T>
Problem<T> random_problem(Random& random) {
  const ProblemSpec spec{
      .extent = random_extent(random),
      .mean_over_std = is_half<T> ? random.pick<double>({0, 1, 1e2}) : random.pick<double>({0, 1, 1e2, 1e4, 1e6}),
      .gamma = random.coin(),
      .beta = random.coin(),
      .scale = random_scale<T>(random),
      .seed = static_cast<std::uint64_t>(random.integer(0, 1 << 30))};
  Problem<T> p = make_problem<T>(spec);
  disturb(p, spec.scale, random);
  p.eps = std::pow(10, random.uniform(std::is_same_v<T, f16> ? -5 : -8, -1));
  return p;
}

Options random_options(Random& random) {
  return {.cpu = {.threads = static_cast<int>(random.integer(0, 5)),
                  .isa = random.pick(supported_isas()),
                  .walk = random.pick<Walk>({Walk::automatic, Walk::resident, Walk::streamed})}};
}

template <class T>
void check_forward(const Problem<T>& p, const ForwardResult<T>& want, const Options& options, Random& random) {
  Guarded<T> x(p.extent.size(), random.integer(0, 9)), y(p.extent.size(), random.integer(0, 9));
  x.fill_with(p.x);
  batch_norm_forward<T>(
      {.extent = p.extent, .x = x.span(), .gamma = p.gamma, .beta = p.beta, .y = y.span(), .eps = p.eps}, options);
  EXPECT_TRUE(same_bits(y.values(), want.y));
  EXPECT_TRUE(y.guards_intact());
}

template <class T>
void check_backward(const Problem<T>& p, const ForwardResult<T>& f, const BackwardResult<T>& want,
                    const Options& options, Random& random) {
  Guarded<T> dx(p.extent.size(), random.integer(0, 9));
  Guarded<param_t<T>> dgamma(p.extent.channels, random.integer(0, 9)), dbeta(p.extent.channels, random.integer(0, 9));
  const bool in_place = random.coin();
  dx.fill_with(p.dy);
  batch_norm_backward<T>({.extent = p.extent,
                          .x = p.x,
                          .dy = in_place ? std::span<const T>(dx.span()) : std::span<const T>(p.dy),
                          .mean = f.mean,
                          .rstd = f.rstd,
                          .gamma = p.gamma,
                          .dx = dx.span(),
                          .dgamma = random.coin() ? dgamma.span() : std::span<param_t<T>>{},
                          .dbeta = random.coin() ? dbeta.span() : std::span<param_t<T>>{}},
                         options);
  EXPECT_TRUE(same_bits(dx.values(), want.dx));
  EXPECT_TRUE(dgamma.untouched() || same_bits(dgamma.values(), want.dgamma));
  EXPECT_TRUE(dbeta.untouched() || same_bits(dbeta.values(), want.dbeta));
  EXPECT_TRUE(dx.guards_intact() && dgamma.guards_intact() && dbeta.guards_intact());
}

template <class T>
void check_one(Random& random) {
  const Problem<T> p = random_problem<T>(random);
  SCOPED_TRACE(describe(p.extent));
  const Expected<T> e = expected(p);
  const ForwardResult<T> f = run_forward(p, {.cpu = {.threads = 1}});
  const BackwardResult<T> b = run_backward(p, f.mean, f.rstd, {.cpu = {.threads = 1}});
  expect_y_relative_to_terms(f.y, e);
  expect_gradients_relative_to_terms(b, e);
  for (int k = 0; k < 3; ++k) {
    const Options options = random_options(random);
    SCOPED_TRACE(describe(options));
    check_forward(p, f, options, random);
    check_backward(p, f, b, options, random);
  }
}

template <class T>
class Fuzz : public ::testing::Test {};
TYPED_TEST_SUITE(Fuzz, AllDtypes);

TYPED_TEST(Fuzz, RandomProblemsMatchTheReferenceWithOneSetOfBits) {
  const std::uint64_t seed = fuzz_seed();
  std::cout << "UNITVAR_TEST_SEED=" << seed << '\n';
  Random random(seed);
  for (int round = 0; round < 300 && !this->HasFailure(); ++round) {
    SCOPED_TRACE("UNITVAR_TEST_SEED=" + std::to_string(seed) + ", round " + std::to_string(round));
    check_one<TypeParam>(random);
  }
}

}  // namespace
}  // namespace unitvar::test
