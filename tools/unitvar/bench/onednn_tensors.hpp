#pragma once
#include <string_view>
#include <vector>

#include "bench/problem.hpp"

namespace unitvar::bench {

/// A problem's tensors as oneDNN sees them: addresses instead of types, in the problem's layout; parameters are floats,
/// as oneDNN wants them.
struct OnednnTensors {
  std::string_view dtype;
  void *x, *dy, *out;
  std::vector<float> gamma, beta;
};

template <class T>
OnednnTensors onednn_tensors(const Problem<T>& d) {
  return {DtypeTraits<T>::name,          d.x.data(), d.dy.data(), d.out.data(), {d.gamma.begin(), d.gamma.end()},
          {d.beta.begin(), d.beta.end()}};
}

}  // namespace unitvar::bench
