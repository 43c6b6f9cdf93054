#include <gtest/gtest.h>

#include "gradient/differences.hpp"

/// (B58) to (B61), (B67) to (B72): in place, ghost batches, batch renormalization, folding.
namespace unitvar::test {
namespace {

using namespace reference;

/// all gammas away from 0: where one is 0, y does not tell x_hat.
Case<double> invertible(const Extent& e, double eps) {
  auto c = make_case<double>(e, 10, eps);
  for (double& g : c.gamma) g = g == 0 ? -0.75 : g;
  return c;
}

TEST(InPlace, B58B59NormalizedComesBackFromTheOutput) {
  for (const Extent& e : small_extents()) {
    const auto c = invertible(e, 1e-3);
    for (const double slope : {1.0, 0.01}) {
      const auto f = fused_forward<double>(c.extent, c.x, c.gamma, c.beta, c.eps, {}, slope);
      EXPECT_LE(relative_l2(recover_x_hat<double>(e, f.y, c.gamma, c.beta, slope), f.cache.x_hat), 1e-14) << c;
    }
  }
}

TEST(InPlace, B60BackwardFromTheOutputIsTheBackward) {
  for (const Extent& e : small_extents()) {
    for (const double eps : {1e-3, 0.5}) {
      const auto c = as_case<long double>(invertible(e, eps));
      for (const long double slope : {1.0L, 0.01L}) {
        const auto f = fused_forward<long double>(c.extent, c.x, c.gamma, c.beta, c.eps, {}, slope);
        const auto g = fused_backward<long double>(f.cache, f.mask, slope, c.dy);
        const auto from_y = backward_from_output<long double>(e, f.y, f.cache.rstd, c.gamma, c.beta, slope, c.dy);
        EXPECT_LE(relative_l2(from_y.dx, g.dx), 1e-13) << c;
        EXPECT_LE(relative_l2(from_y.dgamma, g.dgamma), 1e-13) << c;
        EXPECT_LE(relative_l2(from_y.dbeta, g.dbeta), 1e-15) << c;
      }
    }
  }
}

TEST(InPlace, B61DigitsLostAreThoseOfBetaOverGamma) {
  EXPECT_DOUBLE_EQ(digits_lost_in_place(-2.0, 0.0), 0);
  EXPECT_DOUBLE_EQ(digits_lost_in_place(0.5, -49.5), 2);
  EXPECT_DOUBLE_EQ(digits_lost_in_place(0.5, -49.5, 0.01, 1e-4), 2);
  EXPECT_DOUBLE_EQ(digits_lost_in_place(-0.5, 0.0, 1e-4, 0.005), 2);
  EXPECT_DOUBLE_EQ(digits_lost_in_place(-0.5, 0.0, 1e4, 0.005), 0) << "a slope above 1 makes no y smaller";
  const Extent e = Extent::nc(2000, 1);
  const auto c = make_case<double>(e, 0, 1e-5);
  const auto x_hat = forward_of(c).cache.x_hat;
  for (const double beta : {1.0, 1e3, 1e6}) {
    const std::vector<double> gamma = {0.5}, shift = {beta};
    std::vector<double> y;  // as stored in float
    for (const double v : x_hat) y.push_back(static_cast<float>(0.5 * v + beta));
    const double lost = std::log10(relative_l2(recover_x_hat<double>(e, y, gamma, shift, 1), x_hat) / 3e-8);
    EXPECT_NEAR(lost, digits_lost_in_place(0.5, beta), 0.5) << beta;
  }
}

TEST(Ghost, B67EachGroupOfRowsIsABatchOfItsOwnAndTheLastMayBeShorter) {
  for (const Extent& e : {Extent::nc(16, 4), Extent::nchw(5, 3, 3, 2)}) {
    const auto c = make_case<double>(e, 3, 1e-3);
    const auto f = ghost_forward<double>(e, 3, c.x, c.gamma, c.beta, c.eps);
    const auto g = ghost_backward<double>(f, c.dy);
    EXPECT_EQ(f.caches.size(), to_size((e.outer + 2) / 3));
    std::vector<double> y, dx, dgamma(to_size(e.channels));
    const auto row = to_size(e.channels * e.inner);
    for (std::size_t first = 0; first < to_size(e.outer); first += 3) {
      const std::size_t rows = std::min<std::size_t>(3, to_size(e.outer) - first);
      const Extent group{static_cast<std::int64_t>(rows), e.channels, e.inner};
      const auto part = [&](const std::vector<double>& v) { return std::span(v).subspan(first * row, rows * row); };
      const auto alone = forward<double>(group, part(c.x), c.gamma, c.beta, c.eps);
      const auto back = backward<double>(alone.cache, part(c.dy));
      y.insert(y.end(), alone.y.begin(), alone.y.end());
      dx.insert(dx.end(), back.dx.begin(), back.dx.end());
      for (std::size_t k = 0; k < dgamma.size(); ++k) dgamma[k] += back.dgamma[k];
    }
    EXPECT_EQ(f.y, y);
    EXPECT_EQ(g.dx, dx);
    EXPECT_EQ(g.dgamma, dgamma);
  }
}

TEST(Ghost, B67GradientsMatchNumericDifferentiation) {
  const auto narrow = make_case<double>(Extent::nchw(5, 3, 3, 2), 3, 1e-3);
  const auto c = as_case<long double>(narrow);
  const auto y_of = [&](const Wide& x, const Wide& gamma) {
    return ghost_forward<long double>(c.extent, 2, x, gamma, c.beta, c.eps).y;
  };
  const auto f = ghost_forward<long double>(c.extent, 2, c.x, c.gamma, c.beta, c.eps);
  const auto g = ghost_backward<long double>(f, c.dy);
  expect_gradient_of([&](const Wide& x) { return dot(c.dy, y_of(x, c.gamma)); }, narrow.x, g.dx, "x");
  expect_gradient_of([&](const Wide& gamma) { return dot(c.dy, y_of(c.x, gamma)); }, narrow.gamma, g.dgamma, "gamma");
}

TEST(Ghost, B67OneGroupOfAllRowsIsTheBatch) {
  const auto c = make_case<double>(Extent::nc(16, 4), 3, 1e-3);
  EXPECT_EQ(ghost_forward<double>(c.extent, 99, c.x, c.gamma, c.beta, c.eps).y, forward_of(c).y);
}

struct Renorm {
  Case<double> narrow = make_case<double>(Extent::nchw(4, 3, 3, 2), 0, 1e-3);
  Case<long double> c = as_case<long double>(narrow);
  Wide mean = {0.25L, -0.5L, 0.1L}, var = {0.5L, 3, 1.2L};

