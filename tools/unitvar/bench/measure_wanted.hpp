#pragma once
#include <functional>
#include <string>

#include "bench/measure.hpp"

namespace unitvar::bench {

/// Measures the passes and thread counts that the plan wants of a bench's tensor.
template <class Bench>
void measure_wanted(Bench& bench, const Plan& plan, const Shape& shape, Layout layout, const std::string& dtype,
                    const std::function<void(const Row&)>& done) {
  for (const RowKey& key : wanted_rows(plan, shape, layout, dtype)) done(bench.measure(key.pass, key.threads));
}

}  // namespace unitvar::bench
