#include "cpu/runtime/isa.hpp"

#include <array>
#include <cstdlib>
#include <string>

#include "cpu/runtime/targets.hpp"
#include "unitvar/error.hpp"

#include <hwy/targets.h>

namespace unitvar {
namespace {

struct Entry {
  Isa isa;
  std::string_view name;
  std::int64_t target;
};

/// Slowest first, as in Isa.
constexpr std::array<Entry, 6> kEntries{{{Isa::automatic, "automatic", 0},
                                         {Isa::portable, "portable", HWY_EMU128 | HWY_SCALAR},
                                         {Isa::sse4, "sse4", HWY_SSE4},
                                         {Isa::avx2, "avx2", HWY_AVX2},
                                         {Isa::avx512, "avx512", HWY_AVX3},
                                         {Isa::neon, "neon", HWY_NEON}}};

bool is_known(Isa isa) noexcept { return static_cast<std::size_t>(isa) < kEntries.size(); }

const Entry& entry(Isa isa) noexcept { return kEntries[static_cast<std::size_t>(isa)]; }

std::string names(const std::vector<Isa>& isas) {
  std::string text;
  for (const Isa isa : isas) text += (text.empty() ? "" : ", ") + std::string(isa_name(isa));
  return text;
}

bool is_supported(Isa isa) noexcept {
  // Asked once: in a virtual machine it takes 30 us.
  static const std::int64_t here = hwy::SupportedTargets() | HWY_EMU128 | HWY_SCALAR;
  return (entry(isa).target & cpu::compiled_targets() & here) != 0;
}

Isa parse(std::string_view name, const char* where) {
  for (const Entry& e : kEntries) {
    if (e.name == name) return e.isa;
  }
  std::string wanted;
  for (const Entry& e : kEntries) wanted += (wanted.empty() ? "" : ", ") + std::string(e.name);
  throw Error(ErrorCode::bad_argument,
              std::string(where) + ": instruction set is '" + std::string(name) + "', want one of " + wanted);
}

/// The request of UNITVAR_ISA, read once. Each call throws if it is no name.
Isa from_environment() {
  static const std::string value = [] {
    const char* text = std::getenv("UNITVAR_ISA");
    return std::string(text == nullptr ? "" : text);
  }();
  return value.empty() ? Isa::automatic : parse(value, "UNITVAR_ISA");
}

}  // namespace

std::string_view isa_name(Isa isa) noexcept { return is_known(isa) ? entry(isa).name : "unknown"; }

Isa isa_from_name(std::string_view name) { return parse(name, "isa_from_name"); }

std::vector<Isa> supported_isas() {
  std::vector<Isa> result;
  for (const Entry& e : kEntries) {
    if (is_supported(e.isa)) result.insert(result.begin(), e.isa);
  }
  return result;
}

namespace cpu {

std::int64_t compiled_targets() noexcept { return HWY_TARGETS; }

std::int64_t highway_target(Isa isa) noexcept { return entry(isa).target & compiled_targets(); }

Isa resolve(Isa requested) {
  const char* const asked = requested == Isa::automatic ? "UNITVAR_ISA" : "options.cpu.isa";
  if (requested == Isa::automatic) requested = from_environment();
  if (requested == Isa::automatic) {
    static const Isa best = supported_isas().front();
    return best;
  }
  if (!is_known(requested)) {
    throw Error(ErrorCode::bad_argument, std::string(asked) + " is " + std::to_string(static_cast<int>(requested)) +
                                             ", want a value of unitvar::Isa, 0 to 5");
  }
  if (is_supported(requested)) return requested;
  throw Error(ErrorCode::unsupported_isa, std::string(asked) + " is " + std::string(isa_name(requested)) +
                                              ", want one this machine and build have: " + names(supported_isas()));
}

}  // namespace cpu
}  // namespace unitvar
