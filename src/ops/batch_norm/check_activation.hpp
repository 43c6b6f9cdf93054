#pragma once
#include "core/arguments.hpp"
#include "core/text.hpp"
#include "unitvar/activation.hpp"

namespace unitvar::ops {

/// Refuses numbers that are no activation.
inline void check_activation(const core::Arguments& check, const Activation& activation) {
  check.finite("activation.negative_slope", activation.negative_slope);
  check.finite("activation.low", activation.low);
  check.finite("activation.high", activation.high);
  if (activation.low < activation.high) return;
  check.fail(ErrorCode::bad_argument, "activation.low is " + core::number(activation.low) +
                                          ", want less than activation.high = " + core::number(activation.high));
}

}  // namespace unitvar::ops
