#pragma once
#include <cstdint>
#include <span>

#include "c/call.hpp"

/// The caller's pointers as spans of the library.
namespace unitvar::c {

/// A span, or an empty one where there is no memory: what is optional.
template <class Span>
Span maybe(Span span) noexcept {
  return span.data() == nullptr ? Span() : span;
}

/// How many elements the pointers of a call have. A null pointer becomes a span of that length at no address, which
/// the library refuses.
template <class T>
class Memory {
 public:
  using P = param_t<T>;

  Memory(Typed<T> type, const unitvar_extent& e) : Memory(checked(type, e), 1) {}
  /// Statistics of ghost batches, each of `ghost` outer rows.
  Memory(Typed<T> type, const unitvar_extent& e, std::int64_t ghost)
      : Memory(checked(type, e), ghost < 1 ? 0 : ghost_batches(extent_of(e), ghost)) {}
  Memory(Typed<T> type, const unitvar_groups& g) : groups{extent_of(g.extent), g.sample_rows, g.groups} {
    check_groups(type.operation, groups, sizeof(T));
    elements_ = groups.extent.size();
    parameters_ = groups.extent.channels;
    statistics_ = groups.size();
  }
  Memory(Typed<T> type, const unitvar_row_extent& e) : rows{e.rows, e.length} {
    check_extent(type.operation, rows, sizeof(T));
    elements_ = rows.size();
    parameters_ = rows.length;
    statistics_ = rows.rows;
  }
  Memory(Typed<T> type, const unitvar_weight_extent& e) : weights{e.groups, extent_of(e.block)} {
    check_extent(type.operation, weights.block, sizeof(T));
    // As one block of all groups' channels: its size must fit, too.
    Extent all = weights.block;
    if (e.groups < 1 || __builtin_mul_overflow(all.channels, e.groups, &all.channels)) {
      throw Error(ErrorCode::bad_extent, std::string(type.operation) + ": groups is " + std::to_string(e.groups) +
                                             ", want >= 1 and as many channels as 64 bits count");
    }
    check_extent(type.operation, all, sizeof(T));
    elements_ = all.size();
    parameters_ = statistics_ = all.channels;
  }

  Extent extent = {};
  Groups groups = {};
  RowExtent rows = {};
  WeightExtent weights = {};

  std::span<const T> tensor(const void* p) const noexcept { return {static_cast<const T*>(p), size(elements_)}; }
  std::span<T> tensor(void* p) const noexcept { return {static_cast<T*>(p), size(elements_)}; }
  std::span<const P> parameter(const void* p) const noexcept { return {static_cast<const P*>(p), size(parameters_)}; }
  std::span<P> parameter(void* p) const noexcept { return {static_cast<P*>(p), size(parameters_)}; }
  std::span<const double> statistic(const double* p) const noexcept { return {p, size(statistics_)}; }
  std::span<double> statistic(double* p) const noexcept { return {p, size(statistics_)}; }
  /// A weight for each value of a channel.
  std::span<const P> weight(const void* p) const noexcept {
    return {static_cast<const P*>(p), size(extent.outer * extent.inner)};
  }
  /// Bits of an activation.
  std::span<const std::uint8_t> mask(const std::uint8_t* p, const Activation& activation) const {
    return {p, size(batch_norm_act_mask_bytes(extent, activation))};
  }
  std::span<std::uint8_t> mask(std::uint8_t* p, const Activation& activation) const {
    return {p, size(batch_norm_act_mask_bytes(extent, activation))};
  }

 private:
  Memory(const Extent& e, std::int64_t batches)
      : extent(e), elements_(e.size()), parameters_(e.channels), statistics_(batches * e.channels) {}

  static Extent checked(Typed<T> type, const unitvar_extent& e) {
    const Extent extent = extent_of(e);
    check_extent(type.operation, extent, sizeof(T));
    return extent;
  }
  static std::size_t size(std::int64_t n) noexcept { return static_cast<std::size_t>(n); }

  std::int64_t elements_ = 0, parameters_ = 0, statistics_ = 0;
};

}  // namespace unitvar::c
