#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "unitvar/api.hpp"
#include "unitvar/reference/closed_forms.hpp"
#include "unitvar/reference/forward.hpp"

/// Relatives of batch normalization that keep its formulas and change what they are given: backward from the output,
/// ghost batches, batch renormalization, and folding. The rules at the top of unitvar/reference.hpp hold.
namespace unitvar::reference {

/// @name In place
/// y in the memory of x, so that the backward has y alone. `slope` is that of a leaky ReLU behind the normalization, 1
/// for none. Error (bad_argument) unless every gamma is not 0 and slope > 0: else y does not tell x_hat.
/// @{

/// x_hat from the output:
///
///   h = y > 0 ? y : y / slope,  x_hat = (h - beta) / gamma
///
/// (B58), (B59). `gamma`, `beta`: C each or empty.
template <class R>
UNITVAR_API std::vector<R> recover_x_hat(const Extent& extent, std::span<const R> y, std::span<const R> gamma,
                                         std::span<const R> beta, R slope);

/// Backward from the output. With h as above, g = y > 0 ? dy : slope * dy:
///
///   S = sum(g),  S_h = sum(g * (h - beta)),  dbeta = S,  dgamma = S_h / gamma
///   dx = gamma * rstd * (g - S / N - (h - beta) * S_h / (N gamma^2))
///
/// (B60). `rstd` is what the forward saved, C.
template <class R>
UNITVAR_API Gradients<R> backward_from_output(const Extent& extent, std::span<const R> y, std::span<const R> rstd,
                                              std::span<const R> gamma, std::span<const R> beta, R slope,
                                              std::span<const R> dy);

/// How many decimal digits x_hat loses on its way through y:
///
///   log10(max(1 + |beta| / |gamma|, smallest / (|gamma| * min(slope, 1))))
///
/// (B61). `smallest` is the smallest normal number of y's type.
template <class R>
UNITVAR_API R digits_lost_in_place(R gamma, R beta, R slope = 1, R smallest = 0);
/// @}

/// What the ghost forward gives: one cache for each ghost batch.
template <class R>
struct GhostForward {
  std::vector<R> y;
  std::vector<Cache<R>> caches;
};

/// Training forward with statistics of consecutive groups of `ghost` outer rows, of which the last may be shorter
/// (B67). ghost >= 1, else Error (bad_argument).
template <class R>
UNITVAR_API GhostForward<R> ghost_forward(const Extent& extent, std::int64_t ghost, std::span<const R> x,
                                          std::span<const R> gamma, std::span<const R> beta, R eps);

/// Backward of ghost_forward: dx group by group; dgamma and dbeta summed over the groups (B67). At least one group,
/// else Error (bad_argument).
template <class R>
UNITVAR_API Gradients<R> ghost_backward(const GhostForward<R>& forward, std::span<const R> dy);

/// What batch renormalization needs beside what batch normalization does.
template <class R>
struct Renormalization {
  std::span<const R> running_mean;  ///< C
  std::span<const R> running_var;   ///< C
  R r_max = 1;                      ///< >= 1, else Error (bad_argument)
  R d_max = 0;                      ///< >= 0, else Error (bad_argument)
};

/// What the renormalized forward gives.
template <class R>
struct RenormForward {
  std::vector<R> y;
  std::vector<R> r, d;  ///< C each, constants for the backward
  Cache<R> cache;
};

/// Training forward of batch renormalization (Ioffe 2017, algorithm 1), std = sqrt(var + eps):
///
///   r = clip(std / running_std, 1 / r_max, r_max),  d = clip((mean - running_mean) / running_std, -d_max, d_max)
///   y = gamma * (x_hat * r + d) + beta
///
/// (B68), (B69).
template <class R>
UNITVAR_API RenormForward<R> renorm_forward(const Extent& extent, std::span<const R> x, std::span<const R> gamma,
                                            std::span<const R> beta, R eps, const Renormalization<R>& renormalization);

/// Backward of renorm_forward, through the batch statistics, with r and d held:
///
///   dbeta = sum(dy),  dgamma = r * sum(dy * x_hat) + d * sum(dy),  dx = r * (dx of batch normalization)
///
/// (B70).
template <class R>
UNITVAR_API Gradients<R> renorm_backward(const RenormForward<R>& forward, std::span<const R> dy);

/// y = scale * x + shift.
template <class R>
struct ScaleShift {
  std::vector<R> scale, shift;  ///< C each
};

/// inference() as one scale and one shift per channel: scale = gamma * rstd, shift = beta - mean * scale (B72).
template <class R>
UNITVAR_API ScaleShift<R> scale_shift(std::span<const R> mean, std::span<const R> var, std::span<const R> gamma,
                                      std::span<const R> beta, R eps);

/// A linear map, or a convolution: a row of weights and a bias for each output channel.
template <class R>
struct LinearMap {
  std::vector<R> weight;  ///< C rows, each of as many elements
  std::vector<R> bias;    ///< C
};

/// inference() folded into the linear map before it: weight' = scale * weight, bias' = scale * bias + shift (B71). An
/// empty bias is 0. C = mean.size() has to divide the length of weight.
template <class R>
UNITVAR_API LinearMap<R> fold(std::span<const R> weight, std::span<const R> bias, std::span<const R> mean,
                              std::span<const R> var, std::span<const R> gamma, std::span<const R> beta, R eps);

}  // namespace unitvar::reference