  [[nodiscard]] RenormForward<long double> forward(long double r_max, long double d_max) const {
    return renorm_forward<long double>(c.extent, c.x, c.gamma, c.beta, c.eps, {mean, var, r_max, d_max});
  }
};

TEST(Renorm, B69WithoutClippingTheOutputIsThatOfInference) {
  const Renorm renorm;
  const auto& c = renorm.c;
  const Wide y = inference<long double>(c.extent, c.x, renorm.mean, renorm.var, c.gamma, c.beta, c.eps);
  EXPECT_LE(relative_l2(renorm.forward(1e6L, 1e6L).y, y), 1e-18);
}

TEST(Renorm, B69ClippedToNothingTheOutputIsThatOfTheBatch) {
  const Renorm renorm;
  EXPECT_EQ(renorm.forward(1, 0).y, forward_of(renorm.c).y);
}

TEST(Renorm, B68RAndDStayWithinTheirBounds) {
  const Renorm renorm;
  const auto free = renorm.forward(1e6L, 1e6L), bound = renorm.forward(1.1L, 0.05L);
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_EQ(bound.r[c], std::clamp(free.r[c], 1 / 1.1L, 1.1L));
    EXPECT_EQ(bound.d[c], std::clamp(free.d[c], -0.05L, 0.05L));
  }
  EXPECT_NE(bound.r, free.r);
  EXPECT_NE(bound.d, free.d);
}

TEST(Renorm, B70GradientsWithRAndDHeldMatchNumericDifferentiation) {
  const Renorm renorm;
  const auto& c = renorm.c;
  const auto held = renorm.forward(1.3L, 0.3L);
  const auto loss_of = [&](Wide Case<long double>::*input) -> WideFunction {
    return [&, input](const Wide& values) {
      Case<long double> at = c;
      at.*input = values;
      const auto f = forward_of(at);
      long double loss = 0;
      for (std::size_t e = 0; e < c.x.size(); ++e) {
        const std::size_t channel = e / to_size(c.extent.inner) % 3;
        const long double x_hat = f.cache.x_hat[e] * held.r[channel] + held.d[channel];
        loss += c.dy[e] * (at.gamma[channel] * x_hat + at.beta[channel]);
      }
      return loss;
    };
  };
  const auto g = renorm_backward<long double>(held, c.dy);
  expect_gradient_of(loss_of(&Case<long double>::x), renorm.narrow.x, g.dx, "x");
  expect_gradient_of(loss_of(&Case<long double>::gamma), renorm.narrow.gamma, g.dgamma, "gamma");
  expect_gradient_of(loss_of(&Case<long double>::beta), renorm.narrow.beta, g.dbeta, "beta");
}

/// Rows of `map` times each row of `in`, NC.
std::vector<double> apply(const LinearMap<double>& map, const std::vector<double>& in, std::size_t width) {
  std::vector<double> out;
  for (std::size_t n = 0; n < in.size() / width; ++n) {
    for (std::size_t c = 0; c < map.bias.size(); ++c) {
      double sum = map.bias[c];
      for (std::size_t k = 0; k < width; ++k) sum += map.weight[c * width + k] * in[n * width + k];
      out.push_back(sum);
    }
  }
  return out;
}

TEST(Folding, B71FoldedMapIsTheMapThenInferenceWithAndWithoutABias) {
  Random random(41);
  const std::vector<double> in = normal_values<double>(20, random), weight = normal_values<double>(12, random);
  const std::vector<double> mean = {1, -2, 0.5}, var = {2, 0.1, 9}, gamma = {1.5, -1, 0}, beta = {0.1, 2, -3};
  for (const auto& bias : {std::vector<double>{4, -5, 6}, std::vector<double>{}}) {
    const auto h = apply({weight, bias.empty() ? std::vector<double>(3) : bias}, in, 4);
    const auto y = inference<double>(Extent::nc(5, 3), h, mean, var, gamma, beta, 1e-5);
    EXPECT_LE(relative_l2(apply(fold<double>(weight, bias, mean, var, gamma, beta, 1e-5), in, 4), y), 1e-14);
  }
}

TEST(Folding, B72ScaleAndShiftAreInference) {
  const auto c = make_case<double>(Extent::nchw(2, 3, 3, 2), 1, 1e-3);
  const std::vector<double> mean = {1, -2, 0.5}, var = {2, 0.1, 9};
  const auto map = scale_shift<double>(mean, var, c.gamma, c.beta, c.eps);
  std::vector<double> y;
  for (std::size_t e = 0; e < c.x.size(); ++e) y.push_back(map.scale[e / 6 % 3] * c.x[e] + map.shift[e / 6 % 3]);
  EXPECT_LE(relative_l2(y, inference<double>(c.extent, c.x, mean, var, c.gamma, c.beta, c.eps)), 1e-14);
}

}  // namespace
}  // namespace unitvar::test
