#pragma once

/// What entries of the catalogue have in common.
namespace unitvar::diagnosis {

// Lines that are right.
inline constexpr auto kDx = "dx = gamma * rstd * (dy - sum(dy) / N - x_hat * sum(dy * x_hat) / N);";
inline constexpr auto kRstd = "rstd = 1 / sqrt(var + eps);";
inline constexpr auto kY = "y = gamma * x_hat + beta;";
inline constexpr auto kVar = "var = sum((x - mean) * (x - mean)) / N;";
inline constexpr auto kDgamma = "dgamma = sum(dy * x_hat);";
inline constexpr auto kDbeta = "dbeta = sum(dy);";
inline constexpr auto kRunningMean = "running_mean = (1 - momentum) * running_mean + momentum * mean;";
inline constexpr auto kRunningVar = "running_var = (1 - momentum) * running_var + momentum * var * N / (N - 1);";

// Data that tell.
inline constexpr auto kSums = "a dy whose sum over a group is not near 0";
inline constexpr auto kProducts = "a dy that goes with x_hat: sum(dy * x_hat) not near 0";
inline constexpr auto kSmallVar = "values whose variance is near eps";
inline constexpr auto kFewValues = "few values a group";
inline constexpr auto kGamma = "a gamma that is not 1";
inline constexpr auto kShape = "several samples, channels and pixels, each of them of another mean";
inline constexpr auto kBeta = "a beta that is not 0";

}  // namespace unitvar::diagnosis
