#ifndef UNITVAR_C_DERIVATIVES_H
#define UNITVAR_C_DERIVATIVES_H
/* Further derivatives of batch normalization. */
#include "unitvar/c/common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Arguments of unitvar_batch_norm_statistics_backward. */
typedef struct unitvar_batch_norm_statistics_backward_args {
  size_t struct_size; /* sizeof(unitvar_batch_norm_statistics_backward_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  const void* x;       /* the forward's input */
  const void* dy;      /* dL/dy */
  const double* mean;  /* saved by the forward, C */
  const double* rstd;  /* saved by the forward, C */
  const void* gamma;   /* optional */
  const double* dmean; /* dL/dmean of the returned batch mean, optional */
  const double* dvar;  /* dL/dvar of the returned biased variance, optional */
  void* dx;            /* output, optional: dL/dx; may be exactly dy */
  void* dgamma;        /* output, optional: dL/dgamma */
  void* dbeta;         /* output, optional: dL/dbeta */
} unitvar_batch_norm_statistics_backward_args;

/* Backward where the loss depends on the returned mean and biased variance, too. */
UNITVAR_C_API unitvar_status unitvar_batch_norm_statistics_backward(
    const unitvar_batch_norm_statistics_backward_args* args, const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_batch_norm_double_backward and unitvar_batch_norm_frozen_double_backward. */
typedef struct unitvar_batch_norm_double_backward_args {
  size_t struct_size; /* sizeof(unitvar_batch_norm_double_backward_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  const void* x;           /* the forward's input */
  const void* dy;          /* what the backward was given */
  const double* mean;      /* what the forward saved, or was given, C */
  const double* rstd;      /* the same */
  const void* gamma;       /* optional */
  const void* grad_dx;     /* v, optional */
  const void* grad_dgamma; /* u, optional */
  const void* grad_dbeta;  /* w, optional */
  void* grad_x;            /* output, optional */
  void* grad_dy;           /* output, optional */
  void* grad_gamma;        /* output, optional */
} unitvar_batch_norm_double_backward_args;

/* Backward of batch_norm_backward. */
UNITVAR_C_API unitvar_status unitvar_batch_norm_double_backward(const unitvar_batch_norm_double_backward_args* args,
                                                                const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Backward of batch_norm_frozen_backward. */
UNITVAR_C_API unitvar_status unitvar_batch_norm_frozen_double_backward(
    const unitvar_batch_norm_double_backward_args* args, const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_batch_norm_jvp and unitvar_batch_norm_frozen_jvp. */
typedef struct unitvar_batch_norm_jvp_args {
  size_t struct_size; /* sizeof(unitvar_batch_norm_jvp_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  const void* x;         /* the forward's input */
  const double* mean;    /* what the forward saved, or was given, C */
  const double* rstd;    /* the same */
  const void* gamma;     /* optional */
  const void* x_dot;     /* optional */
  const void* gamma_dot; /* optional */
  const void* beta_dot;  /* optional */
  void* y_dot;           /* output, optional */
  double* mean_dot;      /* output, optional */
  double* var_dot;       /* output, optional: of the biased variance */
} unitvar_batch_norm_jvp_args;

/* Forward mode of the training forward: the tangents of y, mean and the biased variance. */
UNITVAR_C_API unitvar_status unitvar_batch_norm_jvp(const unitvar_batch_norm_jvp_args* args,
                                                    const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Forward mode of inference, whose statistics do not move: mean_dot and var_dot, where they are asked for, become 0. */
UNITVAR_C_API unitvar_status unitvar_batch_norm_frozen_jvp(const unitvar_batch_norm_jvp_args* args,
                                                           const unitvar_options* options) UNITVAR_C_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
