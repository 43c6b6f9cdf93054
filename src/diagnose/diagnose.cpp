#include "unitvar/diagnose.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "diagnose/catalogue.hpp"
#include "diagnose/compare.hpp"
#include "diagnose/foreign.hpp"
#include "unitvar/error.hpp"

namespace unitvar {
namespace diagnosis {
namespace {

using Operation = DiagnosisOperation;
using std::int64_t;

/// Pairs of mistakes are tried on up to this many elements of x: half a minute.
constexpr int64_t kMostForPairs = 1 << 18;

/// With a larger tolerance no mistake is named.
constexpr double kMostTolerance = 0.1;

void check_length(std::string_view name, std::span<const double> t, int64_t wanted, bool required = false) {
  if (t.empty() && !required) return;
  const std::string is = "diagnose: " + std::string(name);
  if (static_cast<int64_t>(t.size()) != wanted) {
    throw Error(ErrorCode::wrong_length,
                is + " has " + std::to_string(t.size()) + " elements, want " + std::to_string(wanted));
  }
  if (t.data() == nullptr) throw Error(ErrorCode::null_data, is + " points nowhere");
}

void check(const DiagnosisCase& c) {
  const int64_t all = sizes_of(c).all();
  const Grouping g = grouping_of(c, {});
  const DiagnosisResults& r = c.results;
  const bool batch = c.operation == Operation::batch_norm;
  const auto bad = [](const std::string& text) { return Error(ErrorCode::bad_argument, "diagnose: " + text); };
  check_length("x", c.x, all, true);
  check_length("dy", c.dy, all, !r.dx.empty() || !r.dgamma.empty() || !r.dbeta.empty());
  for (const auto& [name, t] : {std::pair("gamma", c.gamma), std::pair("beta", c.beta), std::pair("dgamma", r.dgamma),
                                std::pair("dbeta", r.dbeta)}) {
    check_length(name, t, g.parameters);
  }
  for (const auto& [name, t] : {std::pair("mean", r.mean), std::pair("var", r.var), std::pair("rstd", r.rstd)}) {
    check_length(name, t, g.groups);
  }
  const bool running = !r.running_mean.empty() || !r.running_var.empty() || c.inference || !c.running_mean.empty() ||
                       !c.running_var.empty();
  if (running && !batch) throw bad("running statistics are given, want none but of batch_norm");
  check_length("running_mean before the step", c.running_mean, g.groups, running);
  check_length("running_var before the step", c.running_var, g.groups, running);
  check_length("running_mean", r.running_mean, g.groups);
  check_length("running_var", r.running_var, g.groups);
  check_length("y", r.y, all);
  check_length("dx", r.dx, all);
  if (!std::isfinite(c.eps) || c.eps < 0) throw bad("eps is " + std::to_string(c.eps) + ", want 0 or more");
  if (!std::isfinite(c.momentum)) throw bad("momentum is " + std::to_string(c.momentum) + ", want a finite number");
  if (g.values() < 2 && c.operation != Operation::rms_norm && !c.inference) {
    throw Error(ErrorCode::too_few_values, "diagnose: a group has one value, want 2 or more");
  }
  if (std::ranges::all_of(given_results(c), [](std::span<const double> t) { return t.empty(); }))
    throw bad("no result is given, want y, dx, dgamma, dbeta, mean, var, rstd or running statistics");
}

/// What a mistake, or two, would give, against what is given.
struct Match {
  std::vector<std::size_t> made;    ///< entries of the catalogue
  std::vector<std::size_t> covers;  ///< wrong results that it gives
  bool spares = true;               ///< changes no result that is right
  double error = 0;
};

class Search {
 public:
  Search(const DiagnosisCase& given, const Truth& truth, Diagnosis& out)
      : given_(given), truth_(truth), out_(out), entries_(catalogue()) {
    const auto results = given_results(given_);
    for (std::size_t k = 0; k < results.size(); ++k) {
      if (results[k].empty()) continue;
      out_.tensors.push_back(compare(given_, k, truth_));
      (out_.tensors.back().right ? right_ : wrong_).push_back(k);
    }
    out_.right = wrong_.empty();
  }

  void run() {
    singles();
    foreign();
    if (!wrong_.empty() && static_cast<int64_t>(given_.x.size()) <= kMostForPairs) pairs();
    for (const std::size_t k : wrong_) {
      const auto t = std::ranges::find(out_.tensors, kNames[k], &DiagnosedTensor::name);
      t->place = place_of_error(given_results(given_)[k], truth_.right[k],
                                shape_of(given_, is_like_x(k), static_cast<int64_t>(truth_.right[k].size())));
    }
  }

 private:
  /// Whether a result differs from the right one by more than rounding.
  [[nodiscard]] bool shows(const Results& results, std::size_t k) const {
    return !(distance(results[k], truth_.right[k]) <= 4 * truth_.tolerance[k]);
  }

  /// Where it would show: in results that are not given, or on other data.
  [[nodiscard]] Mistake untold(const Entry& entry, const Results& results) const {
    Mistake m = mistake_of(entry);
    std::string names;
    for (std::size_t k = 0; k < kNames.size(); ++k) {
      if (given_results(given_)[k].empty() && !truth_.right[k].empty() && shows(results, k))
        names += (names.empty() ? "" : ", ") + std::string(kNames[k]);
    }
    if (!names.empty()) m.telling = names + ", not given here";
    return m;
  }

