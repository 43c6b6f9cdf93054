#include "bench/timing.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <random>

#include "common/interrupt.hpp"

namespace unitvar::bench {
namespace {

constexpr double shortest_turn = 3e-4;
constexpr double cheap_warm_up = 4e-3;
constexpr double slow_call = 0.05, very_slow_call = 0.3;
constexpr std::size_t fewest_undisturbed = 5;

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

// How often the system has taken a processor from any thread of this process.
long preemptions() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

// The turns of one rival. Where threads wait for each other, one preemption costs a whole time slice, which says
// nothing about the work.
struct Turns {
  std::vector<double> undisturbed, disturbed;

  void take(const Turn& turn) {
    const long before = preemptions();
    const double seconds = seconds_of(*turn.work, turn.calls);
    (preemptions() == before ? undisturbed : disturbed).push_back(seconds);
  }

  [[nodiscard]] Timing timing() const {
    const auto count = static_cast<double>(undisturbed.size() + disturbed.size());
    const double part = static_cast<double>(disturbed.size()) / count;
    if (undisturbed.size() >= fewest_undisturbed) return {spread_of(undisturbed), part};
    std::vector<double> all = undisturbed;
    all.insert(all.end(), disturbed.begin(), disturbed.end());
    return {spread_of(std::move(all)), part};
  }
};

}  // namespace

double quick_seconds(const Work& work) {
  tool::Interrupt::check();
  work();
  double best = seconds_of(work, 1);
  const int more = best > very_slow_call ? 0 : best > slow_call ? 1 : 3;
  for (int k = 0; k < more; ++k) best = std::min(best, seconds_of(work, calls_for(best)));
  return best;
}

Turn make_turn(const Work& work, double seconds) { return {&work, calls_for(seconds), seconds < cheap_warm_up}; }

std::vector<Timing> time_in_rounds(const std::vector<Turn>& turns, int rounds) {
  std::vector<Turns> taken(turns.size());
  std::vector<std::size_t> order(turns.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same order in every run
  for (int round = 0; round < rounds; ++round) {
    std::ranges::shuffle(order, random);
    for (const std::size_t k : order) {
      tool::Interrupt::check();
      if (turns[k].warm_up) (*turns[k].work)();
      taken[k].take(turns[k]);
    }
  }
  std::vector<Timing> timings;
  timings.reserve(taken.size());
  for (const Turns& of_one : taken) timings.push_back(of_one.timing());
  return timings;
}

}  // namespace unitvar::bench
