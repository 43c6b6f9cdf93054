#ifndef UNITVAR_C_LAYER_NORM_ADD_H
#define UNITVAR_C_LAYER_NORM_ADD_H
/* Layer and RMS normalization behind a residual: h = x + residual, y = norm(h). */
#include "unitvar/c/common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Arguments of unitvar_layer_norm_add_forward. */
typedef struct unitvar_layer_norm_add_forward_args {
  size_t struct_size; /* sizeof(unitvar_layer_norm_add_forward_args) */
  unitvar_dtype dtype;
  unitvar_row_extent extent;
  const void* x;        /* input */
  const void* residual; /* input, added to x */
  const void* gamma;    /* scale, optional, D */
  const void* beta;     /* shift, optional, D */
  void* y;              /* output: h normalized; may be exactly x or exactly the residual */
  void* h;              /* output: x + residual; may be exactly x or exactly the residual, if y is not */
  double* mean;         /* output, optional: each row's mean of h */
  double* rstd;         /* output, optional: 1 / sqrt(var + eps) with the biased var of the row of h */
  double eps;           /* finite; var + eps must be > 0 */
  int one_plus_gamma;   /* 1 + gamma takes gamma's place */
} unitvar_layer_norm_add_forward_args;

/* h = x + residual, y = layer_norm(h) (derivation B86). */
UNITVAR_C_API unitvar_status unitvar_layer_norm_add_forward(const unitvar_layer_norm_add_forward_args* args,
                                                            const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_layer_norm_add_backward. */
typedef struct unitvar_layer_norm_add_backward_args {
  size_t struct_size; /* sizeof(unitvar_layer_norm_add_backward_args) */
  unitvar_dtype dtype;
  unitvar_row_extent extent;
  const void* h;      /* the forward's sum */
  const void* dy;     /* dL/dy */
  const void* dh;     /* optional: what arrives at h from all but y; absent is 0 */
  const double* mean; /* saved by the forward */
  const double* rstd; /* saved by the forward */
  const void* gamma;  /* optional, D */
  void* dx;           /* output, optional: dL/dx and dL/dresidual; may be exactly dy or exactly dh */
  void* dgamma;       /* output, optional: dL/dgamma, D */
  void* dbeta;        /* output, optional: dL/dbeta, D */
  int one_plus_gamma; /* as in the forward */
} unitvar_layer_norm_add_backward_args;

/* Its backward: dx is the gradient of x and of the residual (derivation B87). */
UNITVAR_C_API unitvar_status unitvar_layer_norm_add_backward(const unitvar_layer_norm_add_backward_args* args,
                                                             const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_rms_norm_add_forward. */
typedef struct unitvar_rms_norm_add_forward_args {
  size_t struct_size; /* sizeof(unitvar_rms_norm_add_forward_args) */
  unitvar_dtype dtype;
  unitvar_row_extent extent;
  const void* x;        /* input */
  const void* residual; /* input, added to x */
  const void* gamma;    /* scale, optional, D */
  const void* beta;     /* shift, optional, D */
  void* y;              /* output: h normalized; may be exactly x or exactly the residual */
  void* h;              /* output: x + residual; may be exactly x or exactly the residual, if y is not */
  double* rstd;         /* output, optional: each row's 1 / sqrt(mean(h^2) + eps) */
  double eps;           /* finite; mean(h^2) + eps must be > 0 */
  int one_plus_gamma;   /* 1 + gamma takes gamma's place */
} unitvar_rms_norm_add_forward_args;

/* h = x + residual, y = rms_norm(h) (derivation B86). */
UNITVAR_C_API unitvar_status unitvar_rms_norm_add_forward(const unitvar_rms_norm_add_forward_args* args,
                                                          const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_rms_norm_add_backward. */
typedef struct unitvar_rms_norm_add_backward_args {
  size_t struct_size; /* sizeof(unitvar_rms_norm_add_backward_args) */
  unitvar_dtype dtype;
  unitvar_row_extent extent;
  const void* h;      /* the forward's sum */
  const void* dy;     /* dL/dy */
  const void* dh;     /* optional: what arrives at h from all but y; absent is 0 */
  const double* rstd; /* saved by the forward */
  const void* gamma;  /* optional, D */
  void* dx;           /* output, optional: dL/dx and dL/dresidual; may be exactly dy or exactly dh */
  void* dgamma;       /* output, optional: dL/dgamma, D */
  void* dbeta;        /* output, optional: dL/dbeta, D */
  int one_plus_gamma; /* as in the forward */
} unitvar_rms_norm_add_backward_args;

/* Its backward (derivation B87). */
UNITVAR_C_API unitvar_status unitvar_rms_norm_add_backward(const unitvar_rms_norm_add_backward_args* args,
                                                           const unitvar_options* options) UNITVAR_C_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
