#pragma once
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "unitvar/dtype.hpp"

/// The storage types by name: whatever the library knows, the benchmark measures.
namespace unitvar::bench {

[[nodiscard]] inline std::vector<std::string> dtype_names() {
  std::vector<std::string> names;
#define UNITVAR_BENCH_NAME(T) names.emplace_back(DtypeTraits<T>::name);
  UNITVAR_FOR_EACH_DTYPE(UNITVAR_BENCH_NAME)
#undef UNITVAR_BENCH_NAME
  return names;
}

/// Calls visit(std::type_identity<T>()) for the T of that name; `name` is one of dtype_names().
template <class Visitor>
void with_dtype(std::string_view name, const Visitor& visit) {
#define UNITVAR_BENCH_VISIT(T) \
  if (name == DtypeTraits<T>::name) visit(std::type_identity<T>());
  UNITVAR_FOR_EACH_DTYPE(UNITVAR_BENCH_VISIT)
#undef UNITVAR_BENCH_VISIT
}

}  // namespace unitvar::bench
