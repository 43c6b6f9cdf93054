#pragma once
#include <string>

#include "unitvar/diagnose.hpp"

namespace unitvar::check {

/// All of a diagnosis. What is not finite is null.
std::string json_text(const Diagnosis& diagnosis);

}  // namespace unitvar::check
