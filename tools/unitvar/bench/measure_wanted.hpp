#pragma once
#include <functional>
#include <string>

#include "bench/measure.hpp"

namespace unitvar::bench {

/// Measures the passes and thread counts that the plan wants of a bench's tensor.
template <class Bench>
void measure_wanted(Bench& bench, const Plan& plan, const Shape& shape, Layout layout, const std::string& dtype,
                    const std::function<void(const Row&)>& done) {
  for (const int threads : plan.threads) {
    for (const Pass pass : plan.passes) {
      const RowKey key = make_key(plan.op, plan.groups, shape, layout, dtype, pass, threads);
      if (wanted(plan, key)) done(bench.measure(pass, threads));
    }
  }
}

}  // namespace unitvar::bench
