#pragma once
#include <array>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "diagnose/groups.hpp"
#include "diagnose/recipe.hpp"

namespace unitvar::diagnosis {

/// A number of a storage type in which every operation is rounded to that type.
template <class T>
struct Rounded {
  T value;
  Rounded() : value(T(0.0F)) {}
  explicit Rounded(double v) : value(T(v)) {}
  explicit operator double() const { return static_cast<double>(value); }
  friend Rounded operator+(Rounded a, Rounded b) { return Rounded(double(a) + double(b)); }
  friend Rounded operator-(Rounded a, Rounded b) { return Rounded(double(a) - double(b)); }
  friend Rounded operator*(Rounded a, Rounded b) { return Rounded(double(a) * double(b)); }
  friend Rounded operator/(Rounded a, Rounded b) { return Rounded(double(a) / double(b)); }
  friend Rounded sqrt(Rounded a) { return Rounded(std::sqrt(double(a))); }
};

/// The results that are compared, by number.
inline constexpr std::array<std::string_view, 9> kNames = {"y",   "dx",   "dgamma",       "dbeta",      "mean",
                                                           "var", "rstd", "running_mean", "running_var"};
enum Result { kY, kDx, kDgamma, kDbeta, kMean, kVar, kRstd, kRunningMean, kRunningVar };
using Results = std::array<std::vector<double>, kNames.size()>;

inline bool is_like_x(std::size_t result) noexcept { return result == kY || result == kDx; }

/// The given ones, in the order of kNames.
inline std::array<std::span<const double>, kNames.size()> given_results(const DiagnosisCase& given) {
  const DiagnosisResults& r = given.results;
  return {r.y, r.dx, r.dgamma, r.dbeta, r.mean, r.var, r.rstd, r.running_mean, r.running_var};
}

/// One layer by a recipe, in the arithmetic of R, with plain sums in the order of memory.
template <class R>
class Layer {
 public:
  Layer(const DiagnosisCase& given, const Recipe& recipe)
      : case_(given), r_(recipe), g_(grouping_of(given, recipe)), n_(number(static_cast<double>(g_.values()))) {}

  Results results() {
    statistics();
    Results out;
    forward(out);
    if (!case_.dy.empty()) backward(out);
    out[kMean] = doubles(case_.inference ? used_mean_ : mean_);
    out[kVar] = kept(r_.var_kept);
    out[kRstd] = kept(r_.rstd_kept);
    running(out);
    return out;
  }

 private:
  using Array = std::vector<R>;

  static R number(double v) { return R(v); }
  static std::vector<double> doubles(const Array& a) {
    std::vector<double> out(a.size());
    for (std::size_t i = 0; i < a.size(); ++i) out[i] = static_cast<double>(a[i]);
    return out;
  }
  [[nodiscard]] std::size_t size() const { return g_.group.size(); }
  [[nodiscard]] std::size_t group(std::size_t i) const { return static_cast<std::size_t>(g_.group[i]); }
  [[nodiscard]] std::size_t parameter(std::size_t i) const { return static_cast<std::size_t>(g_.parameter[i]); }
  [[nodiscard]] Array zeros(std::int64_t n) const { return Array(static_cast<std::size_t>(n), number(0)); }
  [[nodiscard]] R x(std::size_t i) const { return number(case_.x[i]); }
  [[nodiscard]] double eps() const { return r_.eps >= 0 ? r_.eps : case_.eps; }
  [[nodiscard]] bool is_rms() const { return case_.operation == DiagnosisOperation::rms_norm; }
  [[nodiscard]] R scale(std::size_t i, int power) const {
    R product = number(1);
    for (int k = 0; k < power && !case_.gamma.empty(); ++k) product = product * number(case_.gamma[parameter(i)]);
    return product;
  }

  /// The batch's mean and variance (B1, B3), and those that normalize.
  void statistics() {
    mean_ = zeros(g_.groups), var_ = zeros(g_.groups), rstd_ = zeros(g_.groups), std_ = zeros(g_.groups);
    if (is_rms() || r_.moments == Recipe::Moments::two_passes) {
      two_passes();
    } else if (r_.moments == Recipe::Moments::updates) {
      updates();
    } else {
      sums_of_squares();
    }
    const R divisor = n_ - number(r_.ddof);
    for (R& v : var_) v = v / divisor;
    replace(mean_, r_.given_mean), replace(var_, r_.given_var);
    used_mean_ = mean_, used_var_ = var_;
    if (case_.inference != r_.other_statistics && g_.groups == static_cast<std::int64_t>(case_.running_mean.size())) {
      replace(used_mean_, case_.running_mean), replace(used_var_, case_.running_var);
    }
    for (std::size_t k = 0; k < rstd_.size(); ++k) spread(used_var_[k], k);
    are_constants_ = case_.inference != r_.other_mode;
  }

