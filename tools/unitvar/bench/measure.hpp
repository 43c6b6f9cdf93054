#pragma once
#include <functional>

#include "bench/options.hpp"
#include "bench/row.hpp"

namespace unitvar::bench {

/// Whether a pass can be measured: training needs two values per channel.
[[nodiscard]] bool measurable(Op op, const Shape& shape, Pass pass);

/// What the plan asks for of a tensor, as far as it is measurable.
[[nodiscard]] std::vector<RowKey> wanted_rows(const Plan& plan, const Shape& shape, Layout layout,
                                              const std::string& dtype);

/// Measures every pass and thread count that the plan wants on one shape, layout and dtype, each row in turn. Checks
/// the results of all rivals, then times them side by side. Throws Failure if a result is wrong.
void measure_shape(const Plan& plan, const Shape& shape, Layout layout, const std::string& dtype,
                   const std::function<void(const Row&)>& done);

}  // namespace unitvar::bench
