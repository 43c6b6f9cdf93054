#pragma once
#include "cpu/kernels/combine.hpp"
#include "cpu/kernels/epilogue.hpp"
#include "cpu/kernels/functions.hpp"
#include "cpu/kernels/kernels.hpp"
#include "cpu/kernels/rows.hpp"
#include "unitvar/dtype.hpp"

/// Between the sources that are compiled for one storage type and one group of instruction sets, and those who call.
namespace unitvar::kernels {

/// The kernels of one family, storage type and instruction set. The source of the family defines it once for each.
template <class Table, Isa isa>
const Table& table() noexcept;

#define UNITVAR_DECLARE_TABLE(Table)                   \
  template <>                                          \
  const Table& table<Table, Isa::portable>() noexcept; \
  template <>                                          \
  const Table& table<Table, Isa::sse4>() noexcept;     \
  template <>                                          \
  const Table& table<Table, Isa::avx2>() noexcept;     \
  template <>                                          \
  const Table& table<Table, Isa::avx512>() noexcept;   \
  template <>                                          \
  const Table& table<Table, Isa::neon>() noexcept;
#define UNITVAR_DECLARE_TABLES(T)           \
  UNITVAR_DECLARE_TABLE(Kernels<T>)         \
  UNITVAR_DECLARE_TABLE(EpilogueKernels<T>) \
  UNITVAR_DECLARE_TABLE(FunctionKernels<T>) \
  UNITVAR_DECLARE_TABLE(RowKernels<T>)      \
  UNITVAR_DECLARE_TABLE(CombineKernels<T>)
UNITVAR_FOR_EACH_DTYPE(UNITVAR_DECLARE_TABLES)
#undef UNITVAR_DECLARE_TABLES
#undef UNITVAR_DECLARE_TABLE

}  // namespace unitvar::kernels