  void two_passes() {
    if (!is_rms()) {
      for (std::size_t i = 0; i < size(); ++i) mean_[group(i)] = mean_[group(i)] + x(i);
      for (R& m : mean_) m = m / n_ * number(1 + r_.mean_error);
    }
    for (std::size_t i = 0; i < size(); ++i) {
      const R d = x(i) - mean_[group(i)];
      var_[group(i)] = var_[group(i)] + d * d;
    }
  }

  void updates() {
    std::vector<double> count(mean_.size());
    for (std::size_t i = 0; i < size(); ++i) {
      const std::size_t k = group(i);
      const R d = x(i) - mean_[k];
      mean_[k] = mean_[k] + d / number(++count[k]);
      var_[k] = var_[k] + d * (x(i) - mean_[k]);
    }
  }

  void sums_of_squares() {
    Array shift = zeros(g_.groups);
    std::vector<bool> has_shift(mean_.size(), r_.moments == Recipe::Moments::squares);
    for (std::size_t i = 0; i < size(); ++i) {
      const std::size_t k = group(i);
      if (!has_shift[k]) shift[k] = x(i), has_shift[k] = true;
      const R d = x(i) - shift[k];
      mean_[k] = mean_[k] + d, var_[k] = var_[k] + d * d;
    }
    for (std::size_t k = 0; k < mean_.size(); ++k) {
      mean_[k] = mean_[k] / n_;
      var_[k] = var_[k] - n_ * mean_[k] * mean_[k];
      mean_[k] = shift[k] + mean_[k];
    }
  }

  static void replace(Array& values, std::span<const double> by) {
    for (std::size_t k = 0; k < by.size(); ++k) values[k] = number(by[k]);
  }

  void spread(R var, std::size_t k) {
    using std::sqrt;
    const R one = number(1), e = number(r_.eps_place == Recipe::Eps::forgotten ? 0 : eps());
    std_[k] = r_.eps_place == Recipe::Eps::outside ? sqrt(var) + e : sqrt(var + e);
    rstd_[k] = one / std_[k];
    if (r_.spread == Recipe::Spread::var) factor_.push_back(rstd_[k] * rstd_[k]);
    if (r_.spread == Recipe::Spread::std) factor_.push_back(rstd_[k]);
    if (r_.spread == Recipe::Spread::inverted) factor_.push_back(std_[k]);
  }

  /// B4, B5.
  void forward(Results& out) {
    x_hat_ = Array(size(), number(0));
    Array y(size(), number(0));
    for (std::size_t i = 0; i < size(); ++i) {
      const R d = r_.mean_subtracted ? x(i) - used_mean_[group(i)] : x(i);
      x_hat_[i] = d * factor_[group(i)] * number(r_.sign_x_hat);
      y[i] = scale(i, r_.gamma_power_y) * x_hat_[i];
      if (!case_.beta.empty()) y[i] = y[i] + number(r_.beta_factor * case_.beta[parameter(i)]);
    }
    passes_.assign(size(), true);
    if (case_.relu) {
      for (std::size_t i = 0; i < size(); ++i) passes_[i] = static_cast<double>(y[i]) > 0;
    }
    for (std::size_t i = 0; case_.relu && i < size(); ++i) {
      if (!passes_[i]) y[i] = number(0);
    }
    out[kY] = doubles(y);
  }

  [[nodiscard]] R dy(std::size_t i, bool masked) const {
    return !masked || passes_[i] ? number(case_.dy[i]) : number(0);
  }

