// What calls allocate: nothing that grows with parameters which are absent.
#include <gtest/gtest.h>

#include <type_traits>
#include <vector>

#include "support/allocated.hpp"
#include "support/dtypes.hpp"
#include "support/rows_add.hpp"

namespace unitvar::test {
namespace {

/// Bytes that f allocates.
template <class F>
std::size_t bytes_of(const F& f) {
  const std::size_t before = allocated_bytes();
  f();
  return allocated_bytes() - before;
}

template <class T>
class Allocation : public ::testing::Test {
 protected:
  static constexpr std::int64_t kRows = 8, kLength = std::int64_t{1} << 17;
  static constexpr std::size_t kSmall = std::size_t{256} << 10;  // a fourth of a byte for each element
  /// bf16 takes the values of even and of odd columns apart.
  static constexpr std::size_t kCopyOfParameter = std::is_same_v<T, bf16> ? kLength * sizeof(param_t<T>) : 0;

  Allocation() : x_(kRows * kLength, T(1)), y_(x_), mean_(kRows), rstd_(kRows, 1.0) {}

  const RowExtent extent_{kRows, kLength};
  std::vector<T> x_, y_;
  std::vector<double> mean_, rstd_;
};

TYPED_TEST_SUITE(Allocation, AllDtypes);

TYPED_TEST(Allocation, IsCounted) {
  EXPECT_GE(bytes_of([this] { this->mean_ = std::vector<double>(1000); }), 8000U);
}

TYPED_TEST(Allocation, OfLayerNormIsSmallWithoutParameters) {
  using T = TypeParam;
  EXPECT_LT(bytes_of([&] {
              layer_norm_forward<T>({.extent = this->extent_, .x = this->x_, .y = this->y_, .mean = this->mean_});
            }),
            this->kSmall);
  EXPECT_LT(bytes_of([&] {
              layer_norm_backward<T>({.extent = this->extent_,
                                      .x = this->x_,
                                      .dy = this->x_,
                                      .mean = this->mean_,
                                      .rstd = this->rstd_,
                                      .dx = this->y_});
            }),
            this->kSmall);
}

TYPED_TEST(Allocation, OfRmsNormIsSmallWithoutParameters) {
  using T = TypeParam;
  EXPECT_LT(bytes_of([&] { rms_norm_forward<T>({.extent = this->extent_, .x = this->x_, .y = this->y_}); }),
            this->kSmall);
  EXPECT_LT(bytes_of([&] {
              rms_norm_backward<T>(
                  {.extent = this->extent_, .x = this->x_, .dy = this->x_, .rstd = this->rstd_, .dx = this->y_});
            }),
            this->kSmall);
}

TYPED_TEST(Allocation, OfRmsNormIsSmallWithoutShift) {
  using T = TypeParam;
  const std::vector<param_t<T>> gamma(this->kLength, 2);
  EXPECT_LT(
      bytes_of([&] { rms_norm_forward<T>({.extent = this->extent_, .x = this->x_, .gamma = gamma, .y = this->y_}); }),
      this->kSmall + this->kCopyOfParameter);
}

TYPED_TEST(Allocation, BehindAResidualIsOneRowForEachThread) {
  using T = TypeParam;
  std::vector<T> h(this->x_);
  EXPECT_LT(bytes_of([&] {
              layer_norm_add_forward<T>(
                  {.extent = this->extent_, .x = this->x_, .residual = this->x_, .y = this->y_, .h = h},
                  {.cpu = {.threads = 2}});
            }),
            this->kSmall + 2 * this->kLength * sizeof(T));
  EXPECT_LT(bytes_of([&] {
              layer_norm_add_backward<T>({.extent = this->extent_,
                                          .h = h,
                                          .dy = this->x_,
                                          .dh = this->x_,
                                          .mean = this->mean_,
                                          .rstd = this->rstd_,
                                          .dx = this->y_});
            }),
            this->kSmall);
}

}  // namespace
}  // namespace unitvar::test
