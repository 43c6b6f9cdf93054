/* Operations through the C interface, beside the formulas written out in C. */
#include <float.h>

#include "check.h"

enum { N = 6, C = 5, S = 7, SIZE = N * C * S };

static double x[SIZE], dy[SIZE], gamma_[C], beta[C];

static void fill(void) {
  unsigned state = 1;
  for (int k = 0; k < SIZE; ++k) {
    state = state * 1103515245u + 12345u;
    x[k] = (state >> 16) % 1000 / 100.0 + 3;
    state = state * 1103515245u + 12345u;
    dy[k] = (state >> 16) % 1000 / 500.0 - 1;
  }
  for (int c = 0; c < C; ++c) {
    gamma_[c] = 1 + 0.25 * c;
    beta[c] = 0.5 * c - 1;
  }
}

/* Element k of a channel of x[N][C][S]. */
static int at(int c, int k) { return (k / S * C + c) * S + k % S; }

static void batch_norm(void) {
  const unitvar_extent extent = {N, C, S};
  double y[SIZE], mean[C], var[C], rstd[C], count = 0, dx[SIZE], dgamma[C], dbeta[C];
  unitvar_batch_norm_forward_args forward = {.struct_size = sizeof forward,
                                             .dtype = UNITVAR_F64,
                                             .extent = extent,
                                             .x = x,
                                             .gamma = gamma_,
                                             .beta = beta,
                                             .y = y,
                                             .mean = mean,
                                             .var = var,
                                             .rstd = rstd,
                                             .eps = 1e-5,
                                             .count = &count};
  CHECK_OK(unitvar_batch_norm_forward(&forward, NULL));
  CHECK(count == N * S);
  unitvar_batch_norm_backward_args backward = {.struct_size = sizeof backward,
                                               .dtype = UNITVAR_F64,
                                               .extent = extent,
                                               .x = x,
                                               .dy = dy,
                                               .mean = mean,
                                               .rstd = rstd,
                                               .gamma = gamma_,
                                               .dx = dx,
                                               .dgamma = dgamma,
                                               .dbeta = dbeta};
  const unitvar_options one_thread = {.struct_size = sizeof one_thread, .threads = 1, .isa = UNITVAR_ISA_PORTABLE};
  CHECK_OK(unitvar_batch_norm_backward(&backward, &one_thread));
  for (int c = 0; c < C; ++c) {
    double m = 0, v = 0, b = 0, g = 0;
    for (int k = 0; k < N * S; ++k) m += x[at(c, k)] / (N * S);
    for (int k = 0; k < N * S; ++k) v += (x[at(c, k)] - m) * (x[at(c, k)] - m) / (N * S);
    const double r = 1 / sqrt(v + 1e-5);
    for (int k = 0; k < N * S; ++k) {
      b += dy[at(c, k)];
      g += dy[at(c, k)] * (x[at(c, k)] - m) * r;
    }
    CHECK(near(mean[c], m, 1e-13) && near(var[c], v, 1e-13) && near(rstd[c], r, 1e-13));
    CHECK(near(dbeta[c], b, 1e-12) && near(dgamma[c], g, 1e-12));
    for (int k = 0; k < N * S; ++k) {
      const double x_hat = (x[at(c, k)] - m) * r;
      CHECK(near(y[at(c, k)], gamma_[c] * x_hat + beta[c], 1e-12));
      CHECK(near(dx[at(c, k)], gamma_[c] * r * (dy[at(c, k)] - b / (N * S) - x_hat * g / (N * S)), 1e-12));
    }
  }
}

