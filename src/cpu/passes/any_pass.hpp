#pragma once
#include <cstdint>

#include "cpu/phases/work_item.hpp"
#include "cpu/plan/merge_tiles.hpp"

namespace unitvar::cpu {

/// The functions of a pass or of two, by pointers; null where a description has none (see passes.hpp).
struct PassFunctions {
  void (*reduce)(const void*, const WorkItem&, math::ChannelPairs) noexcept = nullptr;
  void (*merge)(const void*, std::int64_t, std::int64_t, const TileLeaves&) noexcept = nullptr;
  void (*apply)(const void*, const WorkItem&) noexcept = nullptr;
  void (*apply_and_reduce)(const void*, const WorkItem&, const WorkItem&, math::ChannelPairs) noexcept = nullptr;
  void (*finish)(const void*, std::int64_t, std::int64_t) noexcept = nullptr;
  void (*check)(const void*) = nullptr;
  bool finishes_groups = false;  ///< finish takes whole groups of channels
};

/// Those of a description.
template <class Pass>
struct FunctionsOf {
  static void reduce(const void* pass, const WorkItem& item, math::ChannelPairs out) noexcept {
    static_cast<const Pass*>(pass)->reduce(item, out);
  }
  static void merge(const void* pass, std::int64_t begin, std::int64_t end, const TileLeaves& leaves) noexcept {
    static_cast<const Pass*>(pass)->merge(begin, end, leaves);
  }
  static void apply(const void* pass, const WorkItem& item) noexcept { static_cast<const Pass*>(pass)->apply(item); }
  static void apply_and_reduce(const void* pass, const WorkItem& item, const WorkItem& next,
                               math::ChannelPairs out) noexcept {
    static_cast<const Pass*>(pass)->apply_and_reduce(item, next, out);
  }
  static void finish(const void* pass, std::int64_t begin, std::int64_t end) noexcept {
    static_cast<const Pass*>(pass)->finish(begin, end);
  }
  static void check(const void* pass) { static_cast<const Pass*>(pass)->check(); }

  static constexpr PassFunctions first{.reduce = reduce, .merge = merge};
  static constexpr PassFunctions second{.apply = apply};
  static constexpr PassFunctions both{.reduce = reduce,
                                      .merge = merge,
                                      .apply = apply,
                                      .apply_and_reduce = apply_and_reduce,
                                      .finish = finish,
                                      .check = check,
                                      .finishes_groups = requires {Pass::kGroups;
}
};  // namespace unitvar::cpu
}
;

/// A description as a Traversal sees it, whatever its type: a Traversal, with its threads, is compiled once. Called
/// once for each work item or block of channels, that is, for kilobytes of a tensor. The description must stay where it
/// is.
class AnyPass {
 public:
  template <class Pass>
  static AnyPass first(const Pass& pass) noexcept {
    return {&pass, FunctionsOf<Pass>::first};
  }
  template <class Pass>
  static AnyPass second(const Pass& pass) noexcept {
    return {&pass, FunctionsOf<Pass>::second};
  }
  template <class Passes>
  static AnyPass both(const Passes& passes) noexcept {
    return {&passes, FunctionsOf<Passes>::both};
  }

  void reduce(const WorkItem& item, math::ChannelPairs out) const noexcept { f_.reduce(pass_, item, out); }
  void merge(std::int64_t begin, std::int64_t end, const TileLeaves& leaves) const noexcept {
    f_.merge(pass_, begin, end, leaves);
  }
  void apply(const WorkItem& item) const noexcept { f_.apply(pass_, item); }
  void apply_and_reduce(const WorkItem& item, const WorkItem& next, math::ChannelPairs out) const noexcept {
    f_.apply_and_reduce(pass_, item, next, out);
  }
  void finish(std::int64_t begin, std::int64_t end) const noexcept { f_.finish(pass_, begin, end); }
  void check() const { f_.check(pass_); }
  [[nodiscard]] bool finishes_groups() const noexcept { return f_.finishes_groups; }

 private:
  AnyPass(const void* pass, const PassFunctions& functions) noexcept : pass_(pass), f_(functions) {}

  const void* pass_;
  const PassFunctions& f_;
};

}  // namespace unitvar::cpu
