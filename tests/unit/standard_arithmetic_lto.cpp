// Linked with optimization across source files: exits with 0 if the guard still stands between the arithmetic and the
// caller's settings.
#include <cstdio>

#include "core/standard_arithmetic.hpp"
#include "support/float_settings.hpp"

#if UNITVAR_HAS_FLOAT_SETTINGS

namespace {

/// By value: what goes through memory stays in order even if the guard is inlined.
[[gnu::noinline]] double third(double x) {
  const unitvar::core::StandardArithmetic arithmetic;
  return x / 3;
}

}  // namespace

/// argc is 1, which the compiler does not know.
int main(int argc, char**) {
  using namespace unitvar::test;
  const double x = argc;
  const double want = third(x);
  double seen = 0;
  {
    const Changed hostile(upward(settings()));
    seen = third(x);
  }
  if (seen == want) return 0;
  std::fprintf(stderr, "standard_arithmetic_lto: a third is %a, want %a: the guard was inlined\n", seen, want);
  return 1;
}

#else
int main() { return 0; }
#endif
