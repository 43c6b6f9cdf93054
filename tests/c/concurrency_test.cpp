#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "c/every_operation.hpp"

namespace unitvar::testing {
namespace {

/// One operation's arguments and its results alone, which other threads must get, too.
struct Problem {
  virtual ~Problem() = default;
  /// Whether a call into memory of its own gives the same.
  [[nodiscard]] virtual bool is_repeated() const = 0;
};

template <class Operation>
class ProblemOf final : public Problem {
 public:
  ProblemOf(const Operation& operation, std::uint32_t seed, unitvar_dtype dtype)
      : operation_(operation), seed_(seed), dtype_(dtype), wanted_(results()) {}
  [[nodiscard]] bool is_repeated() const override { return results() == wanted_; }

 private:
  [[nodiscard]] std::vector<std::byte> results() const {
    Seeded choices(seed_);
    FilledFor<Operation> filled(choices, dtype_);
    const unitvar_options options = with_threads(2);
    std::vector<std::byte> all(1, static_cast<std::byte>(operation_.call(&filled.args, &options)));
    for (const fuzz::Buffer& b : filled.buffers) {
      if (b.is_output) all.insert(all.end(), b.bytes.get(), b.bytes.get() + b.size);
    }
    return all;
  }

  const Operation& operation_;
  std::uint32_t seed_;
  unitvar_dtype dtype_;
  std::vector<std::byte> wanted_;
};

TEST(Concurrency, TenThousandCallsOfAllOperationsFromSixteenThreadsGiveWhatOneGives) {
  constexpr int kThreads = 16, kCalls = 640;
  std::vector<std::unique_ptr<Problem>> problems;
  for_each_operation([&](const auto& operation) {
    using Operation = std::remove_cvref_t<decltype(operation)>;
    for (const unitvar_dtype dtype : {UNITVAR_F32, UNITVAR_BF16}) {
      problems.push_back(std::make_unique<ProblemOf<Operation>>(operation, 7, dtype));
    }
  });
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int k = 0; k < kCalls; ++k) {
        if (!problems[static_cast<std::size_t>(t * 31 + k) % problems.size()]->is_repeated()) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(0, wrong);
}

#ifdef UNITVAR_SHARED_LIBRARY
TEST(SharedLibrary, IsLoadedAndLetGoOfManyTimes) {
  for (int k = 0; k < 20; ++k) {
    void* const library = dlopen(UNITVAR_SHARED_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(nullptr, library) << dlerror();
    const auto forward =
        reinterpret_cast<decltype(&unitvar_batch_norm_forward)>(dlsym(library, "unitvar_batch_norm_forward"));
    ASSERT_NE(nullptr, forward);
    std::vector<float> x(1 << 18), y(x.size(), 5);
    unitvar_batch_norm_forward_args args{};
    args.struct_size = sizeof args;
    args.extent = {8, 64, 512};
    args.x = x.data();
    args.y = y.data();
    args.eps = 1;
    const unitvar_options two_threads = with_threads(2);
    EXPECT_EQ(UNITVAR_OK, forward(&args, &two_threads));
    EXPECT_EQ(0, y[77]);
    EXPECT_EQ(0, dlclose(library));
  }
}
#endif

}  // namespace
}  // namespace unitvar::testing
