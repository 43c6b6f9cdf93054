#pragma once
/// The mathematics of batch normalization, executable: scalar, one line of code for one equation, to be read beside
/// docs/derivation.md, whose numbers (B1), (B2), ... stand in the code and in the names of its tests.
///
/// Common to all of unitvar::reference:
/// - R, the type of the arithmetic, is double ("the specification") or long double (which judges double). Inputs are
///   converted to R by the caller; results come back as vectors of R.
/// - Tensors have extent.size() elements in the order of Extent; parameters and statistics have C = extent.channels.
///   N = extent.count() is the number of values per channel. An empty gamma is 1, an empty beta is 0.
/// - Every variance here is the biased one, M2 / N, except where a name says unbiased.
/// - Results are new memory, so nothing overlaps anything; inputs may overlap one another.
/// - Sums are pairwise and the mean is refined once, so the rounding error of a result grows with log2(N), not N.
///   Relative L2 error of y and of the gradients in double: <= 1e-14 for |mean|/std <= 10, in proportion above
///   (tests/gradient/precision_test.cpp).
/// - N = 1 is legal (x_hat = 0, dx = 0) and so is an empty batch (mean = var = 0, dgamma = dbeta = 0). NaN and Inf stay
///   in their channel.
/// - Errors are thrown as Error: wrong_length, null_data, bad_extent, overflow. bad_epsilon is thrown where eps is not
///   finite or leaves var + eps <= 0.
/// - Pure functions: safe to call from any number of threads. No ranks.
///
///   namespace reference = unitvar::reference;
///   const auto forward = reference::forward<double>(extent, x, gamma, beta, 1e-5);  // spans of const double
///   const auto gradients = reference::backward<double>(forward.cache, dy);
#include "unitvar/reference/activation.hpp"
#include "unitvar/reference/calculus.hpp"
#include "unitvar/reference/closed_forms.hpp"
#include "unitvar/reference/derivatives.hpp"
#include "unitvar/reference/forward.hpp"
#include "unitvar/reference/group_norm.hpp"
#include "unitvar/reference/layer_norm.hpp"
#include "unitvar/reference/staged.hpp"
#include "unitvar/reference/statistics.hpp"
#include "unitvar/reference/variants.hpp"
#include "unitvar/reference/weighted.hpp"
