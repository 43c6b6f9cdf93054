#pragma once
#include <vector>

#include "support/random.hpp"

/// Data of few distinct values. Roundings of equal values are equal: in long sums they add up.
namespace unitvar::test {

struct FewValues {
  const char* name;
  double (*x)(Random&);
  double (*dy)(Random&);
};

inline double normal_around_1(Random& random) { return 1 + random.normal(); }
inline double byte_over_255(Random& random) { return static_cast<double>(random.integer(0, 255)) / 255; }
template <int low, int high>  // in tenths
double one_of_two(Random& random) {
  return (random.coin() ? high : low) / 10.0;
}
/// What the gradient of a softmax of ten classes with cross entropy begins with.
inline double softmax_gradient(Random& random) { return random.uniform(0, 1) < 0.1 ? -0.9 : 0.1; }

inline constexpr FewValues all_few_values[] = {
    {"an image", byte_over_255, normal_around_1},
    {"an image, a smaller mean", byte_over_255, [](Random& random) { return 0.3 + random.normal(); }},
    {"dropout", one_of_two<0, 14>, normal_around_1},
    {"0.1 and 0.7", one_of_two<1, 7>, normal_around_1},
    {"softmax", [](Random& random) { return random.normal(); }, softmax_gradient},
    {"both of two values", one_of_two<1, 7>, softmax_gradient},
};

template <class T>
void fill(std::vector<T>& values, Random& random, double (*value)(Random&)) {
  for (T& v : values) v = static_cast<T>(value(random));
}

/// Other values in the place of a problem's x and dy.
template <class P>
P with_values(P p, const FewValues& values) {
  Random random(16777216);
  fill(p.x, random, values.x);
  fill(p.dy, random, values.dy);
  return p;
}

}  // namespace unitvar::test
