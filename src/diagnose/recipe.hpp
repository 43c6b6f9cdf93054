#pragma once
#include <vector>

namespace unitvar::diagnosis {

/// How a layer computes. Each member has the value that is right; a mistake changes one or two of them.
struct Recipe {
  enum class Groups {
    usual,
    wrong_axis,    ///< batch norm by samples; the others over the batch
    samples_only,  ///< each pixel by itself, over the batch
    pixels_only,   ///< each channel of each sample
    other_axis,    ///< a channel is an index of the last axis where axis 1 is meant, or the reverse
    misread,       ///< memory read as if it had the other layout
  };
  enum class Moments {
    two_passes,
    updates,  ///< Welford's: no mistake
    shifted,  ///< by sums of x - x[0] and of its squares: no mistake either
    squares,  ///< by sums of x and of its squares
  };
  enum class Eps { inside, outside, forgotten };
  enum class Spread { std, var, inverted };        ///< what x - mean is divided by; inverted: multiplied by std
  enum class Sum { all, first, last };             ///< of dgamma and dbeta; first and last: one element alone
  enum class Factor { x_hat, x, deviation };       ///< what dgamma multiplies dy with
  enum class VarPath { usual, x_i_for_x_j };       ///< the second: a slip of Part 2
  enum class Momentum { usual, reversed, whole };  ///< whole: the new statistics alone
  enum class Kept { var, std, rstd, inverse };     ///< what is given as var or rstd
  enum class Mask { both, sums_without, none };    ///< of a ReLU: where it is applied to dy

  Groups groups = Groups::usual;
  double ddof = 0;
  bool ddof_in_gradient = false;
  Eps eps_place = Eps::inside;
  double eps = -1;  ///< the case's, unless it is 0 or more
  Spread spread = Spread::std;
  bool mean_subtracted = true;
  double mean_error = 0;  ///< of the mean, in parts of it: not a mistake, but what rounding may do
  Moments moments = Moments::two_passes;
  bool other_statistics = false;  ///< running ones in training, the batch's in inference
  bool other_mode = false;        ///< of the gradient: statistics are constants in training, or are not in inference
  std::vector<double> given_mean, given_var;  ///< of each group: in place of the batch's
  double sign_x_hat = 1;
  int gamma_power_y = 1, gamma_power_dx = 1;
  double beta_factor = 1;
  double mean_path = 1, var_path = 1;                    ///< factors of the two terms of dx behind dy
  bool mean_sum_divided = true, var_sum_divided = true;  ///< by N
  bool samples_for_values = false;                       ///< the N that divides them is that of the samples
  bool all_divided = true;  ///< false: the terms are N dy - ..., and 1 / N is missing in front
  VarPath var_path_form = VarPath::usual;
  bool diagonal = false;  ///< dx is dy times the diagonal of the Jacobian
  bool rstd_in_dx = true;
  double sign_dx = 1, sign_dgamma = 1, sign_dbeta = 1;
  Factor dgamma_factor = Factor::x_hat;
  Sum parameter_sum = Sum::all;
  bool parameters_averaged = false;
  Mask mask = Mask::both;
  Momentum momentum = Momentum::usual;
  double running_ddof = 1;
  Kept var_kept = Kept::var, rstd_kept = Kept::rstd;

  bool operator==(const Recipe&) const = default;
};

}  // namespace unitvar::diagnosis
