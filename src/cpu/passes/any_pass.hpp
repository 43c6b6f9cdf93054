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

  static constexpr PassFunctions all() noexcept {
    PassFunctions of;
    if constexpr (requires { &Pass::reduce; }) {
      of.reduce = reduce;
      of.merge = merge;
    }
    if constexpr (requires { &Pass::apply; }) of.apply = apply;
    if constexpr (requires { &Pass::finish; }) {
      of.apply_and_reduce = apply_and_reduce;
      of.finish = finish;
      of.check = check;
    }
    return of;
  }
  static constexpr PassFunctions table = all();
};

/// A description as a Traversal sees it, whatever its type: so a Traversal, with its threads, is compiled once. Its
/// functions are called once for each work item or block of channels, that is, for kilobytes of a tensor. The
/// description must stay where it is.
struct AnyPass {
  const void* of;
  const PassFunctions& call;

  template <class Pass>
  AnyPass(const Pass& description) noexcept : of(&description), call(FunctionsOf<Pass>::table) {}
};

}  // namespace unitvar::cpu
