#include "unitvar/diagnose.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <initializer_list>
#include <optional>
#include <string>

#include "diagnose/catalogue.hpp"
#include "diagnose/checks.hpp"
#include "diagnose/compare.hpp"
#include "diagnose/foreign.hpp"

namespace unitvar {
namespace diagnosis {
namespace {

using Operation = DiagnosisOperation;
using std::int64_t;

/// Pairs of mistakes are tried on up to this many elements of x: half a minute.
constexpr int64_t kMostForPairs = 1 << 18;

/// Beyond so many tolerances of the right layer, a layer with a mistake is not asked for its own.
constexpr double kNear = 32;

/// Fewer may be anything by chance.
constexpr std::size_t kFewElements = 8;

/// What a mistake gives is nearer to a result than this, in parts of it, whatever rounding may do.
constexpr double kMostTolerance = 0.25;

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
      const DiagnosedTensor& t = out_.tensors.back();
      error_[k] = error_of(results_[k], truth_.right[k]);
      (t.right ? right_ : t.hidden ? hidden_ : wrong_).push_back(k);
    }
  }

  void run() {
    singles();
    found_by_fits({Found::eps, Found::cancellation});
    if (!wrong_.empty() && static_cast<int64_t>(given_.x.size()) <= kMostForPairs) pairs();
    found_by_fits({Found::statistics});
    if (waits(kDx) && std::isfinite(error_[kDx])) explain(Found::x_hat, with_stale_x_hat(given_, truth_));
    found_untold();
    for (const std::size_t k : wrong_) {
      DiagnosedTensor& t = tensor(k);
      t.place = place_of_error(results_[k], truth_.right[k],
                               shape_of(given_, is_like_x(k), static_cast<int64_t>(truth_.right[k].size())));
      const std::string text = k == kY ? affine_text(given_, truth_) : "";
      t.place += (t.place.empty() || text.empty() ? "" : "; ") + text;
    }
    const auto is_right = [](const DiagnosedTensor& t) { return t.right; };
    out_.right = std::ranges::all_of(out_.tensors, is_right);
    out_.hidden = !out_.right && std::ranges::all_of(out_.tensors, [](const auto& t) { return t.right || t.hidden; });
  }

 private:
  /// Of each result, whether a mistake changes it so much that what is within the tolerance of either is not within
  /// that of the other.
  using Changed = std::array<bool, kNames.size()>;
  [[nodiscard]] Changed changed(const Results& results) const {
    Changed is{};
    for (std::size_t k = 0; k < is.size(); ++k)
      is[k] = !(distance(results[k], truth_.right[k], k) <= 2 * truth_.tolerance[k]);
    return is;
  }

  [[nodiscard]] double distance(std::span<const double> a, std::span<const double> b, std::size_t result) const {
    return error_of(a, b) / size_of(b, truth_.scale[result]);
  }

  DiagnosedTensor& tensor(std::size_t result) {
    return *std::ranges::find(out_.tensors, kNames[result], &DiagnosedTensor::name);
  }

