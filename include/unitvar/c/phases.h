#ifndef UNITVAR_C_PHASES_H
#define UNITVAR_C_PHASES_H
/* The four phases of batch normalization, and what stands between them. */
#include "unitvar/c/common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Arguments of unitvar_moments. */
typedef struct unitvar_moments_args {
  size_t struct_size; /* sizeof(unitvar_moments_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  const void* x;
  double* mean; /* output, C */
  double* m2;   /* output, C: sum of squared deviations from mean */
} unitvar_moments_args;

/* Phase 1: mean and m2 = sum((x - mean)^2). */
UNITVAR_C_API unitvar_status unitvar_moments(const unitvar_moments_args* args,
                                             const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_normalize. */
typedef struct unitvar_normalize_args {
  size_t struct_size; /* sizeof(unitvar_normalize_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  const void* x;
  const double* mean; /* C */
  const double* rstd; /* C */
  const void* gamma;  /* optional, C */
  const void* beta;   /* optional, C */
  void* y;            /* output; may be exactly x */
} unitvar_normalize_args;

/* Phase 2: y = gamma * (x - mean) * rstd + beta. */
UNITVAR_C_API unitvar_status unitvar_normalize(const unitvar_normalize_args* args,
                                               const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_gradient_sums. */
typedef struct unitvar_gradient_sums_args {
  size_t struct_size; /* sizeof(unitvar_gradient_sums_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  const void* x;
  const void* dy;
  const double* mean; /* C: the mean over the whole batch, all ranks */
  double* sum_dy;     /* output, C */
  double* sum_dy_xmu; /* output, C */
} unitvar_gradient_sums_args;

/* Phase 3: sum(dy) and sum(dy * (x - mean)). */
UNITVAR_C_API unitvar_status unitvar_gradient_sums(const unitvar_gradient_sums_args* args,
                                                   const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_input_gradient. */
typedef struct unitvar_input_gradient_args {
  size_t struct_size; /* sizeof(unitvar_input_gradient_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  const void* x;
  const void* dy;
  const double* mean;       /* C */
  const double* rstd;       /* C */
  const void* gamma;        /* optional, C */
  const double* sum_dy;     /* C, over all ranks */
  const double* sum_dy_xmu; /* C, over all ranks */
  double count;             /* values per channel over all ranks; > 0 unless the extent is empty */
  void* dx;                 /* output; may be exactly dy */
} unitvar_input_gradient_args;

/* Phase 4: dx from the sums of all ranks. */
UNITVAR_C_API unitvar_status unitvar_input_gradient(const unitvar_input_gradient_args* args,
                                                    const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_batch_norm_fold. */
typedef struct unitvar_batch_norm_fold_args {
  size_t struct_size; /* sizeof(unitvar_batch_norm_fold_args) */
  unitvar_dtype dtype;
  unitvar_weight_extent extent; /* of the weights; C is groups * block.channels */
  const void* weight;           /* of the map before the normalization */
  const void* bias;             /* of the map, optional: absent is 0, C */
  const double* mean;           /* running mean, C */
  const double* var;            /* running variance, C */
  const void* gamma;            /* optional, C */
  const void* beta;             /* optional, C */
  void* folded_weight;          /* output; may be exactly weight */
  void* folded_bias;            /* output, C, always there; may be exactly bias */
  double eps;
} unitvar_batch_norm_fold_args;

/* The weights and bias of the map that does what a linear map or convolution and batch_norm_inference behind it do
   (derivation B71). */
UNITVAR_C_API unitvar_status unitvar_batch_norm_fold(const unitvar_batch_norm_fold_args* args) UNITVAR_C_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