  /// B14, B15, B27.
  void backward(Results& out) {
    const bool masked = r_.mask != Recipe::Mask::none, masked_sums = r_.mask == Recipe::Mask::both;
    Array dgamma = zeros(g_.parameters), dbeta = zeros(g_.parameters);
    Array sums = zeros(g_.groups), products = zeros(g_.groups), first = zeros(g_.groups);
    std::vector<bool> seen(static_cast<std::size_t>(g_.parameters), false);
    for (std::size_t i = 0; i < size(); ++i) {
      const R g = dy(i, masked_sums), scaled = scale(i, r_.gamma_power_dx) * g;
      const std::size_t p = parameter(i), k = group(i);
      R factor = x_hat_[i];
      if (r_.dgamma_factor == Recipe::Factor::x) factor = x(i);
      if (r_.dgamma_factor == Recipe::Factor::deviation) factor = x(i) - used_mean_[k];
      const bool last = r_.parameter_sum == Recipe::Sum::last;
      if (r_.parameter_sum == Recipe::Sum::all || last || !seen[p]) {
        dgamma[p] = last ? g * factor : dgamma[p] + g * factor;
        dbeta[p] = last ? g : dbeta[p] + g;
      }
      seen[p] = true;
      sums[k] = sums[k] + scaled;
      products[k] = products[k] + scaled * x_hat_[i];
    }
    if (r_.parameters_averaged) {
      const R of_each = number(static_cast<double>(size()) / static_cast<double>(g_.parameters));
      for (R& v : dgamma) v = v / of_each;
      for (R& v : dbeta) v = v / of_each;
    }
    for (R& v : dgamma) v = v * number(r_.sign_dgamma);
    for (R& v : dbeta) v = v * number(r_.sign_dbeta);
    out[kDgamma] = doubles(dgamma);
    out[kDbeta] = doubles(dbeta);
    Array dx(size(), number(0));
    for (std::size_t i = 0; i < size(); ++i) dx[i] = input_gradient(i, dy(i, masked), sums, products);
    out[kDx] = doubles(dx);
  }

  [[nodiscard]] R input_gradient(std::size_t i, R g, const Array& sums, const Array& products) const {
    const std::size_t k = group(i);
    const R direct = scale(i, r_.gamma_power_dx) * g;
    R inner = direct;
    if (!are_constants_) {
      const R n = r_.samples_for_values ? number(static_cast<double>(case_.shape.front())) : n_;
      const R of_mean = r_.mean_sum_divided ? n : number(1);
      const R of_var = !r_.var_sum_divided ? number(1) : r_.ddof_in_gradient ? n - number(r_.ddof) : n;
      R by_mean = sums[k] / of_mean, by_var = x_hat_[i] * products[k] / of_var;
      if (r_.var_path_form == Recipe::VarPath::x_i_for_x_j) by_var = x_hat_[i] * x_hat_[i] * sums[k] / of_mean;
      if (r_.diagonal) by_mean = direct / n_, by_var = direct * x_hat_[i] * x_hat_[i] / n_;
      if (!is_rms()) inner = inner - number(r_.mean_path) * by_mean;
      inner = inner - number(r_.var_path) * by_var;
      if (!r_.all_divided) inner = inner * n_;
    }
    return inner * (r_.rstd_in_dx ? factor_[k] : number(1)) * number(r_.sign_dx);
  }

  [[nodiscard]] std::vector<double> kept(Recipe::Kept what) const {
    if (what == Recipe::Kept::var) return doubles(case_.inference ? used_var_ : var_);
    if (what != Recipe::Kept::inverse) return doubles(what == Recipe::Kept::std ? std_ : rstd_);
    Array inverse;
    for (const R& r : rstd_) inverse.push_back(r * r);
    return doubles(inverse);
  }

  [[nodiscard]] double weight_of_batch() const {
    if (r_.momentum == Recipe::Momentum::whole) return 1;
    return r_.momentum == Recipe::Momentum::reversed ? 1 - case_.momentum : case_.momentum;
  }

  /// B7. They move where the batch's statistics normalize.
  void running(Results& out) const {
    if (case_.running_mean.size() != mean_.size() || case_.running_var.size() != mean_.size()) return;
    if (are_constants_) {
      out[kRunningMean].assign(case_.running_mean.begin(), case_.running_mean.end());
      out[kRunningVar].assign(case_.running_var.begin(), case_.running_var.end());
      return;
    }
    const R w = number(weight_of_batch()), one = number(1);
    const R of_moments = n_ - number(r_.ddof), divisor = n_ - number(r_.running_ddof);
    for (std::size_t k = 0; k < mean_.size(); ++k) {
      const R var = var_[k] * of_moments / divisor;
      const R mean = (one - w) * number(case_.running_mean[k]) + w * mean_[k];
      out[kRunningMean].push_back(static_cast<double>(mean));
      out[kRunningVar].push_back(static_cast<double>((one - w) * number(case_.running_var[k]) + w * var));
    }
  }

  const DiagnosisCase& case_;
  const Recipe& r_;
  Grouping g_;
  R n_;
  Array mean_, var_, std_, rstd_, used_mean_, used_var_, factor_, x_hat_;
  std::vector<bool> passes_;
  bool are_constants_ = false;
};

template <class R>
Results compute(const DiagnosisCase& given, const Recipe& recipe) {
  return Layer<R>(given, recipe).results();
}

}  // namespace unitvar::diagnosis
