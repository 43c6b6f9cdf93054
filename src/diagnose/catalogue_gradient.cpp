// Mistakes of dx, dgamma and dbeta.
#include "diagnose/catalogue.hpp"
#include "diagnose/catalogue_text.hpp"
#include "diagnose/groups.hpp"

namespace unitvar::diagnosis {
namespace {

using R = Recipe;
using Case = DiagnosisCase;

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
       r.mean_sum_divided = r.var_sum_divided = false;
       return has_mean(c) && !c.inference;
     },
     "The sums in dx are not divided by N.", "B27", kDx, kSums},
    {"mean_sum_not_divided",
     [](R& r, const Case& c) {
       r.mean_sum_divided = false;
       return has_mean(c) && !c.inference;
     },
     "The sum of dy in dx is not divided by N.", "B27", kDx, kSums},
    {"variance_sum_not_divided",
     [](R& r, const Case& c) {
       r.var_sum_divided = false;
       return !c.inference;
     },
     "The sum of dy * x_hat in dx is not divided by N.", "B27", kDx, kProducts},
    {"sums_divided_by_samples",
     [](R& r, const Case& c) {
       r.samples_for_values = true;
       return c.operation == DiagnosisOperation::batch_norm && has_pixels(c) && !c.inference;
     },
     "The sums in dx are divided by the number of samples, shape[0]; a channel has N * H * W values.", "B27", kDx,
     kSums},
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

}  // namespace

std::span<const Entry> gradient_mistakes() { return kEntries; }

}  // namespace unitvar::diagnosis
