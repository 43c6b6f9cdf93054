#pragma once
#include "bench/measure.hpp"

namespace unitvar::bench {

/// measure_shape for layer and RMS normalization: shape.n rows of shape.c elements. Their rivals are the roofline and,
/// for layer normalization, oneDNN.
void measure_rows(const Plan& plan, const Shape& shape, const std::string& dtype,
                  const std::function<void(const Row&)>& done);

}  // namespace unitvar::bench
