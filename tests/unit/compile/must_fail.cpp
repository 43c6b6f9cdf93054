// Compiled by ctest with one of the macros, which has to fail with the message that ctest looks for, and with none,
// which has to succeed.
#include <vector>

#include "unitvar/unitvar.hpp"

void calls(const std::vector<float>& x, std::vector<float>& y, const std::vector<double>& wide) {
  unitvar::batch_norm_forward<float>({.extent = {2, 3, 4}, .x = x, .y = y});
#if defined(INTEGER_DTYPE)
  unitvar::BatchNormForward<int> args;
#elif defined(CONST_OUTPUT)
  unitvar::batch_norm_forward<float>({.extent = {2, 3, 4}, .x = x, .y = x});
#elif defined(MIXED_DTYPES)
  unitvar::batch_norm_forward<float>({.extent = {2, 3, 4}, .x = wide, .y = y});
#endif
  static_cast<void>(wide);
}
