// A program of somebody else: one forward by the installed library.
#include <unitvar/reference.hpp>
#include <unitvar/unitvar.hpp>

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

int main() {
  const std::vector<double> x = {1, 10, 3, 30, 5, 50};
  std::vector<double> y(x.size());
  unitvar::batch_norm_forward<double>({.extent = unitvar::Extent::nc(3, 2), .x = x, .y = y, .eps = 0});
  const auto want = unitvar::reference::forward<double>(unitvar::Extent::nc(3, 2), x, {}, {}, 0.0);
  for (std::size_t k = 0; k < y.size(); ++k) {
    if (!(std::abs(y[k] - want.y[k]) < 1e-14)) return 1;
  }
  const std::vector<unitvar::bf16> x16(x.begin(), x.end());
  std::vector<unitvar::bf16> y16(x.size());
  unitvar::batch_norm_forward<unitvar::bf16>({.extent = unitvar::Extent::nc(3, 2), .x = x16, .y = y16, .eps = 0});
  for (std::size_t k = 0; k < y.size(); ++k) {
    if (!(std::abs(static_cast<double>(y16[k]) - want.y[k]) <= 0x1p-8 * std::abs(want.y[k]))) return 1;
  }
  std::printf("unitvar %s: y[0] = %.6f\n", std::string(unitvar::version).c_str(), y[0]);
  return 0;
}
