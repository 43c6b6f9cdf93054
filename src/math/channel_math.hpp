#pragma once
#include <cmath>
#include <cstdint>
#include <type_traits>

/// The formulas that stand between the passes, one channel at a time, in double. No loops, threads or tiles: a backend
/// brings those.
namespace unitvar::math {

/// What is done for one channel: f(c), of plain pointers and numbers. Channels may come in any order and at the same
/// time. A CPU loops over them (cpu::for_channels, which has a list of all work); another backend may launch them.
template <class F>
concept ChannelWork = std::is_trivially_copyable_v<F> && std::is_nothrow_invocable_v<const F&, std::int64_t>;

/// (B3): the biased variance. An empty batch has none; 0 keeps it finite.
inline double biased_variance(double m2, double count) noexcept { return count > 0 ? m2 / count : 0; }

/// (B3): 1 / the standard deviation.
inline double rstd_of(double var, double eps) noexcept { return 1 / std::sqrt(var + eps); }

/// An absent gamma (null) is 1, an absent beta is 0; so is an absent gradient or tangent of a parameter.
template <class P>
double gamma_at(const P* gamma, std::int64_t c) noexcept {
  return gamma == nullptr ? 1 : static_cast<double>(gamma[c]);
}
template <class P>
double beta_at(const P* beta, std::int64_t c) noexcept {
  return beta == nullptr ? 0 : static_cast<double>(beta[c]);
}

/// Arrays of what stands for gamma * rstd: scale, then factor. Where the product exceeds the largest double, though
/// neither does, they are rstd and gamma; else the product and 1. No product of floats does: calls whose parameters P
/// are floats have no factors.
struct ScaleArrays {
  double* scale;
  double* factor;

  /// `factor` is asked for by a call whose parameters are P.
  template <class P>
  static ScaleArrays of(double* scale, double* factor) noexcept {
    return {scale, std::is_same_v<P, double> ? factor : nullptr};
  }
  [[nodiscard]] ScaleArrays from(std::int64_t c) const noexcept {
    return {scale + c, factor == nullptr ? nullptr : factor + c};
  }
  /// Those of channel c; `product` is gamma * rstd.
  template <class P>
  void set(std::int64_t c, double product, double gamma, double rstd) const noexcept {
    if constexpr (std::is_same_v<P, double>) {
      const bool overflows = !std::isfinite(product) && std::isfinite(gamma) && std::isfinite(rstd);
      scale[c] = overflows ? rstd : product;
      factor[c] = overflows ? gamma : 1;
    } else {
      scale[c] = product;
    }
  }
};

/// (B3), for arrays.
struct Rstd {
  const double* var;
  double eps;
  double* rstd;

  void operator()(std::int64_t c) const noexcept { rstd[c] = rstd_of(var[c], eps); }
};
static_assert(ChannelWork<Rstd>);

/// From doubles to the type that the caller has asked for.
template <class To>
struct Convert {
  const double* from;
  To* to;

  void operator()(std::int64_t c) const noexcept { to[c] = static_cast<To>(from[c]); }
};
static_assert(ChannelWork<Convert<float>>);

/// out = a * b, which may be one of them.
struct Multiply {
  const double *a, *b;
  double* out;

  void operator()(std::int64_t c) const noexcept { out[c] = a[c] * b[c]; }
};
static_assert(ChannelWork<Multiply>);

}  // namespace unitvar::math
