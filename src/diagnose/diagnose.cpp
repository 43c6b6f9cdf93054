#include "unitvar/diagnose.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <initializer_list>
#include <optional>
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
constexpr double kMostTolerance = 0.5;

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
  std::size_t spoils = 0;           ///< results that are right and that it changes
  double error = 0;
  double in_tolerances = 0;  ///< the error, in parts of what is granted
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
    found_by_fits({Found::eps, Found::cancellation});
    if (!wrong_.empty() && static_cast<int64_t>(given_.x.size()) <= kMostForPairs) pairs();
    found_by_fits({Found::statistics});
    if (waits(kDx) && std::isfinite(error_[kDx]) && has_stale_x_hat(given_, truth_))
      explain(Found::x_hat, {kDx, kDgamma});
    found_untold();
    for (const std::size_t k : wrong_) {
      const auto t = std::ranges::find(out_.tensors, kNames[k], &DiagnosedTensor::name);
      t->place = place_of_error(results_[k], truth_.right[k],
                                shape_of(given_, is_like_x(k), static_cast<int64_t>(truth_.right[k].size())));
      const std::string text = k == kY ? affine_text(given_, truth_) : "";
      t->place += (t->place.empty() || text.empty() ? "" : "; ") + text;
    }
  }

 private:
  /// Of each result, whether a mistake changes it so much that what is within the tolerance of either is not within
  /// that of the other.
  using Changed = std::array<bool, kNames.size()>;
  [[nodiscard]] Changed changed(const Results& results) const {
    Changed is{};
    for (std::size_t k = 0; k < is.size(); ++k)
      is[k] = !(distance(results[k], truth_.right[k]) <= 2 * truth_.tolerance[k]);
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

  [[nodiscard]] Match match_of(const Recipe& recipe, const Results& results, const Changed& is_changed,
                               std::vector<std::size_t> made) const {
    Match match{std::move(made), {}, 0, 0, 0};
    std::optional<Tolerances> of_recipe;  // which may lose more digits than the right layer
    for (const std::size_t k : wrong_) {
      if (truth_.tolerance[k] > kMostTolerance) continue;  // rounding hides what is wrong
      const double error = distance(results_[k], results[k]);
      double tolerance = truth_.tolerance[k];
      if (!(4 * error <= error_[k])) continue;
      if (error > tolerance && 16 * error <= error_[k]) {
        if (!of_recipe) of_recipe = tolerances_of(given_, recipe, results);
        tolerance = std::max(tolerance, (*of_recipe)[k]);
      }
      if (!(error <= tolerance)) continue;
      match.covers.push_back(k);
      match.error = std::max(match.error, error);
      match.in_tolerances = std::max(match.in_tolerances, error / tolerance);
    }
    match.spoils =
        static_cast<std::size_t>(std::ranges::count_if(right_, [&](std::size_t k) { return is_changed[k]; }));
    return match;
  }

  void singles() {
    std::vector<Match> matches;
    for (std::size_t m = 0; m < entries_.size(); ++m) {
      Recipe recipe;
      if (!entries_[m].make(recipe, given_)) continue;
      const Results results = compute<double>(given_, recipe);
      const Changed is_changed = changed(results);
      Match match = match_of(recipe, results, is_changed, {m});
      if (match.spoils == 0 && std::ranges::none_of(wrong_, [&](std::size_t k) { return is_changed[k]; }))
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
        matches.push_back(match_of(recipe, results, changed(results), {a, b}));
      }
    }
    explain_by(matches);
  }

  /// Those that give most of the wrong results, of these those that spare most of the right ones, of these those that
  /// are as near as any, but for rounding; then the next.
  void explain_by(const std::vector<Match>& matches) {
    while (!wrong_.empty()) {
      const auto covered = [&](const Match& m) {
        std::vector<std::size_t> found;
        std::ranges::copy_if(m.covers, std::back_inserter(found), [&](std::size_t k) { return waits(k); });
        return found;
      };
      const auto rank = [&](const Match& m) { return kNames.size() * covered(m).size() + kNames.size() - m.spoils; };
      const auto best = std::ranges::max_element(matches, {}, rank);
      if (best == matches.end() || covered(*best).empty()) return;
      const std::vector<std::size_t> tensors = covered(*best);
      const auto is_as_good = [&](const Match& m) { return m.spoils == best->spoils && covered(m) == tensors; };
      double nearest = 1;
      for (const Match& m : matches) nearest = is_as_good(m) ? std::min(nearest, m.in_tolerances) : nearest;
      for (const Match& m : matches) {
        if (!is_as_good(m) || m.in_tolerances > std::max(0.25, 4 * nearest)) continue;
        std::vector<Mistake> made;
        for (const std::size_t entry : m.made) made.push_back(mistake_of(entries_[entry]));
        add(std::move(made), tensors, m.error);
      }
      drop(tensors);
    }
  }

  /// What a fit would give.
  struct Fitted {
    Found found;
    std::string what;
    Match match;
  };

  /// The fit that gives most of the wrong results, of these the nearest; then the next.
  void found_by_fits(std::initializer_list<Found> kinds) {
    while (!wrong_.empty()) {
      std::optional<Fitted> best;
      for (const Statistics& s : fits()) {
        for (const Found found : kinds) {
          auto fitted = fitted_by(found, s);
          if (fitted && !fitted->match.covers.empty() && (!best || is_better(*fitted, *best))) best = std::move(fitted);
        }
      }
      if (!best) return;
      explain(best->found, best->match.covers, best->what, best->match.error);
    }
  }

  static bool is_better(const Fitted& a, const Fitted& b) {
    if (a.match.covers.size() != b.match.covers.size()) return a.match.covers.size() > b.match.covers.size();
    return std::max(0.25, a.match.in_tolerances) < std::max(0.25, b.match.in_tolerances);
  }

  std::optional<Fitted> fitted_by(Found found, const Statistics& s) const {
    Recipe recipe;
    std::string what;
    if (found == Found::eps) {
      // Of one group, anything may be eps.
      const std::optional<double> eps = s.var.size() > 1 ? eps_of(given_, truth_, s) : std::nullopt;
      if (!eps || std::abs(*eps - given_.eps) < 0.05 * given_.eps) return std::nullopt;
      recipe.eps = *eps;
      char text[64];
      std::snprintf(text, sizeof text, "eps is about %.2g, not %g.", *eps, given_.eps);
      what = text;
    } else {
      if (found == Found::cancellation && !is_cancellation(given_, truth_, s)) return std::nullopt;
      if (given_.operation != Operation::rms_norm) recipe.given_mean = s.mean;
      recipe.given_var = s.var;
    }
    const Results results = compute<double>(given_, recipe);
    const Changed is_changed = changed(results);
    Match match = match_of(recipe, results, is_changed, {});
    if (found == Found::statistics && !is_told(match, is_changed)) return std::nullopt;
    return Fitted{found, std::move(what), std::move(match)};
  }

  /// Whether results say that other statistics normalize: those that are given would explain themselves. None may
  /// contradict it but running ones, which may have moved by the statistics of x.
  [[nodiscard]] bool is_told(const Match& match, const Changed& is_changed) const {
    const auto tells = [](std::size_t k) { return k == kY || k == kDx || k == kDgamma; };
    const auto contradicts = [&](std::size_t k) { return k < kRunningMean && is_changed[k]; };
    return std::ranges::any_of(match.covers, tells) && std::ranges::none_of(right_, contradicts);
  }

  const std::vector<Statistics>& fits() {
    if (!fits_) fits_ = statistics_behind(given_, truth_);
    return *fits_;
  }

  void explain(Found found, std::vector<std::size_t> tensors, const std::string& what = "", double error = 0) {
    std::erase_if(tensors, [&](std::size_t k) { return !waits(k); });
    if (tensors.empty()) return;
    Mistake mistake = mistake_of(entry_of(found));
    if (!what.empty()) mistake.what = what;
    named_[static_cast<std::size_t>(found)] = true;
    add({std::move(mistake)}, tensors, error);
    drop(tensors);
  }

  /// Those that are found by fits, where none could show them.
  void found_untold() {
    if (given_.inference) return;
    const auto is_untold = [&](std::string_view id) {
      return std::ranges::find(out_.untold, id, &Mistake::id) != out_.untold.end();
    };
    const auto is_near_zero = [&] {
      for (std::size_t k = 0; k < truth_.right[kVar].size(); ++k) {
        const double mean = truth_.right[kMean][k];
        if (mean * mean >= 4 * truth_.right[kVar][k]) return false;
      }
      return true;
    };
    const bool statistics = shows_statistics(given_, truth_);
    const std::array<bool, 4> untold = {is_untold("eps_forgotten"),
                                        given_.operation != Operation::rms_norm && is_near_zero(), !statistics,
                                        !shows_x_hat(given_, truth_)};
    for (std::size_t found = 0; found < untold.size(); ++found) {
      if (untold[found] && !named_[found]) out_.untold.push_back(mistake_of(entry_of(static_cast<Found>(found))));
    }
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
  std::optional<std::vector<Statistics>> fits_;
  std::array<bool, 4> named_{};             ///< of each Found
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
