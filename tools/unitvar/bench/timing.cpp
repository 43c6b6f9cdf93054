#include "bench/timing.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <random>

namespace unitvar::bench {
namespace {

constexpr double shortest_turn = 3e-4;
constexpr double cheap_warm_up = 4e-3;

double seconds_of(const Work& work, int calls) {
  const auto begin = std::chrono::steady_clock::now();
  for (int k = 0; k < calls; ++k) work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / calls;
}

int calls_for(double seconds) {
  return std::max(1, static_cast<int>(std::ceil(shortest_turn / std::max(seconds, 1e-9))));
}

// `sorted` at a fraction of the way, between neighbours in proportion.
double quantile(const std::vector<double>& sorted, double fraction) {
  const double place = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

Spread spread_of(std::vector<double> seconds) {
  std::ranges::sort(seconds);
  return {quantile(seconds, 0.5), quantile(seconds, 0.25), quantile(seconds, 0.75)};
}

}  // namespace

double quick_seconds(const Work& work) {
  work();
  double best = seconds_of(work, 1);
  const int more = best > 0.05 ? 1 : 3;
  for (int k = 0; k < more; ++k) best = std::min(best, seconds_of(work, calls_for(best)));
  return best;
}

Turn make_turn(const Work& work, double seconds) { return {&work, calls_for(seconds), seconds < cheap_warm_up}; }

std::vector<Spread> time_in_rounds(const std::vector<Turn>& turns, int rounds) {
  std::vector<std::vector<double>> seconds(turns.size());
  std::vector<std::size_t> order(turns.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same order in every run
  for (int round = 0; round < rounds; ++round) {
    std::ranges::shuffle(order, random);
    for (const std::size_t k : order) {
      const Turn& turn = turns[k];
      if (turn.warm_up) (*turn.work)();
      seconds[k].push_back(seconds_of(*turn.work, turn.calls));
    }
  }
  std::vector<Spread> spreads;
  spreads.reserve(seconds.size());
  for (auto& of_one : seconds) spreads.push_back(spread_of(std::move(of_one)));
  return spreads;
}

}  // namespace unitvar::bench
