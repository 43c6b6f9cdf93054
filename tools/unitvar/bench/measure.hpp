#pragma once
#include <functional>

#include "bench/options.hpp"
#include "bench/row.hpp"

namespace unitvar::bench {

/// Whether a pass can be measured: training needs two values per channel.
[[nodiscard]] bool measurable(Op op, const Shape& shape, Pass pass);

/// Whether a combination of a plan is measurable, and asked for.
[[nodiscard]] bool wanted(const Plan& plan, const RowKey& key);

/// Whether any pass and thread count of the plan is wanted for this tensor.
[[nodiscard]] bool any_wanted(const Plan& plan, const Shape& shape, Layout layout, const std::string& dtype);

/// Measures every pass and thread count that the plan wants on one shape, layout and dtype, each row in turn. Checks
/// the results of all rivals, then times them side by side. Throws Failure if a result is wrong.
void measure_shape(const Plan& plan, const Shape& shape, Layout layout, const std::string& dtype,
                   const std::function<void(const Row&)>& done);

}  // namespace unitvar::bench
