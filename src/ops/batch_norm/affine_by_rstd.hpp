#pragma once
#include "core/arguments.hpp"
#include "cpu/passes/pass_runner.hpp"
#include "math/forward.hpp"

namespace unitvar::ops {

/// The coefficients of (x - mean) * rstd * gamma + beta. For the mean and rstd that a forward has saved they are the
/// forward's, so what is computed with them has its bits.
template <class T>
class AffineByRstd {
 public:
  template <class Args>
  explicit AffineByRstd(const Args& args) : mean_(args.mean.data()), arrays_(3, args.extent.channels) {
    cpu::for_channels(0, args.extent.channels,
                      math::AffineByRstd<param_t<T>>{.rstd = args.rstd.data(),
                                                     .gamma = core::data_or_null(args.gamma),
                                                     .beta = core::data_or_null(args.beta),
                                                     .to_scale = scale(),
                                                     .to_beta = arrays_[2]});
  }
  [[nodiscard]] math::NormalizeArrays coefficients() const noexcept {
    return {mean_, scale().scale, arrays_[2], scale().factor};
  }

 private:
  [[nodiscard]] math::ScaleArrays scale() const noexcept {
    return math::ScaleArrays::of<param_t<T>>(arrays_[0], arrays_[1]);
  }

  const double* mean_;
  cpu::ChannelArrays arrays_;
};

}  // namespace unitvar::ops
