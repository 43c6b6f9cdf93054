#include "diagnose/catalogue.hpp"

#include "diagnose/groups.hpp"

namespace unitvar::diagnosis {
namespace {

using R = Recipe;
using Case = DiagnosisCase;

// What the lines have in common.
constexpr auto kDx = "dx = gamma * rstd * (dy - sum(dy) / N - x_hat * sum(dy * x_hat) / N);";
constexpr auto kRstd = "rstd = 1 / sqrt(var + eps);";
constexpr auto kY = "y = gamma * x_hat + beta;";
constexpr auto kVar = "var = sum((x - mean) * (x - mean)) / N;";
constexpr auto kDgamma = "dgamma = sum(dy * x_hat);";
constexpr auto kDbeta = "dbeta = sum(dy);";
constexpr auto kRunningMean = "running_mean = (1 - momentum) * running_mean + momentum * mean;";
constexpr auto kRunningVar = "running_var = (1 - momentum) * running_var + momentum * var * N / (N - 1);";
constexpr auto kSums = "a dy whose sum over a group is not near 0";
constexpr auto kProducts = "a dy that goes with x_hat: sum(dy * x_hat) not near 0";
constexpr auto kSmallVar = "values whose variance is near eps";
constexpr auto kFewValues = "few values a group";
constexpr auto kGamma = "a gamma that is not 1";
constexpr auto kShape = "several samples, channels and pixels, each of them of another mean";

bool has_mean(const Case& c) noexcept { return c.operation != DiagnosisOperation::rms_norm; }
bool has_running(const Case& c) noexcept { return !c.running_mean.empty(); }

constexpr Entry kEntries[] = {
    {"mean_path_dropped",
     [](R& r, const Case& c) {
       r.mean_path = 0;
       return has_mean(c) && !c.inference;
     },
     "dx lacks the term through the mean, sum(dy) / N.", "B27", kDx, kSums},
    {"variance_path_dropped",
     [](R& r, const Case& c) {
       r.var_path = 0;
       return !c.inference;
     },
     "dx lacks the term through the variance, x_hat * sum(dy * x_hat) / N. Where its sum lost dy, as in a line of the "
     "Jacobian post, it is 0.",
     "B27", kDx, kProducts},
    {"both_paths_dropped",
     [](R& r, const Case& c) {
       r.mean_path = r.var_path = 0;
       return has_mean(c) && !c.inference;
     },
     "dx is gamma * rstd * dy alone: mean and variance were taken for constants.", "B27", kDx, kSums},
    {"mean_path_sign",
     [](R& r, const Case& c) {
       r.mean_path = -1;
       return has_mean(c) && !c.inference;
     },
     "The term of dx through the mean is added, not subtracted.", "B27", kDx, kSums},
    {"variance_path_sign",
     [](R& r, const Case& c) {
       r.var_path = -1;
       return !c.inference;
     },
     "The term of dx through the variance is added, not subtracted.", "B27", kDx, kProducts},
    {"sums_not_divided",
     [](R& r, const Case& c) {
       r.sums_divided = false;
       return !c.inference;
     },
     "The sums in dx are not divided by N.", "B27", kDx, kSums},
    {"dx_not_divided",
     [](R& r, const Case& c) {
       r.all_divided = false;
       return !c.inference;
     },
     "dx lacks the 1 / N in front: N * dy - sum(dy) - x_hat * sum(dy * x_hat) has to be divided by N.", "B29",
     "dx = gamma * rstd / N * (N * dy - dbeta - x_hat * dgamma);", "any dy"},
    {"rstd_forgotten_in_dx",
     [](R& r, const Case&) {
       r.rstd_in_dx = false;
       return true;
     },
     "dx is not multiplied by rstd.", "B27", kDx, "values whose variance is not 1"},
    {"dx_sign",
     [](R& r, const Case&) {
       r.sign_dx = -1;
       return true;
     },
     "dx has the other sign.", "B27", kDx, "any dy"},
    {"chain_rule_without_sums",
     [](R& r, const Case& c) {
       r.diagonal = true;
       return !c.inference;
     },
     "dx is dy times the diagonal of the Jacobian: the chain rule's sum over the batch is missing, as in a line of "
     "Part 2.",
     "B26", kDx, "any dy"},
    {"x_i_for_x_j",
     [](R& r, const Case& c) {
       r.var_path_form = R::VarPath::x_i_for_x_j;
       return !c.inference;
     },
     "The gradient of the variance has x_i - mean inside of its sum, where x_j - mean is meant, as in a line of Part "
     "2.",
     "B26", "dvar = sum_j(dx_hat_j * (x_j - mean)) * -0.5 * rstd * rstd * rstd;", kSums},
    {"dx_without_rstd_and_paths",
     [](R& r, const Case&) {
       r.rstd_in_dx = false, r.mean_path = r.var_path = 0;
       return true;
     },
     "dx is gamma * dy: the derivative of y by x_hat was taken for the one by x, as in a line of Kadulin's note.",
     "B25", kDx, "values whose variance is not 1"},

    {"unbiased_variance",
     [](R& r, const Case& c) {
       r.ddof = 1;
       return has_mean(c) && !c.inference;
     },
     "The variance that normalizes is divided by N - 1; it is the biased one, divided by N.", "B3", kVar, kFewValues},
    {"unbiased_variance_differentiated",
     [](R& r, const Case& c) {
       r.ddof = 1, r.ddof_in_gradient = true;
       return has_mean(c) && !c.inference;
     },
     "The variance is divided by N - 1, in the gradient too; it is the biased one, divided by N.", "B3", kVar,
     kFewValues},
    {"eps_outside_root",
     [](R& r, const Case& c) {
       r.eps_place = R::Eps::outside;
       return c.eps != 0;
     },
     "eps is added to the standard deviation; it belongs inside of the root, beside the variance.", "B3", kRstd,
     kSmallVar},
    {"eps_forgotten",
     [](R& r, const Case& c) {
       r.eps_place = R::Eps::forgotten;
       return c.eps != 0;
     },
     "eps is not added to the variance.", "B3", kRstd, kSmallVar},
    {"eps_1e-3",
     [](R& r, const Case& c) {
       r.eps = 1e-3;
       return c.eps != 1e-3;
     },
     "eps is 1e-3, as in Keras.", "B3", kRstd, kSmallVar},
    {"eps_1e-5",
     [](R& r, const Case& c) {
       r.eps = 1e-5;
       return c.eps != 1e-5;
     },
     "eps is 1e-5, as in PyTorch.", "B3", kRstd, kSmallVar},
    {"eps_1e-6",
     [](R& r, const Case& c) {
       r.eps = 1e-6;
       return c.eps != 1e-6;
     },
     "eps is 1e-6, as in flax' layer norm.", "B3", kRstd, kSmallVar},
    {"eps_1e-8",
     [](R& r, const Case& c) {
       r.eps = 1e-8;
       return c.eps != 1e-8;
     },
     "eps is 1e-8, as in some posts.", "B3", kRstd, kSmallVar},
    {"divided_by_variance",
     [](R& r, const Case&) {
       r.spread = R::Spread::var;
       return true;
     },
     "x - mean is divided by the variance, not by its root.", "B4", kRstd, "values whose variance is not 1"},
    {"multiplied_by_std",
     [](R& r, const Case&) {
       r.spread = R::Spread::inverted;
       return true;
     },
     "x - mean is multiplied by the standard deviation, not divided by it.", "B4", kRstd,
     "values whose variance is not 1"},
    {"mean_not_subtracted",
     [](R& r, const Case& c) {
       r.mean_subtracted = false;
       return has_mean(c);
     },
     "The mean is not subtracted from x.", "B4", "x_hat = (x - mean) * rstd;", "values whose mean is not near 0"},
    {"x_hat_sign",
     [](R& r, const Case&) {
       r.sign_x_hat = -1;
       return true;
     },
     "x_hat is (mean - x) * rstd.", "B4", "x_hat = (x - mean) * rstd;", "any x"},
    {"gamma_forgotten",
     [](R& r, const Case& c) {
       r.gamma_power_y = r.gamma_power_dx = 0;
       return !c.gamma.empty();
     },
     "gamma is forgotten.", "B5", kY, kGamma},
    {"gamma_forgotten_in_dx",
     [](R& r, const Case& c) {
       r.gamma_power_dx = 0;
       return !c.gamma.empty();
     },
     "dx lacks gamma.", "B13", kDx, kGamma},
    {"gamma_twice",
     [](R& r, const Case& c) {
       r.gamma_power_y = r.gamma_power_dx = 2;
       return !c.gamma.empty();
     },
     "gamma is applied twice.", "B5", kY, kGamma},
    {"gamma_twice_in_dx",
     [](R& r, const Case& c) {
       r.gamma_power_dx = 2;
       return !c.gamma.empty();
     },
     "dx is multiplied by gamma twice.", "B13", kDx, kGamma},
    {"beta_forgotten",
     [](R& r, const Case& c) {
       r.beta_added = false;
       return !c.beta.empty();
     },
     "beta is not added.", "B5", kY, "a beta that is not 0"},

    {"wrong_axis",
     [](R& r, const Case& c) {
       r.groups = R::Groups::wrong_axis;
       return !c.inference;
     },
     "Sums go over the wrong axis: over one sample where the batch is meant, or the reverse.", "B1",
     "mean[c] = sum over n, h, w of x[n][c][h][w] / (N * H * W);", kShape},
    {"samples_only",
     [](R& r, const Case& c) {
       r.groups = R::Groups::samples_only;
       return !c.inference && !is_of_rows(c);
     },
     "Each pixel has statistics of its own, over N alone; a channel's go over N * H * W.", "B1",
     "mean[c] = sum over n, h, w of x[n][c][h][w] / (N * H * W);", kShape},
    {"layout_misread",
     [](R& r, const Case& c) {
       r.groups = R::Groups::misread;
       return !c.inference && !is_of_rows(c);
     },
     "Memory was read in the other layout: channels first as channels last, or the reverse.", "B1",
     "channel = index / (H * W) % C;  // of NCHW; index % C of NHWC", kShape},

    {"dgamma_with_x",
     [](R& r, const Case&) {
       r.dgamma_factor = R::Factor::x;
       return true;
     },
     "dgamma sums dy * x, not dy * x_hat.", "B14", kDgamma, "values that are not normalized already"},
    {"dgamma_with_deviation",
     [](R& r, const Case&) {
       r.dgamma_factor = R::Factor::deviation;
       return true;
     },
     "dgamma sums dy * (x - mean): the factor rstd is missing.", "B14", kDgamma, "values whose variance is not 1"},
    {"dgamma_sign",
     [](R& r, const Case&) {
       r.sign_dgamma = -1;
       return true;
     },
     "dgamma has the other sign.", "B14", kDgamma, kProducts},
    {"dbeta_sign",
     [](R& r, const Case&) {
       r.sign_dbeta = -1;
       return true;
     },
     "dbeta has the other sign.", "B15", kDbeta, kSums},
    {"parameters_averaged",
     [](R& r, const Case&) {
       r.parameters_averaged = true;
       return true;
     },
     "dgamma and dbeta are means over the batch; they are sums.", "B14", kDgamma, "any dy"},
    {"parameters_of_first",
     [](R& r, const Case&) {
       r.parameter_sum = R::Sum::first;
       return true;
     },
     "dgamma and dbeta are of the first value alone; they are sums, though two lines of Part 2 leave them out.", "B14",
     kDgamma, "any dy"},
    {"parameters_of_last",
     [](R& r, const Case&) {
       r.parameter_sum = R::Sum::last;
       return true;
     },
     "dgamma and dbeta are of the last value alone; they are sums: += is meant, not =.", "B14", kDgamma, "any dy"},

    {"momentum_reversed",
     [](R& r, const Case& c) {
       r.momentum = R::Momentum::reversed;
       return has_running(c);
     },
     "momentum weighs the old statistics where it weighs the new ones, or the reverse.", "B7", kRunningMean,
     "a momentum that is not 0.5"},
    {"momentum_ignored",
     [](R& r, const Case& c) {
       r.momentum = R::Momentum::whole;
       return has_running(c);
     },
     "The batch's statistics take the place of the running ones, as in a cumulative average's first batch.", "B7",
     kRunningMean, "a momentum that is not 1"},
    {"running_variance_biased",
     [](R& r, const Case& c) {
       r.running_ddof = 0;
       return has_running(c);
     },
     "The running variance moves by the biased variance; it is the unbiased one, M2 / (N - 1).", "B7", kRunningVar,
     kFewValues},
    {"running_statistics_used",
     [](R& r, const Case& c) {
       r.other_statistics = true;
       return has_running(c) && !c.inference;
     },
     "The running statistics normalize where the batch's are meant.", "B6", kRstd, "running statistics, in the case"},
    {"batch_statistics_used",
     [](R& r, const Case& c) {
       r.other_statistics = true;
       return c.inference;
     },
     "The batch's statistics normalize where the running ones are meant.", "B6",
     "y = gamma * (x - running_mean) / sqrt(running_var + eps) + beta;", "the case of an inference"},

    {"std_for_var",
     [](R& r, const Case&) {
       r.var_kept = R::Kept::std;
       return true;
     },
     "What is given as var is the standard deviation, sqrt(var + eps).", "B3", kVar, "values whose variance is not 1"},
    {"rstd_for_var",
     [](R& r, const Case&) {
       r.var_kept = R::Kept::rstd;
       return true;
     },
     "What is given as var is rstd.", "B3", kVar, "values whose variance is not 1"},
    {"std_for_rstd",
     [](R& r, const Case&) {
       r.rstd_kept = R::Kept::std;
       return true;
     },
     "What is given as rstd is the standard deviation, sqrt(var + eps).", "B3", kRstd,
     "values whose variance is not 1"},
    {"var_for_rstd",
     [](R& r, const Case&) {
       r.rstd_kept = R::Kept::var;
       return true;
     },
     "What is given as rstd is the variance.", "B3", kRstd, "values whose variance is not 1"},

    {"mask_forgotten_in_sums",
     [](R& r, const Case& c) {
       r.mask = R::Mask::sums_without;
       return c.relu;
     },
     "The sums take dy before the ReLU's mask; dx has it.", "B49", "g = y > 0 ? dy : 0;  // then B27 on g",
     "a ReLU, and values on both sides of 0"},
    {"mask_forgotten",
     [](R& r, const Case& c) {
       r.mask = R::Mask::none;
       return c.relu;
     },
     "dy is not masked by the ReLU.", "B49", "g = y > 0 ? dy : 0;  // then B27 on g",
     "a ReLU, and values on both sides of 0"},
};

constexpr Entry kForeign[] = {
    {"statistics_of_another_batch", nullptr,
     "Each channel is normalized by some mean and variance, but not by those of x: they are of another batch.", "B1",
     "mean = sum(x) / N;", "any x"},
    {"stale_x_hat", nullptr, "dx was computed with the x_hat of another batch.", "B27",
     "x_hat = (x - mean) * rstd;  // of this x", kProducts},
};

}  // namespace

std::span<const Entry> catalogue() { return kEntries; }

const Entry& entry_of(Foreign foreign) { return kForeign[foreign == Foreign::statistics ? 0 : 1]; }

Mistake mistake_of(const Entry& entry) { return {entry.id, entry.what, entry.equation, entry.code, entry.telling}; }

}  // namespace unitvar::diagnosis

std::vector<unitvar::Mistake> unitvar::diagnosed_mistakes() {
  std::vector<Mistake> all;
  for (const auto& entry : diagnosis::catalogue()) all.push_back(diagnosis::mistake_of(entry));
  all.push_back(diagnosis::mistake_of(diagnosis::entry_of(diagnosis::Foreign::statistics)));
  all.push_back(diagnosis::mistake_of(diagnosis::entry_of(diagnosis::Foreign::x_hat)));
  return all;
}
