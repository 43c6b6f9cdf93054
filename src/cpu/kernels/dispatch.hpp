#pragma once
#include <hwy/highway.h>

#include <iterator>

#include "cpu/runtime/isa.hpp"

namespace unitvar::kernels {

/// Picks from a Highway dispatch table without its process-wide state, so that each call may ask for its own.
template <class Table>
auto pick(const Table& table, Isa isa) {
  hwy::ChosenTarget target;
  target.Update(cpu::highway_target(cpu::resolve(isa)));
  return (std::size(table) == 1 ? table[0] : table[target.GetIndex()])();
}

}  // namespace unitvar::kernels
