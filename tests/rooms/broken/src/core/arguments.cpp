// A lower room that reaches a higher one twice: by the include, and by what a public header may declare.
#include "cpu/runtime/isa.hpp"

namespace unitvar {
int threads_of_the_cpu();

int check_arguments() { return cpu::width_of_a_vector() + threads_of_the_cpu(); }
}  // namespace unitvar
