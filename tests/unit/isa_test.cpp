#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "core/sanitized.hpp"
#include "support/expect_error.hpp"
#include "unitvar/options.hpp"

namespace unitvar::test {
namespace {

constexpr std::array all_isas = {Isa::automatic, Isa::portable, Isa::sse4, Isa::avx2, Isa::avx512, Isa::neon};

bool is_supported(Isa isa) {
  const std::vector<Isa> supported = supported_isas();
  return std::find(supported.begin(), supported.end(), isa) != supported.end();
}

TEST(Isa, NamesAndValuesConvertBothWays) {
  for (const Isa isa : all_isas) EXPECT_EQ(isa_from_name(isa_name(isa)), isa) << isa_name(isa);
  EXPECT_EQ(isa_name(Isa::automatic), "automatic");
  EXPECT_EQ(isa_name(Isa::portable), "portable");
  EXPECT_EQ(isa_name(Isa::sse4), "sse4");
  EXPECT_EQ(isa_name(Isa::avx2), "avx2");
  EXPECT_EQ(isa_name(Isa::avx512), "avx512");
  EXPECT_EQ(isa_name(Isa::neon), "neon");
}

TEST(Isa, AnUnknownNameIsRefusedWithTheListOfNames) {
  for (const char* name : {"avx3", "AVX2", "", "avx2 ", "auto"}) {
    SCOPED_TRACE(name);
    expect_error(ErrorCode::bad_argument, {name, "portable", "sse4", "avx2", "avx512", "neon"},
                 [&] { (void)isa_from_name(name); });
  }
}

TEST(Isa, SupportedOnesAreListedBestFirstEachOnce) {
  const std::vector<Isa> supported = supported_isas();
  ASSERT_FALSE(supported.empty());
  for (std::size_t k = 1; k < supported.size(); ++k) EXPECT_LT(supported[k], supported[k - 1]);
  EXPECT_FALSE(is_supported(Isa::automatic));
}

TEST(Isa, APortableBuildIsAlwaysThere) { EXPECT_TRUE(is_supported(Isa::portable)); }

TEST(Isa, EverySupportedOneRunsWhenForced) {
  for (const Isa isa : supported_isas()) EXPECT_EQ(selected_isa(isa), isa) << isa_name(isa);
}

TEST(Isa, AnUnsupportedOneIsRefusedByItsName) {
  int refused = 0;
  for (const Isa isa : all_isas) {
    if (isa == Isa::automatic || is_supported(isa)) continue;
    expect_error(ErrorCode::unsupported_isa, {std::string(isa_name(isa))}, [&] { (void)selected_isa(isa); });
    ++refused;
  }
  EXPECT_GE(refused, 1) << "no machine has both neon and avx";
}

TEST(Isa, AValueOutsideTheEnumerationIsRefused) { EXPECT_THROW((void)selected_isa(static_cast<Isa>(77)), Error); }

#if defined(__x86_64__)
/// Whether the option UNITVAR_ISAS names the instruction set.
bool is_chosen(Isa isa) {
  const std::string list = "," UNITVAR_TEST_ISAS ",";
  return list == ",all," || list.find("," + std::string(isa_name(isa)) + ",") != std::string::npos;
}

TEST(Isa, TheMachinesInstructionSetsAreFoundIfTheBuildHoldsThem) {
#ifndef UNITVAR_SANITIZED  // whose build leaves some out
  EXPECT_EQ(is_supported(Isa::sse4), is_chosen(Isa::sse4) && __builtin_cpu_supports("sse4.2"));
#endif
  EXPECT_EQ(is_supported(Isa::avx2),
            is_chosen(Isa::avx2) && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
  EXPECT_FALSE(is_supported(Isa::neon));
}
#endif

}  // namespace
}  // namespace unitvar::test
