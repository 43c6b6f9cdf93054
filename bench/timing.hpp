#pragma once
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

/// Timing of rivals side by side in one process.
namespace unitvar::bench {

using Work = std::function<void()>;

inline double seconds_of(const Work& work, int repeats) {
  const auto begin = std::chrono::steady_clock::now();
  for (int k = 0; k < repeats; ++k) work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / repeats;
}

inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Median seconds of each rival. Every rival has its turn in each round, so that other load on the machine falls on all
/// of them. Each round begins with another rival. Short work is repeated until a turn lasts half a millisecond.
inline std::vector<double> median_seconds(const std::vector<Work>& rivals, double budget_seconds) {
  constexpr double shortest_turn = 5e-4;
  std::vector<int> repeats;
  double round = 0;
  for (const Work& work : rivals) {
    work();
    const double once = seconds_of(work, 1);
    repeats.push_back(std::max(1, static_cast<int>(std::ceil(shortest_turn / once))));
    round += once * repeats.back();
  }
  const auto rounds = static_cast<std::size_t>(std::clamp(budget_seconds / round, 9.0, 501.0));
  std::vector<std::vector<double>> times(rivals.size());
  for (std::size_t r = 0; r < rounds; ++r) {
    for (std::size_t k = 0; k < rivals.size(); ++k) {
      const std::size_t turn = (r + k) % rivals.size();
      times[turn].push_back(seconds_of(rivals[turn], repeats[turn]));
    }
  }
  std::vector<double> medians;
  medians.reserve(times.size());
  for (auto& t : times) medians.push_back(median(std::move(t)));
  return medians;
}

}  // namespace unitvar::bench
