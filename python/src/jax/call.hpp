#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "unitvar/unitvar.hpp"
#include "xla/ffi/api/ffi.h"

/// A call of XLA's foreign function interface as the library's arguments. The Python side says what each operand is.
/// Tensors are (outer, channels, inner), or (rows, length, 1). An operand or a result of no elements is an absent one.
namespace unitvar::jax {

namespace ffi = xla::ffi;
using std::int64_t;

/// The normalizations, as the Python side numbers them.
enum Family : std::int32_t { batch, frozen, layer, rms, group };

/// What XLA gives a handler.
struct Frame {
  ffi::RemainingArgs args;
  ffi::RemainingRets rets;
  std::int32_t family = 0;
  int64_t sample_rows = 1, groups = 0;  ///< of group normalization
  double eps = 0;
  std::int32_t threads = 0;

  [[nodiscard]] ffi::AnyBuffer arg(std::size_t index) const { return args.get<ffi::AnyBuffer>(index).value(); }
};

/// A Frame with elements of T. Every operation's first operand is x.
template <class T>
class Call {
 public:
  explicit Call(const Frame& frame) : frame_(frame), dims_(frame.arg(0).dimensions()) {
    if (dims_.size() != 3) throw std::invalid_argument("unitvar.jax: x has another rank, want 3");
  }

  [[nodiscard]] Family family() const { return static_cast<Family>(frame_.family); }
  [[nodiscard]] double eps() const { return frame_.eps; }
  [[nodiscard]] Options options() const { return {.cpu = {.threads = frame_.threads}}; }

  /// Operand `index`, as elements of P.
  template <class P>
  [[nodiscard]] std::span<const P> in(std::size_t index) const {
    return elements<const P>(frame_.arg(index));
  }
  /// Result `index`, as elements of P. Doubles may be pairs of uint32.
  template <class P>
  [[nodiscard]] std::span<P> out(std::size_t index) const {
    return elements<P>(*frame_.rets.get<ffi::AnyBuffer>(index).value());
  }

  /// What all argument structs of the library share: the shape, x, and gamma where it has one.
  template <class Args>
  [[nodiscard]] Args common(std::size_t gamma) const {
    Args args{};
    if constexpr (requires { args.groups; }) {
      args.groups = {{dims_[0], dims_[1], dims_[2]}, frame_.sample_rows, frame_.groups};
    } else if constexpr (std::is_same_v<decltype(args.extent), RowExtent>) {
      args.extent = {dims_[0], dims_[1]};
    } else {
      args.extent = {dims_[0], dims_[1], dims_[2]};
    }
    args.x = in<T>(0);
    args.gamma = in<param_t<T>>(gamma);
    if constexpr (requires { args.eps; }) args.eps = eps();
    return args;
  }

 private:
  template <class P>
  static std::span<P> elements(const ffi::AnyBuffer& buffer) {
    return {static_cast<P*>(buffer.untyped_data()), buffer.size_bytes() / sizeof(P)};
  }

  const Frame& frame_;
  ffi::AnyBuffer::Dimensions dims_;
};

/// Statistics that an operand holds: the two or one doubles a group that a forward saved, as pairs of uint32, since JAX
/// has no doubles by default; or a running mean and variance in the parameters' type.
template <class P>
class Statistics {
 public:
  template <class T>
  Statistics(const Call<T>& call, std::size_t index) {
    if (call.family() != frozen) {
      const auto saved = call.template in<double>(index);
      rstd_ = call.family() == rms ? saved : saved.subspan(saved.size() / 2);
      mean_ = saved.first(saved.size() - rstd_.size());
      return;
    }
    const auto given = call.template in<P>(index);
    const std::size_t channels = given.size() / 2;
    own_.assign(given.begin(), given.end());
    for (std::size_t c = channels; c < 2 * channels; ++c) own_.push_back(1 / std::sqrt(own_[c] + call.eps()));
    const std::span<const double> all = own_;
    mean_ = all.first(channels);
    var_ = all.subspan(channels, channels);
    rstd_ = all.subspan(2 * channels);
  }
  Statistics(const Statistics&) = delete;
  Statistics& operator=(const Statistics&) = delete;

  [[nodiscard]] std::span<const double> var() const { return var_; }
  /// Sets what an argument struct has of them.
  template <class Args>
  void into(Args& args) const {
    if constexpr (requires { args.mean; }) args.mean = mean_;
    if constexpr (requires { args.var; }) args.var = var_;
    if constexpr (requires { args.rstd; }) args.rstd = rstd_;
  }

 private:
  std::vector<double> own_;
  std::span<const double> mean_, var_, rstd_;
};

}  // namespace unitvar::jax