/* ReLU behind the normalization: y and the gradient that its mask lets through. */
static void activation(void) {
  const unitvar_extent extent = {N, C, S};
  const unitvar_activation relu = {.kind = UNITVAR_LEAKY_RELU};
  int64_t bytes = 0;
  CHECK_OK(unitvar_batch_norm_act_mask_bytes(&extent, &relu, &bytes));
  CHECK(bytes >= SIZE / 8);
  uint8_t* const mask = malloc((size_t)bytes);
  double plain[SIZE], y[SIZE], mean[C], rstd[C], dresidual[SIZE];
  unitvar_batch_norm_forward_args want = {
      .struct_size = sizeof want, .dtype = UNITVAR_F64, .extent = extent, .x = x, .y = plain, .eps = 1e-5};
  CHECK_OK(unitvar_batch_norm_forward(&want, NULL));
  unitvar_batch_norm_act_forward_args forward = {.struct_size = sizeof forward,
                                                 .dtype = UNITVAR_F64,
                                                 .extent = extent,
                                                 .x = x,
                                                 .y = y,
                                                 .mask = mask,
                                                 .mean = mean,
                                                 .rstd = rstd,
                                                 .eps = 1e-5,
                                                 .activation = relu};
  CHECK_OK(unitvar_batch_norm_act_forward(&forward, NULL));
  unitvar_batch_norm_act_backward_args backward = {.struct_size = sizeof backward,
                                                   .dtype = UNITVAR_F64,
                                                   .extent = extent,
                                                   .x = x,
                                                   .dy = dy,
                                                   .mask = mask,
                                                   .mean = mean,
                                                   .rstd = rstd,
                                                   .dresidual = dresidual,
                                                   .activation = relu};
  CHECK_OK(unitvar_batch_norm_act_backward(&backward, NULL));
  for (int k = 0; k < SIZE; ++k) {
    CHECK(y[k] == (plain[k] > 0 ? plain[k] : 0));
    CHECK(dresidual[k] == (plain[k] > 0 ? dy[k] : 0));
  }
  free(mask);
}

/* Rows of x, with a residual, in float: within a few roundings of the formula. */
static void rows(void) {
  enum { ROWS = N * C };
  float in[SIZE], residual[SIZE], h[SIZE], y[SIZE];
  double rstd[ROWS];
  for (int k = 0; k < SIZE; ++k) {
    in[k] = (float)x[k];
    residual[k] = (float)dy[k];
  }
  unitvar_rms_norm_add_forward_args args = {.struct_size = sizeof args,
                                            .dtype = UNITVAR_F32,
                                            .extent = {ROWS, S},
                                            .x = in,
                                            .residual = residual,
                                            .y = y,
                                            .h = h,
                                            .rstd = rstd,
                                            .eps = 1e-6};
  CHECK_OK(unitvar_rms_norm_add_forward(&args, NULL));
  for (int r = 0; r < ROWS; ++r) {
    double square = 0;
    for (int k = r * S; k < (r + 1) * S; ++k) {
      CHECK(h[k] == in[k] + residual[k]);
      square += (double)h[k] * h[k] / S;
    }
    CHECK(near(rstd[r], 1 / sqrt(square + 1e-6), 1e-12));
    for (int k = r * S; k < (r + 1) * S; ++k) CHECK(near(y[k], h[k] * rstd[r], 4 * FLT_EPSILON));
  }
}

