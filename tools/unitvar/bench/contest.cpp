#include "bench/contest.hpp"

#include <algorithm>
#include <limits>

namespace unitvar::bench {
namespace {

constexpr double seconds_per_row = 2;
constexpr int fewest_rounds = 5;
constexpr int most_rounds = 301;
// Quick looks are off by less than this, on a machine that does nothing else.
constexpr double clearly_slower = 1.2;

struct Look {
  const Contestant* contestant;
  double seconds;
};

bool has_choice(Role role) { return role == Role::roofline || role == Role::onednn_other; }

void drop_the_slow(std::vector<Look>& looks) {
  for (const Role role : {Role::roofline, Role::onednn_other}) {
    double best = std::numeric_limits<double>::infinity();
    for (const Look& look : looks) {
      if (look.contestant->role == role) best = std::min(best, look.seconds);
    }
    std::erase_if(looks, [&](const Look& look) {
      return look.contestant->role == role && has_choice(role) && look.seconds > clearly_slower * best;
    });
  }
}

int rounds_for(const std::vector<Look>& looks, const std::vector<Turn>& turns, int repeat) {
  if (repeat > 0) return repeat;
  double round = 0;
  for (std::size_t k = 0; k < looks.size(); ++k) {
    round += looks[k].seconds * (turns[k].calls + (turns[k].warm_up ? 1 : 0));
  }
  return static_cast<int>(std::clamp(seconds_per_row / round, double{fewest_rounds}, double{most_rounds}));
}

}  // namespace

const Result* Results::best(Role role) const {
  const Result* found = nullptr;
  for (const Result& result : all) {
    if (result.role != role) continue;
    if (found == nullptr || result.seconds.median < found->seconds.median) found = &result;
  }
  return found;
}

Results hold_contest(const std::vector<Contestant>& contestants, int repeat) {
  std::vector<Look> looks;
  looks.reserve(contestants.size());
  for (const Contestant& contestant : contestants) looks.push_back({&contestant, quick_seconds(contestant.rival.run)});
  drop_the_slow(looks);
  std::vector<Turn> turns;
  turns.reserve(looks.size());
  for (const Look& look : looks) turns.push_back(make_turn(look.contestant->rival.run, look.seconds));
  const int rounds = rounds_for(looks, turns, repeat);
  const std::vector<Timing> timings = time_in_rounds(turns, rounds);
  Results results{rounds, {}};
  for (std::size_t k = 0; k < looks.size(); ++k) {
    results.all.push_back(
        {looks[k].contestant->role, looks[k].contestant->rival.name, timings[k].seconds, timings[k].disturbed});
  }
  return results;
}

}  // namespace unitvar::bench