  [[nodiscard]] Match match_of(const Results& results, std::vector<std::size_t> made) const {
    Match match{std::move(made), {}, true, 0};
    const auto given = given_results(given_);
    for (const std::size_t k : wrong_) {
      if (truth_.tolerance[k] > kMostTolerance) continue;  // rounding hides what is wrong
      const double error = distance(given[k], results[k]), from_right = distance(given[k], truth_.right[k]);
      if (!(error <= truth_.tolerance[k]) || !shows(results, k) || !(4 * error <= from_right)) continue;
      match.covers.push_back(k);
      match.error = std::max(match.error, error);
    }
    match.spares = std::ranges::none_of(right_, [&](std::size_t k) { return shows(results, k); });
    return match;
  }

  void singles() {
    std::vector<Match> matches;
    for (std::size_t m = 0; m < entries_.size(); ++m) {
      Recipe recipe;
      if (!entries_[m].make(recipe, given_)) continue;
      const Results results = compute<double>(given_, recipe);
      const bool told = std::ranges::any_of(right_, [&](std::size_t k) { return shows(results, k); }) ||
                        std::ranges::any_of(wrong_, [&](std::size_t k) { return shows(results, k); });
      if (!told) out_.untold.push_back(untold(entries_[m], results));
      if (!wrong_.empty()) matches.push_back(match_of(results, {m}));
    }
    explain_by(matches);
  }

  void pairs() {
    std::vector<Match> matches;
    std::vector<Recipe> single(entries_.size());
    std::vector<bool> applies(entries_.size());
    for (std::size_t m = 0; m < entries_.size(); ++m) applies[m] = entries_[m].make(single[m], given_);
    for (std::size_t a = 0; a < entries_.size(); ++a) {
      for (std::size_t b = a + 1; b < entries_.size(); ++b) {
        if (!applies[a] || !applies[b]) continue;
        Recipe recipe, reversed;
        (void)entries_[a].make(recipe, given_), (void)entries_[b].make(recipe, given_);
        (void)entries_[b].make(reversed, given_), (void)entries_[a].make(reversed, given_);
        // Two that exclude each other, or of which one holds the other, are no pair.
        if (!(recipe == reversed) || recipe == single[a] || recipe == single[b]) continue;
        matches.push_back(match_of(compute<double>(given_, recipe), {a, b}));
      }
    }
    explain_by(matches);
  }

  /// Those that give most of the wrong results, of these those that spare the right ones; then the next.
  void explain_by(const std::vector<Match>& matches) {
    while (!wrong_.empty()) {
      const auto covered = [&](const Match& m) {
        std::vector<std::size_t> found;
        std::ranges::copy_if(m.covers, std::back_inserter(found),
                             [&](std::size_t k) { return std::ranges::find(wrong_, k) != wrong_.end(); });
        return found;
      };
      const auto rank = [&](const Match& m) { return 2 * covered(m).size() + (m.spares ? 1 : 0); };
      const auto best = std::ranges::max_element(matches, {}, rank);
      if (best == matches.end() || covered(*best).empty()) return;
      const std::vector<std::size_t> tensors = covered(*best);
      for (const Match& m : matches) {
        if (m.spares == best->spares && covered(m) == tensors) add(m.made, tensors, m.error);
      }
      std::erase_if(wrong_, [&](std::size_t k) { return std::ranges::find(tensors, k) != tensors.end(); });
    }
  }

  void foreign() {
    const auto is_wrong = [&](std::size_t k) { return std::ranges::find(wrong_, k) != wrong_.end(); };
    const auto finite = [&](std::size_t k) {
      return std::isfinite(distance(given_results(given_)[k], truth_.right[k]));
    };
    const auto found = [&](Foreign which, std::vector<std::size_t> tensors) {
      DiagnosisExplanation e{{}, {mistake_of(entry_of(which))}, 0};
      for (const std::size_t k : tensors) {
        if (!is_wrong(k)) continue;
        e.tensors.emplace_back(kNames[k]);
        std::erase(wrong_, k);
      }
      out_.explanations.push_back(std::move(e));
    };
    const bool in_y = is_wrong(kY) && finite(kY) && has_other_statistics_in_y(given_, truth_);
    const bool in_dx = is_wrong(kDx) && finite(kDx) && has_other_statistics_in_dx(given_, truth_);
    if (in_y || in_dx) {  // what is given of the statistics, and dgamma, are then of that batch
      std::vector<std::size_t> tensors = {kMean, kVar, kRstd, kDgamma};
      if (in_y) tensors.push_back(kY);
      if (in_dx) tensors.push_back(kDx);
      return found(Foreign::statistics, std::move(tensors));
    }
    if (is_wrong(kDx) && finite(kDx) && has_stale_x_hat(given_, truth_)) found(Foreign::x_hat, {kDx, kDgamma});
  }

  void add(const std::vector<std::size_t>& made, const std::vector<std::size_t>& tensors, double error) {
    DiagnosisExplanation e;
    for (const std::size_t k : tensors) e.tensors.emplace_back(kNames[k]);
    for (const std::size_t m : made) e.mistakes.push_back(mistake_of(entries_[m]));
    e.error = error;
    out_.explanations.push_back(std::move(e));
  }

  const DiagnosisCase& given_;
  const Truth& truth_;
  Diagnosis& out_;
  std::span<const Entry> entries_;
  std::vector<std::size_t> right_, wrong_;  ///< results by number; the wrong ones that nothing explains yet
};

}  // namespace
}  // namespace diagnosis

Diagnosis diagnose(const DiagnosisCase& given) {
  diagnosis::check(given);
  const diagnosis::Truth truth = diagnosis::truth_of(given);
  Diagnosis out;
  diagnosis::Search(given, truth, out).run();
  return out;
}

}  // namespace unitvar
