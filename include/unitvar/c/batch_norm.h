#ifndef UNITVAR_C_BATCH_NORM_H
#define UNITVAR_C_BATCH_NORM_H
/* Batch normalization: statistics of each channel over the batch. */
#include "unitvar/c/common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Arguments of unitvar_batch_norm_forward. */
typedef struct unitvar_batch_norm_forward_args {
  size_t struct_size; /* sizeof(unitvar_batch_norm_forward_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  const void* x;     /* input */
  const void* gamma; /* scale, optional */
  const void* beta;  /* shift, optional */
  void* y;           /* output; may not overlap x (backward needs x) */
  double* mean;      /* output, optional: batch mean, C */
  double* var;       /* output, optional: biased batch variance, C */
  double* rstd;      /* output, optional: 1 / sqrt(var + eps) with the biased var, C */
  double eps;        /* finite; var + eps must be > 0 */
  double* count;     /* output, optional: one number, N over all ranks that share the batch */
} unitvar_batch_norm_forward_args;

/* Training forward: mean = sum(x) / N, var = sum((x - mean)^2) / N, y = gamma * (x - mean) / sqrt(var + eps) +
   beta (derivation B1 to B5). */
UNITVAR_C_API unitvar_status unitvar_batch_norm_forward(const unitvar_batch_norm_forward_args* args,
                                                        const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_batch_norm_inference. */
typedef struct unitvar_batch_norm_inference_args {
  size_t struct_size; /* sizeof(unitvar_batch_norm_inference_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  const void* x;      /* input */
  const double* mean; /* running mean, C */
  const double* var;  /* running variance, C; the caller's choice of biased or unbiased */
  const void* gamma;  /* optional */
  const void* beta;   /* optional */
  void* y;            /* output; may be exactly x */
  double eps;         /* finite; var + eps must be > 0 */
} unitvar_batch_norm_inference_args;

/* Inference by running statistics: y = gamma * (x - mean) / sqrt(var + eps) + beta (derivation B6). */
UNITVAR_C_API unitvar_status unitvar_batch_norm_inference(const unitvar_batch_norm_inference_args* args,
                                                          const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_batch_norm_backward. */
typedef struct unitvar_batch_norm_backward_args {
  size_t struct_size; /* sizeof(unitvar_batch_norm_backward_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  const void* x;      /* the forward's input */
  const void* dy;     /* dL/dy */
  const double* mean; /* saved by the forward, C */
  const double* rstd; /* saved by the forward, C */
  const void* gamma;  /* optional */
  void* dx;           /* output, optional: dL/dx; may be exactly dy */
  void* dgamma;       /* output, optional: dL/dgamma, C */
  void* dbeta;        /* output, optional: dL/dbeta, C */
} unitvar_batch_norm_backward_args;

/* Backward of the training forward: dbeta = sum(dy), dgamma = sum(dy * x_hat), dx = gamma * rstd * (dy - dbeta / N
   - x_hat * dgamma / N) (derivation B14, B15, B27). */
UNITVAR_C_API unitvar_status unitvar_batch_norm_backward(const unitvar_batch_norm_backward_args* args,
                                                         const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_batch_norm_frozen_backward. */
typedef struct unitvar_batch_norm_frozen_backward_args {
  size_t struct_size; /* sizeof(unitvar_batch_norm_frozen_backward_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  const void* x;      /* the forward's input; may be null unless dgamma is asked for */
  const void* dy;     /* dL/dy */
  const double* mean; /* running mean that the forward used, C */
  const double* var;  /* running variance that the forward used, C */
  const void* gamma;  /* optional */
  void* dx;           /* output, optional: dL/dx; may be exactly dy */
  void* dgamma;       /* output, optional: dL/dgamma, C */
  void* dbeta;        /* output, optional: dL/dbeta, C */
  double eps;         /* the forward's */
} unitvar_batch_norm_frozen_backward_args;

/* Backward of inference: the statistics do not depend on x. dx = gamma * dy / sqrt(var + eps). */
UNITVAR_C_API unitvar_status unitvar_batch_norm_frozen_backward(const unitvar_batch_norm_frozen_backward_args* args,
                                                                const unitvar_options* options) UNITVAR_C_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
