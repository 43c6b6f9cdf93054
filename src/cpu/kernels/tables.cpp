// Finds the kernels of an instruction set. Highway's own dispatch keeps its choice in a global; here each call chooses.
#include "cpu/runtime/targets.hpp"

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <string>

#include "cpu/kernels/table.hpp"
#include "cpu/runtime/isa.hpp"
#include "unitvar/error.hpp"

namespace unitvar::kernels {
namespace {

template <class Table>
const Table& table_for(Isa isa) {
  switch (cpu::resolve(isa)) {
#if HWY_TARGETS & HWY_SSE4
    case Isa::sse4:
      return table<Table, Isa::sse4>();
#endif
#if HWY_TARGETS & HWY_AVX2
    case Isa::avx2:
      return table<Table, Isa::avx2>();
#endif
#if HWY_TARGETS & HWY_AVX3
    case Isa::avx512:
      return table<Table, Isa::avx512>();
#endif
#if HWY_TARGETS & HWY_NEON
    case Isa::neon:
      return table<Table, Isa::neon>();
#endif
    default:
      return table<Table, Isa::portable>();
  }
}

}  // namespace

template <class T>
const Kernels<T>& kernels_for(Isa isa) {
  return table_for<Kernels<T>>(isa);
}
template <class T>
const EpilogueKernels<T>& epilogue_kernels_for(Isa isa) {
  return table_for<EpilogueKernels<T>>(isa);
}
template <class T>
const FunctionKernels<T>& function_kernels_for(Isa isa) {
  return table_for<FunctionKernels<T>>(isa);
}
template <class T>
const RowKernels<T>& row_kernels_for(Isa isa) {
  return table_for<RowKernels<T>>(isa);
}
template <class T>
const CombineKernels<T>& combine_kernels_for(Isa isa) {
  return table_for<CombineKernels<T>>(isa);
}

#define UNITVAR_INSTANTIATE(T)                                     \
  template const Kernels<T>& kernels_for<T>(Isa);                  \
  template const EpilogueKernels<T>& epilogue_kernels_for<T>(Isa); \
  template const FunctionKernels<T>& function_kernels_for<T>(Isa); \
  template const RowKernels<T>& row_kernels_for<T>(Isa);           \
  template const CombineKernels<T>& combine_kernels_for<T>(Isa);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

void finish_stores() noexcept { hwy::FlushStream(); }

}  // namespace unitvar::kernels

namespace unitvar {

Isa selected_isa(Isa requested) {
  try {
    return kernels::kernels_for<float>(requested).isa;
  } catch (const Error& error) {
    throw Error(error.code(), std::string("selected_isa: ") + error.what());
  }
}

}  // namespace unitvar
