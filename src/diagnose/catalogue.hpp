#pragma once
#include <span>

#include "diagnose/recipe.hpp"
#include "unitvar/diagnose.hpp"

namespace unitvar::diagnosis {

/// A mistake as a change of the right recipe.
struct Entry {
  const char* id;
  /// Makes it. False where the case cannot have it: of gamma without a gamma.
  bool (*make)(Recipe& r, const DiagnosisCase& given);
  const char* what;
  const char* equation;
  const char* code;
  const char* telling;
};

/// Those that a recipe can make: of the gradient, and of what is before it.
std::span<const Entry> gradient_mistakes();
std::span<const Entry> forward_mistakes();
/// Both.
std::span<const Entry> catalogue();

/// Those that are found otherwise.
enum class Found { eps, cancellation, statistics, x_hat };
const Entry& entry_of(Found found);

Mistake mistake_of(const Entry& entry);

}  // namespace unitvar::diagnosis
