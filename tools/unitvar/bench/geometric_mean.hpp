#pragma once
#include <cmath>
#include <functional>
#include <iterator>

namespace unitvar::bench {

/// Of value(element), over all elements.
template <class Range, class Value = std::identity>
double geometric_mean(const Range& range, const Value& value = {}) {
  double sum = 0;
  for (const auto& element : range) sum += std::log(value(element));
  return std::exp(sum / static_cast<double>(std::size(range)));
}

}  // namespace unitvar::bench
