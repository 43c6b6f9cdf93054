#include "diagnose/catalogue.hpp"

#include <vector>

#include "diagnose/catalogue_text.hpp"

namespace unitvar::diagnosis {
namespace {

/// In the order of enum Found.
constexpr Entry kFound[] = {
    {"eps_of_another_value", nullptr, "eps has another value.", "B3", kRstd, kSmallVar},
    {"variance_by_cancellation", nullptr,
     "The variance is E[x * x] - mean * mean, which loses the digits of var where |mean| is much larger than its root.",
     "B3", kVar, "values whose mean is far from 0"},
    {"statistics_of_another_batch", nullptr,
     "Each channel is normalized by some mean and variance, but not by those of x: they are of another batch, or were "
     "computed in another way.",
     "B1", "mean = sum(x) / N;", "y or dx, of 8 values a channel or more, in a dtype that keeps enough digits"},
    {"stale_x_hat", nullptr,
     "dx was computed with another x_hat than that of x: of another batch, or of parts of this one.", "B27",
     "x_hat = (x - mean) * rstd;  // of this x", "dx, of 8 values a channel or more, and a dy that goes with x_hat"},
};

}  // namespace

std::span<const Entry> catalogue() {
  static const std::vector<Entry> all = [] {
    std::vector<Entry> made;
    for (const std::span<const Entry> part : {gradient_mistakes(), forward_mistakes()})
      made.insert(made.end(), part.begin(), part.end());
    return made;
  }();
  return all;
}

const Entry& entry_of(Found found) { return kFound[static_cast<std::size_t>(found)]; }

Mistake mistake_of(const Entry& entry) { return {entry.id, entry.what, entry.equation, entry.code, entry.telling}; }

}  // namespace unitvar::diagnosis

std::vector<unitvar::Mistake> unitvar::diagnosed_mistakes() {
  std::vector<Mistake> all;
  for (const auto& entry : diagnosis::catalogue()) all.push_back(diagnosis::mistake_of(entry));
  for (const auto& entry : diagnosis::kFound) all.push_back(diagnosis::mistake_of(entry));
  return all;
}
