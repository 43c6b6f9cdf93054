// Mistakes of what normalizes, of y, and of what is kept.
#include "diagnose/catalogue.hpp"
#include "diagnose/catalogue_text.hpp"
#include "diagnose/groups.hpp"

namespace unitvar::diagnosis {
namespace {

using R = Recipe;
using Case = DiagnosisCase;

bool has_running(const Case& c) noexcept { return !c.running_mean.empty(); }

constexpr Entry kEntries[] = {
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
       r.beta_factor = 0;
       return !c.beta.empty();
     },
     "beta is not added.", "B5", kY, kBeta},
    {"beta_sign",
     [](R& r, const Case& c) {
       r.beta_factor = -1;
       return !c.beta.empty();
     },
     "beta is subtracted.", "B5", kY, kBeta},

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
    {"pixels_only",
     [](R& r, const Case& c) {
       r.groups = R::Groups::pixels_only;
       const bool grouped =
           c.operation == DiagnosisOperation::batch_norm || c.operation == DiagnosisOperation::group_norm;
       return !c.inference && grouped && has_pixels(c);
     },
     "Each channel of each sample has statistics of its own, over H * W alone: that is instance norm.", "B1",
     "mean[c] = sum over n, h, w of x[n][c][h][w] / (N * H * W);", kShape},
    {"other_axis",
     [](R& r, const Case& c) {
       r.groups = R::Groups::other_axis;
       return !c.inference && has_other_axis(c);
     },
     "Channels are taken from the last axis where axis 1 has them, or the reverse: sums over axes 0, 1, 2 for NCHW.",
     "B1", "mean[c] = sum over n, h, w of x[n][c][h][w] / (N * H * W);", kShape},
    {"layout_misread",
     [](R& r, const Case& c) {
       r.groups = R::Groups::misread;
       return !c.inference && !is_of_rows(c);
     },
     "Memory was read in the other layout: channels first as channels last, or the reverse.", "B1",
     "channel = index / (H * W) % C;  // of NCHW; index % C of NHWC", kShape},

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
    {"train_forgotten",
     [](R& r, const Case& c) {
       r.other_statistics = r.other_mode = true;
       return has_running(c) && !c.inference && !c.results.dx.empty();
     },
     "The layer was in inference mode: the running statistics normalize, and dx takes them for constants.", "B6", kRstd,
     "dx, and running statistics, in the case"},
    {"batch_statistics_used",
     [](R& r, const Case& c) {
       r.other_statistics = true;
       return c.inference;
     },
     "The batch's statistics normalize where the running ones are meant.", "B6",
     "y = gamma * (x - running_mean) / sqrt(running_var + eps) + beta;", "the case of an inference"},
    {"eval_forgotten",
     [](R& r, const Case& c) {
       r.other_statistics = r.other_mode = true;
       return c.inference && !c.results.dx.empty();
     },
     "The layer was in training mode where an inference is meant: the batch's statistics normalize, and dx has the "
     "terms through them.",
     "B6", "dx = gamma * dy / sqrt(running_var + eps);", "dx, in the case of an inference"},

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
    {"inverse_variance_for_rstd",
     [](R& r, const Case&) {
       r.rstd_kept = R::Kept::inverse;
       return true;
     },
     "What is given as rstd is 1 / (var + eps): the root is missing.", "B3", kRstd, "values whose variance is not 1"},
};

}  // namespace

std::span<const Entry> forward_mistakes() { return kEntries; }

}  // namespace unitvar::diagnosis
