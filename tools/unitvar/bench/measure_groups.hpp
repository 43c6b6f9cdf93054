#pragma once
#include "bench/measure.hpp"

namespace unitvar::bench {

/// measure_shape for group and instance normalization: plan.groups groups of each sample's channels. Their rivals are
/// the roofline and, from version 3.3 on, oneDNN.
void measure_groups(const Plan& plan, const Shape& shape, Layout layout, const std::string& dtype,
                    const std::function<void(const Row&)>& done);

}  // namespace unitvar::bench