/* Two halves of a batch, merged and averaged as training does. */
static void statistics(void) {
  const unitvar_extent whole = {N, C, S}, half = {N / 2, C, S};
  double mean[C], m2[C], other_mean[C], other_m2[C], want_mean[C], want_m2[C], var[C], rstd[C], merged = 0;
  unitvar_moments_args args = {
      .struct_size = sizeof args, .dtype = UNITVAR_F64, .extent = whole, .x = x, .mean = want_mean, .m2 = want_m2};
  CHECK_OK(unitvar_moments(&args, NULL));
  args.extent = half, args.mean = mean, args.m2 = m2;
  CHECK_OK(unitvar_moments(&args, NULL));
  args.x = x + SIZE / 2, args.mean = other_mean, args.m2 = other_m2;
  CHECK_OK(unitvar_moments(&args, NULL));
  CHECK_OK(unitvar_merge_moments(C, N / 2 * S, mean, m2, N / 2 * S, other_mean, other_m2, &merged));
  CHECK(merged == N * S);
  CHECK_OK(unitvar_finish_moments(C, merged, m2, 1e-5, var, rstd));
  double running_mean[C] = {0}, running_var[C] = {0};
  int64_t tracked = 0;
  int32_t outcome = -1;
  const unitvar_running_policy policy = {.momentum = 0.5};
  CHECK_OK(unitvar_update_running_statistics(C, running_mean, running_var, &tracked, NULL, merged, mean, var, &policy,
                                             &outcome));
  CHECK(outcome == UNITVAR_UPDATED && tracked == 1);
  for (int c = 0; c < C; ++c) {
    CHECK(near(mean[c], want_mean[c], 1e-14) && near(m2[c], want_m2[c], 1e-13) && var[c] == m2[c] / merged);
    CHECK(near(running_mean[c], 0.5 * mean[c], 1e-15));
    CHECK(near(running_var[c], 0.5 * m2[c] / (merged - 1), 1e-15));
  }
}

/* A producer adds tiles backwards, and gets the bits of one call. */
static void accumulators(void) {
  const unitvar_extent extent = {N, C, S};
  double mean[C], m2[C], want_mean[C], want_m2[C], sum_dy[C], sum_dy_xmu[C], want_dy[C], want_xmu[C];
  unitvar_moments_args moments = {
      .struct_size = sizeof moments, .dtype = UNITVAR_F64, .extent = extent, .x = x, .mean = want_mean, .m2 = want_m2};
  CHECK_OK(unitvar_moments(&moments, NULL));
  unitvar_gradient_sums_args sums = {.struct_size = sizeof sums,
                                     .dtype = UNITVAR_F64,
                                     .extent = extent,
                                     .x = x,
                                     .dy = dy,
                                     .mean = want_mean,
                                     .sum_dy = want_dy,
                                     .sum_dy_xmu = want_xmu};
  CHECK_OK(unitvar_gradient_sums(&sums, NULL));
  unitvar_accumulator *of_x = NULL, *of_dy = NULL;
  CHECK_OK(unitvar_moments_accumulator_create(UNITVAR_F64, &extent, NULL, &of_x));
  CHECK_OK(unitvar_gradient_sums_accumulator_create(UNITVAR_F64, &extent, want_mean, NULL, &of_dy));
  for (int64_t t = unitvar_accumulator_tiles(of_x) - 1; t >= 0; --t) {
    unitvar_tile tile = {0, 0, 0, 0};
    CHECK_OK(unitvar_accumulator_tile(of_x, t, &tile));
    CHECK(tile.outers > 0 && tile.inners > 0 && tile.outer + tile.outers <= N);
    CHECK_OK(unitvar_accumulator_add(of_x, t, 0, C, x, NULL));
    CHECK_OK(unitvar_accumulator_add(of_dy, t, 0, C, x, dy));
  }
  CHECK_FAILS(unitvar_accumulator_add(of_x, 0, 0, C, x, dy), UNITVAR_BAD_ARGUMENT, "want null for moments");
  CHECK_OK(unitvar_accumulator_finish(of_x, mean, m2));
  CHECK_OK(unitvar_accumulator_finish(of_dy, sum_dy, sum_dy_xmu));
  CHECK(memcmp(mean, want_mean, sizeof mean) == 0 && memcmp(m2, want_m2, sizeof m2) == 0);
  CHECK(memcmp(sum_dy, want_dy, sizeof sum_dy) == 0 && memcmp(sum_dy_xmu, want_xmu, sizeof sum_dy_xmu) == 0);
  unitvar_accumulator_destroy(of_x);
  unitvar_accumulator_destroy(of_dy);
}

int main(void) {
  fill();
  batch_norm();
  activation();
  rows();
  statistics();
  accumulators();
  return failures == 0 ? 0 : 1;
}
