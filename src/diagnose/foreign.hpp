#pragma once
#include "diagnose/compare.hpp"

namespace unitvar::diagnosis {

/// Whether y is gamma * (a x + b) + beta in each group, with some a and b: normalized, by other statistics.
bool has_other_statistics_in_y(const DiagnosisCase& given, const Truth& truth);

/// Whether dx is what (B27) gives with some other mean and rstd of each group.
bool has_other_statistics_in_dx(const DiagnosisCase& given, const Truth& truth);

/// Whether dx is what (B27) gives with another x_hat and the rstd of x: gamma * rstd * (dy - sum(dy) / N - z * sum(dy *
/// z) / N) for some z of mean 0 and mean square 1. Then q = z * sum(dy * z) / N, which dx gives, has
/// sum(q * q) = sum(dy * q).
bool has_stale_x_hat(const DiagnosisCase& given, const Truth& truth);

}  // namespace unitvar::diagnosis
