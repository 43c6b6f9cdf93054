#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "support/dtypes.hpp"
#include "support/expect_error.hpp"
#include "support/guarded.hpp"
#include "unitvar/unitvar.hpp"

namespace unitvar::test {
namespace {

template <class T>
class EmptyBatch : public ::testing::Test {
 protected:
  std::vector<Extent> extents = {{0, 3, 1}, {0, 3, 49}, {0, 3, 784}};
  std::vector<double> some = {1, 2, 3};
};

TYPED_TEST_SUITE(EmptyBatch, AllDtypes);

TYPED_TEST(EmptyBatch, ForwardGivesZeroMeanAndVarianceAndTheRstdOfEpsilon) {
  for (const Extent& e : this->extents) {
    Guarded<double> mean(3), var(3), rstd(3);
    batch_norm_forward<TypeParam>(
        {.extent = e, .x = {}, .y = {}, .mean = mean.span(), .var = var.span(), .rstd = rstd.span(), .eps = 0.25});
    EXPECT_EQ(mean.values(), (std::vector<double>{0, 0, 0}));
    EXPECT_EQ(var.values(), (std::vector<double>{0, 0, 0}));
    EXPECT_EQ(rstd.values(), (std::vector<double>{2, 2, 2}));
    EXPECT_TRUE(mean.guards_intact() && var.guards_intact() && rstd.guards_intact());
  }
}

TYPED_TEST(EmptyBatch, BackwardWritesZeroParameterGradients) {
  for (const Extent& e : this->extents) {
    Guarded<param_t<TypeParam>> dgamma(3), dbeta(3);
    batch_norm_backward<TypeParam>({.extent = e,
                                    .x = {},
                                    .dy = {},
                                    .mean = this->some,
                                    .rstd = this->some,
                                    .dgamma = dgamma.span(),
                                    .dbeta = dbeta.span()});
    EXPECT_EQ(dgamma.values(), (std::vector<param_t<TypeParam>>{0, 0, 0}));
    EXPECT_EQ(dbeta.values(), (std::vector<param_t<TypeParam>>{0, 0, 0}));
    EXPECT_TRUE(dgamma.guards_intact() && dbeta.guards_intact());
  }
}

TYPED_TEST(EmptyBatch, InferenceIsLegal) {
  for (const Extent& e : this->extents) {
    EXPECT_NO_THROW(
        batch_norm_inference<TypeParam>({.extent = e, .x = {}, .mean = this->some, .var = this->some, .y = {}}));
  }
}

TYPED_TEST(EmptyBatch, PhasesGiveZeroSumsAndAcceptCountZero) {
  for (const Extent& e : this->extents) {
    Guarded<double> a(3), b(3);
    moments<TypeParam>({.extent = e, .x = {}, .mean = a.span(), .m2 = b.span()});
    EXPECT_EQ(a.values(), (std::vector<double>{0, 0, 0}));
    EXPECT_EQ(b.values(), (std::vector<double>{0, 0, 0}));
    Guarded<double> c(3), d(3);
    gradient_sums<TypeParam>(
        {.extent = e, .x = {}, .dy = {}, .mean = this->some, .sum_dy = c.span(), .sum_dy_xmu = d.span()});
    EXPECT_EQ(c.values(), (std::vector<double>{0, 0, 0}));
    EXPECT_EQ(d.values(), (std::vector<double>{0, 0, 0}));
    EXPECT_NO_THROW(normalize<TypeParam>({.extent = e, .x = {}, .mean = this->some, .rstd = this->some, .y = {}}));
    EXPECT_NO_THROW(input_gradient<TypeParam>({.extent = e,
                                               .x = {},
                                               .dy = {},
                                               .mean = this->some,
                                               .rstd = this->some,
                                               .sum_dy = this->some,
                                               .sum_dy_xmu = this->some,
                                               .count = 0,
                                               .dx = {}}));
  }
}

TYPED_TEST(EmptyBatch, ARankWithoutDataStillTakesPartInTheMerge) {
  std::vector<double> mean = {0, 0, 0}, m2 = {0, 0, 0};
  EXPECT_EQ(merge_moments(0, mean, m2, 7, this->some, this->some), 7);
  EXPECT_EQ(mean, this->some);
  EXPECT_EQ(m2, this->some);
}

/// An empty batch has no tensors whose length says that there cannot be so many channels.
TYPED_TEST(EmptyBatch, RefusesMoreChannelsThanItsOwnArraysCanHave) {
  using T = TypeParam;
  for (const std::int64_t channels : {std::int64_t{1} << 49, std::int64_t{1} << 58, std::int64_t{1} << 59}) {
    const std::string seen = std::to_string(channels), wanted = "281474976710656";
    const Extent e{0, channels, 1};
    std::vector<param_t<T>> one(1);
    const auto refused = [&](const char* operation, const auto& call) {
      expect_error(ErrorCode::overflow, {operation, "extent.channels is " + seen, wanted}, call);
    };
    refused("batch_norm_forward", [&] { batch_norm_forward<T>({.extent = e, .x = {}, .y = {}}); });
    refused("batch_norm_backward",
            [&] { batch_norm_backward<T>({.extent = e, .x = {}, .dy = {}, .mean = {}, .rstd = {}, .dgamma = one}); });
    refused("group_norm_forward",
            [&] { group_norm_forward<T>({.groups = {.extent = e, .groups = 1}, .x = {}, .y = {}}); });
    refused("MomentsAccumulator", [&] { MomentsAccumulator<T> accumulator(e); });
    const RowExtent rows{0, channels};
    expect_error(ErrorCode::overflow, {"layer_norm_forward", "extent.length is " + seen, wanted},
                 [&] { layer_norm_forward<T>({.extent = rows, .x = {}, .y = {}}); });
    expect_error(ErrorCode::overflow, {"layer_norm_backward", "extent.length is " + seen, wanted}, [&] {
      layer_norm_backward<T>({.extent = rows, .x = {}, .dy = {}, .mean = {}, .rstd = {}, .dbeta = one});
    });
  }
}

TYPED_TEST(EmptyBatch, TheLayerUpdatesNothingButAcceptsIt) {
  BatchNorm<TypeParam> layer(3);
  layer.forward({0, 3, 5}, {}, {});
  for (int c = 0; c < 3; ++c) {
    EXPECT_EQ(layer.running_mean()[static_cast<std::size_t>(c)], 0);
    EXPECT_EQ(layer.running_var()[static_cast<std::size_t>(c)], 1);
  }
  EXPECT_EQ(layer.batches_tracked(), 0);
  layer.backward({0, 3, 5}, {}, {}, {});
  EXPECT_EQ(std::vector<param_t<TypeParam>>(layer.dgamma().begin(), layer.dgamma().end()),
            (std::vector<param_t<TypeParam>>{0, 0, 0}));
}

}  // namespace
}  // namespace unitvar::test