  static bool holds(const std::vector<std::size_t>& results, std::size_t k) {
    return std::ranges::find(results, k) != results.end();
  }
  /// Whether a wrong result waits for an explanation.
  [[nodiscard]] bool waits(std::size_t k) const { return holds(wrong_, k); }

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
    std::optional<OfEach> of_recipe;  // which may lose more digits than the right layer
    for (const std::size_t k : candidates_) {
      const double error = error_of(results_[k], results[k]);
      const double size = size_of(results[k], truth_.scale[k]);
      double tolerance = truth_.tolerance[k];
      if (!std::isfinite(error) || !(4 * error <= error_[k])) continue;
      if (holds(hidden_, k) && results_[k].size() < kFewElements) continue;
      const bool is_near = 16 * error <= error_[k] && error <= kNear * tolerance * size;
      if (error > tolerance * size && is_near) {
        if (!of_recipe) of_recipe = tolerances_of(given_, recipe, results, truth_.scale);
        tolerance = std::max(tolerance, (*of_recipe)[k]);
      }
      tolerance = std::min(tolerance, kMostTolerance);
      if (holds(hidden_, k)) tolerance = 8 * truth_.unit;
      if (!(error <= tolerance * size)) continue;
      match.covers.push_back(k);
      match.error = std::max(match.error, error / size);
      match.in_tolerances = std::max(match.in_tolerances, error / (tolerance * size));
    }
    match.spoils =
        static_cast<std::size_t>(std::ranges::count_if(right_, [&](std::size_t k) { return is_changed[k]; }));
    return match;
  }

  void singles() {
    std::vector<Match> matches;
    // What rounding hides is wrong all the same if a mistake gives just that, but for a last digit.
    candidates_ = wrong_;
    candidates_.insert(candidates_.end(), hidden_.begin(), hidden_.end());
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
    for (const Match& m : matches) {
      for (const std::size_t k : m.covers) {
        if (!holds(hidden_, k)) continue;
        std::erase(hidden_, k);
        wrong_.push_back(k);
        tensor(k).hidden = false;
      }
    }
    explain_by(matches);
    candidates_ = wrong_;
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
      const std::optional<double> eps = eps_of(given_, truth_, s);
      if (!eps || std::abs(*eps - given_.eps) < 0.05 * given_.eps) return std::nullopt;
      recipe.eps = *eps;
      char text[64];
      std::snprintf(text, sizeof text, "eps is about %.2g, not %g.", *eps, given_.eps);
      what = text;
    } else {
      if (found == Found::cancellation && !is_cancellation(given_, truth_, s)) return std::nullopt;
      if (has_mean(given_)) recipe.given_mean = s.mean;
      recipe.given_var = s.var;
    }
    const Results results = compute<double>(given_, recipe);
    const Changed is_changed = changed(results);
    Match match = match_of(recipe, results, is_changed, {});
    if (!is_told(found, match, is_changed)) return std::nullopt;
    return Fitted{found, std::move(what), std::move(match)};
  }

  /// Whether results say that other statistics normalize. No right result may contradict it, but running ones, which
  /// may have moved by the statistics of x. Those that are given would explain themselves, and y alone may be scaled by
  /// anything.
  [[nodiscard]] bool is_told(Found found, const Match& match, const Changed& is_changed) const {
    if (std::ranges::any_of(right_, [&](std::size_t k) { return k < kRunningMean && is_changed[k]; })) return false;
    if (found == Found::cancellation) return !holds(match.covers, kMean) && !holds(match.covers, kRunningMean);
    if (found == Found::eps) return true;
    const bool by_gradient = holds(match.covers, kDx) || holds(match.covers, kDgamma);
    return by_gradient || (holds(match.covers, kY) && match.covers.size() > 1);
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
    const DiagnosisResults& r = given_.results;
    const bool variance = statistics || !r.var.empty() || !r.rstd.empty();
    const std::array<bool, 4> untold = {is_untold("eps_forgotten") || given_.eps == 0 || truth_.right[kVar].size() < 2,
                                        has_mean(given_) && (!variance || is_near_zero()), !statistics,
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
    for (auto* const waiting : {&wrong_, &candidates_}) {
      std::erase_if(*waiting, [&](std::size_t k) { return holds(tensors, k); });
    }
  }

  const DiagnosisCase& given_;
  const Truth& truth_;
  Diagnosis& out_;
  std::span<const Entry> entries_;
  std::array<std::span<const double>, kNames.size()> results_;
  std::array<double, kNames.size()> error_{};  ///< of each given result, in the L2 norm
  std::optional<std::vector<Statistics>> fits_;
  std::array<bool, 4> named_{};              ///< of each Found
  std::vector<std::size_t> right_, hidden_;  ///< results by number
  std::vector<std::size_t> wrong_;           ///< those that nothing explains yet
  std::vector<std::size_t> candidates_;      ///< those that mistakes are compared with
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
