#pragma once
#include "unitvar/diagnose.hpp"

namespace unitvar::diagnosis {

/// Throws Error for what diagnose() refuses.
void check(const DiagnosisCase& c);

}  // namespace unitvar::diagnosis
