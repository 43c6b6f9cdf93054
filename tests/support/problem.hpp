#pragma once
#include <cstdint>
#include <vector>

#include "support/random.hpp"
#include "support/shapes.hpp"
#include "unitvar/batch_norm.hpp"

namespace unitvar::test {

/// Inputs of one forward and backward. An empty gamma or beta is an absent one.
template <class T>
struct Problem {
  Extent extent;
  std::vector<T> x, dy;
  std::vector<param_t<T>> gamma, beta;
  double eps = 1e-5;
};

struct ProblemSpec {
  Extent extent;
  double mean_over_std = 0;  ///< of x, in every channel, the sign alternating
  bool gamma = true;
  bool beta = true;
  double scale = 1;  ///< std of x
  std::uint64_t seed = 20150211;
};

template <class T>
std::vector<T> normal_values(std::int64_t size, Random& random, double mean = 0, double std = 1) {
  std::vector<T> values(to_size(size));
  for (T& v : values) v = static_cast<T>(mean + std * random.normal());
  return values;
}

/// Normal x with the wanted mean and scale, dense random dy, gamma around 1, beta around 0.
template <class T>
Problem<T> make_problem(const ProblemSpec& spec) {
  const Extent& e = spec.extent;
  Random random(spec.seed);
  Problem<T> p{.extent = e, .x = {}, .dy = {}, .gamma = {}, .beta = {}};
  p.x = normal_values<T>(e.size(), random);
  for (std::int64_t k = 0; k < e.size(); ++k) {
    const double sign = (k / e.inner) % e.channels % 2 == 0 ? 1 : -1;
    T& value = p.x[to_size(k)];
    value = static_cast<T>(spec.scale * (sign * spec.mean_over_std + static_cast<double>(value)));
  }
  p.dy = normal_values<T>(e.size(), random);
  if (spec.gamma) p.gamma = normal_values<param_t<T>>(e.channels, random, 1, 0.5);
  if (spec.beta) p.beta = normal_values<param_t<T>>(e.channels, random, 0, 0.5);
  return p;
}

template <class T>
Problem<T> make_problem(const Extent& extent, double mean_over_std = 0) {
  return make_problem<T>(ProblemSpec{.extent = extent, .mean_over_std = mean_over_std});
}

/// The elements of channel c, in memory order.
template <class T>
std::vector<T> channel_values(const Extent& e, const std::vector<T>& values, std::int64_t c) {
  std::vector<T> of_channel;
  for (std::int64_t o = 0; o < e.outer; ++o) {
    for (std::int64_t i = 0; i < e.inner; ++i) of_channel.push_back(values[to_size(e.index(o, c, i))]);
  }
  return of_channel;
}

}  // namespace unitvar::test
