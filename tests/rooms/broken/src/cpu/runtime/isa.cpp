#include "cpu/runtime/isa.hpp"

namespace unitvar {
int threads_of_the_cpu();
int threads_of_the_cpu() { return 1; }
int cpu::width_of_a_vector() { return 16; }
}  // namespace unitvar
