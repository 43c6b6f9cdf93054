// Tensors of more than 2^31 elements. The memory is one small file mapped again and again, so the data are periodic.
#if defined(__linux__)
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <new>
#include <vector>

#include "support/measure.hpp"
#include "support/problem.hpp"
#include "support/run.hpp"

namespace unitvar::test {
namespace {

constexpr std::int64_t period = 1 << 22;        // elements in the file
constexpr std::int64_t repeats = (1 << 9) + 1;  // 2^31 + 2^22 elements in the address space
constexpr std::size_t period_bytes = period * sizeof(float);

/// period elements of memory, seen repeats times one behind the other.
class Periodic {
 public:
  Periodic() {
    const int file = memfd_create("unitvar-test", 0);
    void* at = mmap(nullptr, period_bytes * repeats, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (file < 0 || at == MAP_FAILED || ftruncate(file, period_bytes) != 0) throw std::bad_alloc();
    base_ = static_cast<std::byte*>(at);
    for (std::size_t k = 0; k < repeats; ++k) {
      void* want = base_ + k * period_bytes;
      if (mmap(want, period_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) != want) {
        throw std::bad_alloc();
      }
    }
    close(file);
  }
  explicit Periodic(const std::vector<float>& values) : Periodic() {
    std::copy(values.begin(), values.end(), reinterpret_cast<float*>(base_));
  }
  ~Periodic() { munmap(base_, period_bytes * repeats); }
  Periodic(const Periodic&) = delete;
  Periodic& operator=(const Periodic&) = delete;

  [[nodiscard]] std::span<float> span() const { return {reinterpret_cast<float*>(base_), period * repeats}; }
  [[nodiscard]] std::vector<float> one_period() const { return {span().begin(), span().begin() + period}; }

 private:
  std::byte* base_ = nullptr;
};

void expect_close(const std::vector<float>& seen, const std::vector<float>& want) {
  const std::vector<double> reference(want.begin(), want.end());
  EXPECT_LE(relative_l2(seen, reference), 1e-6);
}

// One period, and all of them together, have the same statistics: so the same y, and with a periodic dy the same dx.

TEST(LargeIndex, ForwardOfChannelsLastBeyondTwoToThe31Elements) {
  const Extent small{period / 4096, 4096, 1}, large{small.outer * repeats, 4096, 1};
  const Problem<float> p = make_problem<float>(ProblemSpec{.extent = small, .gamma = false, .beta = false});
  const ForwardResult<float> f = run_forward(p);
  const Periodic x(p.x), y;
  std::vector<double> mean(f.mean.size());
  batch_norm_forward<float>({.extent = large, .x = x.span(), .y = y.span(), .mean = mean});
  for (std::size_t c = 0; c < mean.size(); ++c) ASSERT_NEAR(mean[c], f.mean[c], 1e-10);
  expect_close(y.one_period(), f.y);
}

TEST(LargeIndex, BackwardOfOneChannelBeyondTwoToThe31Elements) {
  const Extent small{1, 1, period}, large{1, 1, period * repeats};
  const Problem<float> p = make_problem<float>(ProblemSpec{.extent = small, .gamma = false, .beta = false});
  const ForwardResult<float> f = run_forward(p);
  const Periodic x(p.x), dy(p.dy), dx;
  batch_norm_backward<float>(
      {.extent = large, .x = x.span(), .dy = dy.span(), .mean = f.mean, .rstd = f.rstd, .dx = dx.span()});
  expect_close(dx.one_period(), run_backward(p, f.mean, f.rstd).dx);
}

}  // namespace
}  // namespace unitvar::test
#endif
