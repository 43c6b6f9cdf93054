#include "unitvar/diagnose.hpp"

#include <algorithm>
#include <array>
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
  const int64_t all = extent_of(c).size();
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
      : given_(given), truth_(truth), out_(out), entries_(catalogue()), results_(given_results(given)) {
    for (std::size_t k = 0; k < results_.size(); ++k) {
      if (results_[k].empty()) continue;
      out_.tensors.push_back(compare(given_, k, truth_));
      error_[k] = out_.tensors.back().error;
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
      t->place = place_of_error(results_[k], truth_.right[k],
                                shape_of(given_, is_like_x(k), static_cast<int64_t>(truth_.right[k].size())));
    }
  }

 private:
  /// Of each result, whether a mistake changes it by more than rounding.
  using Changed = std::array<bool, kNames.size()>;
  [[nodiscard]] Changed changed(const Results& results) const {
    Changed is{};
    for (std::size_t k = 0; k < is.size(); ++k)
      is[k] = !(distance(results[k], truth_.right[k]) <= 4 * truth_.tolerance[k]);
    return is;
  }

  /// Whether a wrong result waits for an explanation.
  [[nodiscard]] bool waits(std::size_t k) const { return std::ranges::find(wrong_, k) != wrong_.end(); }

  /// Where it would show: in results that are not given, or on other data.
  [[nodiscard]] Mistake untold(const Entry& entry, const Changed& is_changed) const {
    Mistake m = mistake_of(entry);
    std::string names;
    for (std::size_t k = 0; k < kNames.size(); ++k) {
      if (results_[k].empty() && !truth_.right[k].empty() && is_changed[k])
        names += (names.empty() ? "" : ", ") + std::string(kNames[k]);
    }
    if (!names.empty()) m.telling = names + ", not given here";
    return m;
  }

  [[nodiscard]] Match match_of(const Results& results, const Changed& is_changed, std::vector<std::size_t> made) const {
    Match match{std::move(made), {}, true, 0};
    for (const std::size_t k : wrong_) {
      if (truth_.tolerance[k] > kMostTolerance || !is_changed[k]) continue;  // rounding hides what is wrong
      const double error = distance(results_[k], results[k]);
      if (!(error <= truth_.tolerance[k]) || !(4 * error <= error_[k])) continue;
      match.covers.push_back(k);
      match.error = std::max(match.error, error);
    }
    match.spares = std::ranges::none_of(right_, [&](std::size_t k) { return is_changed[k]; });
    return match;
  }

  void singles() {
    std::vector<Match> matches;
    for (std::size_t m = 0; m < entries_.size(); ++m) {
      Recipe recipe;
      if (!entries_[m].make(recipe, given_)) continue;
      const Results results = compute<double>(given_, recipe);
      const Changed is_changed = changed(results);
      Match match = match_of(results, is_changed, {m});
      if (match.spares && std::ranges::none_of(wrong_, [&](std::size_t k) { return is_changed[k]; }))
        out_.untold.push_back(untold(entries_[m], is_changed));
      matches.push_back(std::move(match));
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
        const Results results = compute<double>(given_, recipe);
        matches.push_back(match_of(results, changed(results), {a, b}));
      }
    }
    explain_by(matches);
  }

  /// Those that give most of the wrong results, of these those that spare the right ones; then the next.
  void explain_by(const std::vector<Match>& matches) {
    while (!wrong_.empty()) {
      const auto covered = [&](const Match& m) {
        std::vector<std::size_t> found;
        std::ranges::copy_if(m.covers, std::back_inserter(found), [&](std::size_t k) { return waits(k); });
        return found;
      };
      const auto rank = [&](const Match& m) { return 2 * covered(m).size() + (m.spares ? 1 : 0); };
      const auto best = std::ranges::max_element(matches, {}, rank);
      if (best == matches.end() || covered(*best).empty()) return;
      const std::vector<std::size_t> tensors = covered(*best);
      for (const Match& m : matches) {
        if (m.spares != best->spares || covered(m) != tensors) continue;
        std::vector<Mistake> made;
        for (const std::size_t entry : m.made) made.push_back(mistake_of(entries_[entry]));
        add(std::move(made), tensors, m.error);
      }
      drop(tensors);
    }
  }

  void foreign() {
    const auto is_finite_and_waits = [&](std::size_t k) { return waits(k) && std::isfinite(error_[k]); };
    const bool in_y = is_finite_and_waits(kY) && has_other_statistics_in_y(given_, truth_);
    const bool in_dx = is_finite_and_waits(kDx) && has_other_statistics_in_dx(given_, truth_);
    std::vector<std::size_t> tensors;
    if (in_y || in_dx) {  // what is given of the statistics, and dgamma, are then of that batch
      tensors = {kMean, kVar, kRstd, kDgamma};
      if (in_y) tensors.push_back(kY);
      if (in_dx) tensors.push_back(kDx);
    } else if (is_finite_and_waits(kDx) && has_stale_x_hat(given_, truth_)) {
      tensors = {kDx, kDgamma};
    }
    std::erase_if(tensors, [&](std::size_t k) { return !waits(k); });
    if (tensors.empty()) return;
    add({mistake_of(entry_of(in_y || in_dx ? Foreign::statistics : Foreign::x_hat))}, tensors, 0);
    drop(tensors);
  }

  void add(std::vector<Mistake> mistakes, const std::vector<std::size_t>& tensors, double error) {
    std::vector<std::string> names;
    for (const std::size_t k : tensors) names.emplace_back(kNames[k]);
    out_.explanations.push_back({std::move(names), std::move(mistakes), error});
  }

  /// They are explained.
  void drop(const std::vector<std::size_t>& tensors) {
    std::erase_if(wrong_, [&](std::size_t k) { return std::ranges::find(tensors, k) != tensors.end(); });
  }

  const DiagnosisCase& given_;
  const Truth& truth_;
  Diagnosis& out_;
  std::span<const Entry> entries_;
  std::array<std::span<const double>, kNames.size()> results_;
  std::array<double, kNames.size()> error_{};  ///< of each given result
  std::vector<std::size_t> right_, wrong_;     ///< results by number; the wrong ones that nothing explains yet
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
