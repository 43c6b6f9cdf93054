#include <gtest/gtest.h>

#include "gradient/differences.hpp"

/// (B46) to (B49): residual and leaky ReLU behind the normalization.
namespace unitvar::test {
namespace {

using namespace reference;

/// A case whose z keeps every element at least 1/2 away from the kink.
struct Fused {
  Fused(const Case<double>& narrow, long double slope_) : c(as_case<long double>(narrow)), slope(slope_) {
    Random random(29);
    for (const long double y : forward_of(c).y) {
      z.push_back((random.coin() ? 1 : -1) * random.uniform(0.5, 2) - static_cast<double>(y));
    }
  }

  [[nodiscard]] FusedForward<long double> forward() const {
    return fused_forward<long double>(c.extent, c.x, c.gamma, c.beta, c.eps, as<long double>(z), slope);
  }

  [[nodiscard]] WideFunction loss_of(Wide Case<long double>::*input) const {
    return [this, input](const Wide& values) {
      Fused at = *this;
      at.c.*input = values;
      return dot(at.c.dy, at.forward().y);
    };
  }

  Case<long double> c;
  long double slope;
  std::vector<double> z;
};

TEST(Activation, B49FusedGradientsMatchNumericDifferentiation) {
  const DifferenceOptions short_of_the_kink{.step = 0x1p-8};
  for (const auto& narrow : some_cases()) {
    // Two values leave eps / var of their terms (B41): too little for differences over so short a step.
    if (narrow.extent.count() == 2 && narrow.eps < 1e-3) continue;
    for (const double slope : {0.0, 0.01, -0.5}) {
      const Fused fused(narrow, slope);
      const auto f = fused.forward();
      const auto g = fused_backward<long double>(f.cache, f.mask, slope, fused.c.dy);
      const auto what = narrow.name + " slope " + std::to_string(slope);
      expect_gradient_of(fused.loss_of(&Case<long double>::x), narrow.x, g.dx, what, short_of_the_kink);
      expect_gradient_of(fused.loss_of(&Case<long double>::gamma), narrow.gamma, g.dgamma, what, short_of_the_kink);
      expect_gradient_of(fused.loss_of(&Case<long double>::beta), narrow.beta, g.dbeta, what, short_of_the_kink);
    }
  }
}

TEST(Activation, B48GradientOfTheResidualMatchesNumericDifferentiation) {
  const Fused fused(make_case<double>(Extent::nchw(2, 3, 3, 2), 1, 1e-3), 0.1L);
  const auto f = fused.forward();
  const auto g = fused_backward<long double>(f.cache, f.mask, fused.slope, fused.c.dy);
  const WideFunction loss = [&](const Wide& z) {
    return dot(fused.c.dy, activation<long double>(forward_of(fused.c).y, z, fused.slope).y);
  };
  expect_gradient_of(loss, fused.z, g.dz, "z", {.step = 0x1p-4});
}

TEST(Activation, B46B47MaskSaysWhatIsAboveZeroAndTheRestIsTimesTheSlope) {
  const std::vector<double> h = {-2, -0.5, 0, 0.5, 2}, z = {3, 0, 0, -1, 0};
  const auto alone = activation<double>(h, {}, 0.25);
  EXPECT_EQ(alone.y, (std::vector<double>{-0.5, -0.125, 0, 0.5, 2}));
  EXPECT_EQ(alone.mask, (std::vector<bool>{false, false, false, true, true}));
  const auto sum = activation<double>(h, z, 0);
  EXPECT_EQ(sum.y, (std::vector<double>{1, 0, 0, 0, 2}));
  EXPECT_EQ(sum.mask, (std::vector<bool>{true, false, false, false, true}));
}

TEST(Activation, B48AtZeroTheSlopeCounts) {
  EXPECT_EQ(activation_backward<double>({false, true}, 0.25, std::vector<double>{8, 8}), (std::vector<double>{2, 8}));
}

TEST(Activation, B46NanStaysNan) {
  const auto a = activation<double>(std::vector<double>{std::nan("")}, {}, 0);
  EXPECT_TRUE(std::isnan(a.y[0]));
  EXPECT_FALSE(a.mask[0]);
}

TEST(Activation, B46SlopeOfOneIsNoActivation) {
  const auto c = make_case<double>(Extent::nchw(2, 3, 3, 2), 1, 1e-3);
  const auto plain = forward_of(c);
  const auto f = fused_forward<double>(c.extent, c.x, c.gamma, c.beta, c.eps, {}, 1);
  const auto g = fused_backward<double>(f.cache, f.mask, 1, c.dy);
  EXPECT_EQ(f.y, plain.y);
  EXPECT_EQ(g.dx, backward<double>(plain.cache, c.dy).dx);
  EXPECT_EQ(g.dz, c.dy);
}

constexpr unitvar::Activation all_activations[] = {
    unitvar::Activation::identity(), unitvar::Activation::leaky_relu(0.25), unitvar::Activation::clip(-0.5, 0.75),
    unitvar::Activation::hard_swish(), unitvar::Activation::silu()};

/// A case of few elements, none of which is near a kink.
struct Smooth {
  Case<long double> c = as_case<long double>(make_case<double>(Extent::nchw(2, 3, 3, 2), 1, 1e-3));
  unitvar::Activation activation;
  Wide z, v, u, w, zz;

