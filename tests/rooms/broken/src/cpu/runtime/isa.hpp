#pragma once
namespace unitvar::cpu {
int width_of_a_vector();
}  // namespace unitvar::cpu
