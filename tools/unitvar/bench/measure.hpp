#pragma once
#include <functional>

#include "bench/options.hpp"
#include "bench/row.hpp"

namespace unitvar::bench {

/// Whether a pass can be measured: training needs two values per channel.
[[nodiscard]] bool measurable(const Plan& plan, const Shape& shape, Pass pass);

/// Measures every pass and thread count of the plan on one shape, layout and dtype, each row in turn. Checks the
/// results of all rivals, then times them side by side. Throws Failure if a result is wrong.
void measure_shape(const Plan& plan, const Shape& shape, Layout layout, const std::string& dtype,
                   const std::function<void(const Row&)>& done);

}  // namespace unitvar::bench
