#ifndef UNITVAR_C_GROUP_NORM_H
#define UNITVAR_C_GROUP_NORM_H
/* Group and instance normalization: statistics of groups of channels of each sample. */
#include "unitvar/c/common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Arguments of unitvar_group_norm_forward and unitvar_instance_norm_forward. */
typedef struct unitvar_group_norm_forward_args {
  size_t struct_size; /* sizeof(unitvar_group_norm_forward_args) */
  unitvar_dtype dtype;
  unitvar_groups groups;
  const void* x;     /* input */
  const void* gamma; /* scale, optional, C */
  const void* beta;  /* shift, optional, C */
  void* y;           /* output; may not overlap x (backward needs x) */
  double* mean;      /* output, optional, N*G */
  double* rstd;      /* output, optional: 1 / sqrt(var + eps) with the biased var, N*G */
  double eps;        /* finite; var + eps must be > 0 */
} unitvar_group_norm_forward_args;

/* Group normalization (Wu & He 2018). */
UNITVAR_C_API unitvar_status unitvar_group_norm_forward(const unitvar_group_norm_forward_args* args,
                                                        const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Instance normalization: a group of one channel each. groups must be 0 or C. */
UNITVAR_C_API unitvar_status unitvar_instance_norm_forward(const unitvar_group_norm_forward_args* args,
                                                           const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_group_norm_backward and unitvar_instance_norm_backward. */
typedef struct unitvar_group_norm_backward_args {
  size_t struct_size; /* sizeof(unitvar_group_norm_backward_args) */
  unitvar_dtype dtype;
  unitvar_groups groups;
  const void* x;      /* the forward's input */
  const void* dy;     /* dL/dy */
  const double* mean; /* saved by the forward, N*G */
  const double* rstd; /* saved by the forward, N*G */
  const void* gamma;  /* optional, C */
  void* dx;           /* output, optional: dL/dx; may be exactly dy */
  void* dgamma;       /* output, optional: dL/dgamma, C */
  void* dbeta;        /* output, optional: dL/dbeta, C */
} unitvar_group_norm_backward_args;

/* Backward of group normalization. */
UNITVAR_C_API unitvar_status unitvar_group_norm_backward(const unitvar_group_norm_backward_args* args,
                                                         const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Backward of instance normalization. */
UNITVAR_C_API unitvar_status unitvar_instance_norm_backward(const unitvar_group_norm_backward_args* args,
                                                            const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_group_norm_double_backward and unitvar_instance_norm_double_backward. */
typedef struct unitvar_group_norm_double_backward_args {
  size_t struct_size; /* sizeof(unitvar_group_norm_double_backward_args) */
  unitvar_dtype dtype;
  unitvar_groups groups;
  const void* x;           /* the forward's input */
  const void* dy;          /* the backward's input */
  const double* mean;      /* saved by the forward, N*G */
  const double* rstd;      /* saved by the forward, N*G */
  const void* gamma;       /* optional, C */
  const void* grad_dx;     /* v, optional: absent is 0 */
  const void* grad_dgamma; /* u, optional, C: absent is 0 */
  const void* grad_dbeta;  /* w, optional, C: absent is 0 */
  void* grad_x;            /* output, optional */
  void* grad_dy;           /* output, optional */
  void* grad_gamma;        /* output, optional, C */
} unitvar_group_norm_double_backward_args;

/* Backward of group_norm_backward. */
UNITVAR_C_API unitvar_status unitvar_group_norm_double_backward(const unitvar_group_norm_double_backward_args* args,
                                                                const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Backward of instance_norm_backward. */
UNITVAR_C_API unitvar_status unitvar_instance_norm_double_backward(const unitvar_group_norm_double_backward_args* args,
                                                                   const unitvar_options* options) UNITVAR_C_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
