// The instruction sets: list them, ask which one runs, force each; the bits are the same. The environment variable
// UNITVAR_ISA changes what runs by default.
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "unitvar/unitvar.hpp"

int main() {
  const auto extent = unitvar::Extent::nhwc(2, 10, 10, 24);
  std::vector<float> x(static_cast<std::size_t>(extent.size())), y(x.size()), forced(x.size());
  for (std::size_t k = 0; k < x.size(); ++k) x[k] = static_cast<float>(std::sin(0.37 * double(k * k)));

  std::printf("by default: %s\n", std::string(isa_name(unitvar::selected_isa())).c_str());
  unitvar::batch_norm_forward<float>({.extent = extent, .x = x, .y = y});

  bool good = true;
  for (const unitvar::Isa isa : unitvar::supported_isas()) {
    unitvar::batch_norm_forward<float>({.extent = extent, .x = x, .y = forced}, {.cpu = {.isa = isa}});
    const bool same = forced == y && unitvar::selected_isa(isa) == isa;
    std::printf("  %-8s %s\n", std::string(isa_name(isa)).c_str(), same ? "same bits" : "DIFFERENT");
    good = good && same;
  }
  return good ? 0 : 1;
}
