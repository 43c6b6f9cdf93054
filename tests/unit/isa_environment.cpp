// Run by ctest with UNITVAR_ISA set to argv[1]: what that value means must be what the library does. The variable is
// read once per process, so each value needs a process of its own.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "unitvar/batch_norm.hpp"
#include "unitvar/error.hpp"

namespace {

using unitvar::ErrorCode;
using unitvar::Isa;

int fail(const std::string& what) {
  std::fprintf(stderr, "FAILED: %s\n", what.c_str());
  return 1;
}

bool names_an_isa(const std::string& name) {
  const std::vector<std::string> names = {"automatic", "portable", "sse4", "avx2", "avx512", "neon"};
  return std::find(names.begin(), names.end(), name) != names.end();
}

void run_forward(Isa isa, std::vector<float>& y) {
  const std::vector<float> x = {1, 2, 3, 4, 5, 7};
  unitvar::batch_norm_forward<float>({.extent = {3, 2, 1}, .x = x, .y = y}, {.cpu = {.isa = isa}});
}

int expect_selected(Isa wanted) {
  std::vector<float> y(6, -77.0F);
  run_forward(Isa::automatic, y);
  if (y[0] == -77.0F) return fail("forward wrote nothing");
  const Isa seen = unitvar::selected_isa();
  return seen == wanted ? 0 : fail("selected " + std::string(isa_name(seen)));
}

int expect_mentions(const std::string& message, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    if (message.find(part) == std::string::npos) return fail("no '" + part + "' in: " + message);
  }
  return 0;
}

// Refused by the query and by a call, which has written nothing; a forced instruction set still works.
int expect_refused(ErrorCode code, const std::vector<std::string>& parts) {
  for (int attempt = 0; attempt < 2; ++attempt) {
    std::vector<float> y(6, -77.0F);
    try {
      attempt == 0 ? static_cast<void>(unitvar::selected_isa()) : run_forward(Isa::automatic, y);
      return fail("accepted");
    } catch (const unitvar::Error& error) {
      if (error.code() != code) return fail(std::string("another code: ") + error.what());
      if (expect_mentions(error.what(), parts) != 0) return 1;
    }
    if (y != std::vector<float>(6, -77.0F)) return fail("a refused call wrote");
  }
  std::vector<float> y(6, -77.0F);
  run_forward(unitvar::supported_isas().back(), y);
  return y[0] == -77.0F ? fail("a forced instruction set wrote nothing") : 0;
}

int check(const std::string& name) {
  if (!names_an_isa(name)) {
    return expect_refused(ErrorCode::bad_argument, {"UNITVAR_ISA", name, "portable", "sse4", "avx2", "avx512", "neon"});
  }
  const std::vector<Isa> supported = unitvar::supported_isas();
  const Isa wanted = unitvar::isa_from_name(name);
  if (wanted == Isa::automatic) return expect_selected(supported.front());
  if (std::find(supported.begin(), supported.end(), wanted) != supported.end()) return expect_selected(wanted);
  return expect_refused(ErrorCode::unsupported_isa, {"UNITVAR_ISA is " + name + ", want"});
}

}  // namespace

int main(int argc, char** argv) {
  const char* value = std::getenv("UNITVAR_ISA");
  if (argc != 2 || value == nullptr || std::string(value) != argv[1])
    return fail("want UNITVAR_ISA and it as argument");
  return check(argv[1]);
}
