#include "cpu/passes/pass_runner.hpp"

namespace unitvar::cpu {

#define UNITVAR_INSTANTIATE(T) template class PassRunner<T>;
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar::cpu
