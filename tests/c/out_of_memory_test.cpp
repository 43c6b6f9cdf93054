#include <gtest/gtest.h>

#include <span>

#include "c/every_operation.hpp"
#include "support/allocated.hpp"

namespace unitvar::testing {
namespace {

constexpr int kNone = 1 << 30;
constexpr unitvar_dtype kDtypes[] = {UNITVAR_F32, UNITVAR_F64, UNITVAR_BF16};

/// Whether the call failed because the allocation of this number did.
template <class Operation>
bool fails_without(int allocation, const Operation& operation, std::uint32_t seed, unitvar_dtype dtype,
                   std::int64_t times) {
  Seeded choices(seed);
  FilledFor<Operation> filled(choices, dtype, times);
  const unitvar_options options = with_threads(2);
  unitvar_status status = UNITVAR_OK;
  std::int64_t left = 0;
  bool has_failed = false;
  {
    const test::FailingNew failing(allocation);
    status = operation.call(&filled.args, &options);
    left = failing.still_held();
    has_failed = failing.has_failed();
  }
  if (!has_failed) return false;
  EXPECT_EQ(0, left) << operation.name << " holds memory where allocation " << allocation << " fails";
  EXPECT_EQ(UNITVAR_OUT_OF_MEMORY, status) << operation.name << " without allocation " << allocation;
  // They are made of calls of other operations, one after the other.
  const bool is_composed = std::string_view(operation.name).find("act_double") != std::string_view::npos ||
                           std::string_view(operation.name).find("act_frozen_double") != std::string_view::npos;
  for (const fuzz::Buffer& b : filled.buffers) {
    if (is_composed) break;
    EXPECT_TRUE(std::equal(b.first.begin(), b.first.end(), b.bytes.get()))
        << operation.name << " wrote, and failed without allocation " << allocation;
  }
  return true;
}

/// Tries all operations on some arguments. Returns how often one failed.
int failures_of(std::span<const unitvar_dtype> dtypes, std::uint32_t seeds, std::int64_t times) {
  int failures = 0;
  for_each_operation([&](const auto& operation) {
    for (const unitvar_dtype dtype : dtypes) {
      for (std::uint32_t seed = 0; seed < seeds; ++seed) {
        static_cast<void>(fails_without(kNone, operation, seed, dtype, times));  // what is made once is made
        for (int n = 0; fails_without(n, operation, seed, dtype, times); ++n) ++failures;
      }
    }
  });
  return failures;
}

TEST(OutOfMemory, IsAnErrorBeforeAnythingIsWrittenAndLeaksNothing) {
  EXPECT_LT(300, failures_of(kDtypes, 6, 1));  // or nothing was tried
}

TEST(OutOfMemory, IsAnErrorAlsoWhereThreadsWork) { EXPECT_LT(50, failures_of({kDtypes, 1}, 1, 40)); }

}  // namespace
}  // namespace unitvar::testing
