#pragma once

/// Arrays of doubles, an element for each of the C channels, that the second passes take.
namespace unitvar::math {

/// Per-channel arrays over all C channels, for normalize: y = (x - mean) * scale * factor + beta, in two steps where
/// the factor is not 1 (see ScaleArrays); null is 1 everywhere.
struct NormalizeArrays {
  const double* mean;
  const double* scale;
  const double* beta;
  const double* factor = nullptr;
};

/// For the input gradient: dx = ((dy - mean_dy) - (x - mean) * slope) * scale * factor.
struct GradientArrays {
  const double* mean;
  const double* mean_dy;
  const double* slope;
  const double* scale;
  const double* factor = nullptr;
};

/// For a combination: out = (x - x_center) * x_slope + (a - a_center) * a_slope + (b - b_center) * b_slope + offset.
struct CombineArrays {
  const double *x_center, *x_slope;
  const double *a_center, *a_slope;
  const double *b_center, *b_slope;  ///< null without b
  const double* offset;
};

}  // namespace unitvar::math
