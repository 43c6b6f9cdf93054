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

/// One period, and all of them together, have the same statistics: so the same y, and with a periodic dy the same dx.
/// All passes in one test: half its time is the first touch of the pages.
void expect_every_period_alike(const Extent& small, const Extent& large) {
  const Problem<float> p = make_problem<float>(ProblemSpec{.extent = small, .gamma = false, .beta = false});
  const ForwardResult<float> f = run_forward(p);
  const Periodic x(p.x), dy(p.dy), out;
  std::vector<double> mean(f.mean.size());
  batch_norm_forward<float>({.extent = large, .x = x.span(), .y = out.span(), .mean = mean});
  for (std::size_t c = 0; c < mean.size(); ++c) ASSERT_NEAR(mean[c], f.mean[c], 1e-8);
  expect_close(out.one_period(), f.y);

  std::vector<double> other_var = f.var;
  for (double& v : other_var) v *= 4;
  batch_norm_inference<float>({.extent = large, .x = x.span(), .mean = f.mean, .var = other_var, .y = out.span()});
  expect_close(out.one_period(), run_inference(p, f.mean, other_var));

  batch_norm_backward<float>(
      {.extent = large, .x = x.span(), .dy = dy.span(), .mean = f.mean, .rstd = f.rstd, .dx = out.span()});
  expect_close(out.one_period(), run_backward(p, f.mean, f.rstd).dx);
}

TEST(LargeIndex, EveryPassOfAPlanarChannelBeyondTwoToThe31Elements) {
  expect_every_period_alike({1, 1, period}, {1, 1, period * repeats});
}

TEST(LargeIndex, EveryPassOfInterleavedChannelsBeyondTwoToThe31Elements) {
  const std::int64_t rows = period / 4096;
  expect_every_period_alike({rows, 4096, 1}, {rows * repeats, 4096, 1});
}

}  // namespace
}  // namespace unitvar::test
#endif
