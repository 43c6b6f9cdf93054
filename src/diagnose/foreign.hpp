#pragma once
#include <optional>
#include <string>
#include <vector>

#include "diagnose/compare.hpp"

/// Statistics that normalize in place of those of x.
namespace unitvar::diagnosis {

/// Of each group.
struct Statistics {
  std::vector<double> mean, var;
  std::vector<bool> is_fitted{};  ///< the others, of which nothing can be said, are those of x
};

/// Statistics with which the layer may give y, dx, or var and rstd as they are: fits, which are still to be tried.
std::vector<Statistics> statistics_behind(const DiagnosisCase& given, const Truth& truth);

/// Whether y or dx, as far as they are given, would show statistics of another batch.
bool shows_statistics(const DiagnosisCase& given, const Truth& truth);
/// Whether dx, if it is given, would show the x_hat of another batch.
bool shows_x_hat(const DiagnosisCase& given, const Truth& truth);

/// The eps with which the statistics of x are these: the same in all groups, about. Nothing where there is none.
std::optional<double> eps_of(const DiagnosisCase& given, const Truth& truth, const Statistics& s);

/// Whether these statistics are those of x, but for a variance that is off by as much as E[x * x] - mean * mean would
/// be in the dtype, and not by the same factor everywhere.
bool is_cancellation(const DiagnosisCase& given, const Truth& truth, const Statistics& s);

/// dx, if it is what (B27) gives with another x_hat and the rstd of x: gamma * rstd * (dy - sum(dy) / N - z * sum(dy *
/// z) / N) for some z with the mean and mean square of x_hat. Then q = z * sum(dy * z) / N, which dx gives, has sum(q *
/// q) = sum(dy * q) * mean square. Also dgamma, if it is sum(dy * z). Else nothing.
std::vector<std::size_t> with_stale_x_hat(const DiagnosisCase& given, const Truth& truth);

/// Where y is an affine function of x in each group, which of scale and shift is not right; or nothing.
std::string affine_text(const DiagnosisCase& given, const Truth& truth);

}  // namespace unitvar::diagnosis
