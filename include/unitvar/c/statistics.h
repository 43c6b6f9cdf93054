#ifndef UNITVAR_C_STATISTICS_H
#define UNITVAR_C_STATISTICS_H
/* Statistics of a channel: merged from parts, finished, averaged over batches, turned into scale and shift. */
#include "unitvar/c/common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Merges the moments of part b into those of part a, by Chan's formula (derivation B8). `merged`, which may be null,
   receives count_a + count_b. It may not lie within another argument. */
UNITVAR_C_API unitvar_status unitvar_merge_moments(int64_t channels, double count_a, double* mean_a, double* m2_a,
                                                   double count_b, const double* mean_b, const double* m2_b,
                                                   double* merged) UNITVAR_C_NOEXCEPT;

/* var = m2 / count, biased, and rstd = 1 / sqrt(var + eps). */
UNITVAR_C_API unitvar_status unitvar_finish_moments(int64_t channels, double count, const double* m2, double eps,
                                                    double* var, double* rstd) UNITVAR_C_NOEXCEPT;

/* How running statistics take in a batch. Zeros in all fields but momentum: as PyTorch, where momentum is 0.1. */
typedef struct unitvar_running_policy {
  int32_t cumulative;     /* not 0: plain average over all batches, whatever momentum is */
  double momentum;        /* any finite number */
  int32_t weight_of_old;  /* 0: running = (1 - momentum) * running + momentum * batch, as PyTorch and cuDNN. Else:
                             running = momentum * running + (1 - momentum) * batch, as ONNX, Keras and CS231n */
  int32_t biased;         /* 0: running variances are unbiased, m2 / (N - 1). Else: biased, m2 / N */
  int32_t skip_nonfinite; /* not 0: a batch with NaN or Inf in its statistics changes nothing */
} unitvar_running_policy;

/* What came of an update. */
enum { UNITVAR_UPDATED = 0, UNITVAR_EMPTY = 1, UNITVAR_SKIPPED = 2 };

/* Updates running statistics by a batch of `count` values per channel with this mean and biased variance.
   batches_tracked is needed by the cumulative average. It, batches_skipped and outcome may be null, and may not lie
   within another argument. The two counters are 0 to INT64_MAX - 1. */
UNITVAR_C_API unitvar_status unitvar_update_running_statistics(int64_t channels, double* running_mean,
                                                               double* running_var, int64_t* batches_tracked,
                                                               int64_t* batches_skipped, double count,
                                                               const double* mean, const double* var,
                                                               const unitvar_running_policy* policy,
                                                               int32_t* outcome) UNITVAR_C_NOEXCEPT;

/* scale = gamma / sqrt(var + eps), shift = beta - mean * scale (derivation B72): inference as one line. gamma, beta,
   scale and shift have the parameter type of dtype. gamma and beta may be null. */
UNITVAR_C_API unitvar_status unitvar_batch_norm_scale_and_shift(unitvar_dtype dtype, int64_t channels,
                                                                const double* mean, const double* var,
                                                                const void* gamma, const void* beta, double eps,
                                                                void* scale, void* shift) UNITVAR_C_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
