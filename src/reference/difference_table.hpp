#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace unitvar::detail {

/// Neville's table for one derivative: takes central differences at h, h/2, h/4, ... and keeps the best extrapolation.
class DifferenceTable {
 public:
  /// `difference` is (f(x+h) - f(x-h)) / (2h), `rounding` what the rounding of f alone does to it.
  void add(double difference, double rounding) {
    if (done_) return;
    if (!std::isfinite(difference)) return restart();
    std::vector<double> row{difference};
    if (last_.empty()) {
      best_ = std::isnan(best_) ? difference : best_;
    } else {
      extend(row, rounding);
      // Ridders: once a new diagonal entry is far worse than the best one, rounding has taken over.
      done_ = std::abs(row.back() - last_.back()) >= 2 * error_;
    }
    last_ = std::move(row);
  }

  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] double best() const { return best_; }
  [[nodiscard]] double error() const { return error_; }

 private:
  void extend(std::vector<double>& row, double rounding) {
    double power = 1;
    for (std::size_t j = 1; j <= last_.size(); ++j) {
      power *= 4;
      row.push_back(row[j - 1] + (row[j - 1] - last_[j - 1]) / (power - 1));  // (B44)
      const double spread = std::max(std::abs(row[j] - row[j - 1]), std::abs(row[j] - last_[j - 1])) + rounding;
      if (spread <= error_) {
        error_ = spread;
        best_ = row[j];
      }
    }
  }

  // A step left the function's domain: the estimates from larger steps do not count.
  void restart() {
    last_.clear();
    best_ = std::numeric_limits<double>::quiet_NaN();
    error_ = std::numeric_limits<double>::infinity();
  }

  std::vector<double> last_;
  double best_ = std::numeric_limits<double>::quiet_NaN();
  double error_ = std::numeric_limits<double>::infinity();
  bool done_ = false;
};

}  // namespace unitvar::detail