  explicit Smooth(const unitvar::Activation& a) : activation(a) {
    Random random(31);
    for (const long double y : forward_of(c).y) {
      static constexpr double targets[] = {-4, -1.5, 0.25, 1.25, 4};
      z.push_back(targets[z.size() % 5] + 0.1L * static_cast<long double>(random.uniform(-1, 1)) - y);
    }
    v = random_wide(c.extent.size(), random), zz = random_wide(c.extent.size(), random);
    u = random_wide(c.extent.channels, random), w = random_wide(c.extent.channels, random);
  }
  [[nodiscard]] ActForward<long double> forward() const {
    return act_forward<long double>(c.extent, c.x, c.gamma, c.beta, c.eps, z, activation);
  }
  /// The cotangents' product with the gradients.
  [[nodiscard]] long double second_loss() const {
    const auto f = forward();
    const auto g = act_backward<long double>(f.cache, f.v, activation, c.dy);
    return dot(v, g.dx) + dot(zz, g.dz) + dot(u, g.dgamma) + dot(w, g.dbeta);
  }
  template <class Set>
  [[nodiscard]] WideFunction of(const Set& set, bool second) const {
    return [this, set, second](const Wide& values) {
      Smooth at = *this;
      set(at) = values;
      return second ? at.second_loss() : dot(at.c.dy, at.forward().y);
    };
  }
};

TEST(Activation, B89ToB91GradientsOfEveryActivationMatchNumericDifferentiation) {
  for (const auto& activation : all_activations) {
    const Smooth s(activation);
    const auto what = "kind " + std::to_string(static_cast<int>(activation.kind));
    const auto f = s.forward();
    const auto g = act_backward<long double>(f.cache, f.v, activation, s.c.dy);
    const DifferenceOptions near{.step = 0x1p-6};
    expect_gradient_of(s.of([](Smooth& at) -> Wide& { return at.c.x; }, false), as<double>(s.c.x), g.dx, what, near);
    expect_gradient_of(s.of([](Smooth& at) -> Wide& { return at.z; }, false), as<double>(s.z), g.dz, what, near);
    expect_gradient_of(s.of([](Smooth& at) -> Wide& { return at.c.gamma; }, false), as<double>(s.c.gamma), g.dgamma,
                       what, near);
  }
}

TEST(Activation, B92GradientsOfTheGradientsMatchNumericDifferentiation) {
  for (const auto& activation : all_activations) {
    const Smooth s(activation);
    const auto what = "kind " + std::to_string(static_cast<int>(activation.kind));
    const auto f = s.forward();
    const auto g = act_double_backward<long double>(f.cache, f.v, activation, s.c.dy,
                                                    {.dx = s.v, .dz = s.zz, .dgamma = s.u, .dbeta = s.w});
    const DifferenceOptions near{.step = 0x1p-6};
    expect_gradient_of(s.of([](Smooth& at) -> Wide& { return at.c.x; }, true), as<double>(s.c.x), g.grad_x, what, near);
    expect_gradient_of(s.of([](Smooth& at) -> Wide& { return at.c.dy; }, true), as<double>(s.c.dy), g.grad_dy, what,
                       near);
    expect_gradient_of(s.of([](Smooth& at) -> Wide& { return at.c.gamma; }, true), as<double>(s.c.gamma), g.grad_gamma,
                       what, near);
    if (!activation.is_recomputed()) continue;
    expect_gradient_of(s.of([](Smooth& at) -> Wide& { return at.z; }, true), as<double>(s.z), g.grad_z, what, near);
    expect_gradient_of(s.of([](Smooth& at) -> Wide& { return at.c.beta; }, true), as<double>(s.c.beta), g.grad_beta,
                       what, near);
  }
}

TEST(Activation, B88ToB91ValuesAtTheirKinksAndFarOut) {
  const auto swish = unitvar::Activation::hard_swish();
  EXPECT_EQ(0, activation_value(swish, -3.0));
  EXPECT_EQ(3, activation_value(swish, 3.0));
  EXPECT_NEAR(-1.0 / 3, activation_value(swish, -1.0), 1e-16);
  EXPECT_EQ(0, activation_derivative(swish, -3.0));
  EXPECT_EQ(1, activation_derivative(swish, 3.0));
  const auto clip = unitvar::Activation::clip(-1, 2);
  EXPECT_EQ(-1, activation_value(clip, -5.0));
  EXPECT_EQ(2, activation_value(clip, 2.5));
  EXPECT_EQ(0, activation_derivative(clip, 2.0));
  EXPECT_EQ(1, activation_derivative(clip, 1.5));
  EXPECT_NEAR(0.7310585786300049, activation_value(unitvar::Activation::silu(), 1.0), 1e-16);
}

}  // namespace
}  // namespace unitvar::test
