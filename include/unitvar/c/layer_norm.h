#ifndef UNITVAR_C_LAYER_NORM_H
#define UNITVAR_C_LAYER_NORM_H
/* Layer and RMS normalization: statistics of each row. */
#include "unitvar/c/common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Arguments of unitvar_layer_norm_forward. */
typedef struct unitvar_layer_norm_forward_args {
  size_t struct_size; /* sizeof(unitvar_layer_norm_forward_args) */
  unitvar_dtype dtype;
  unitvar_row_extent extent;
  const void* x;      /* input */
  const void* gamma;  /* scale, optional, D */
  const void* beta;   /* shift, optional, D */
  void* y;            /* output; may be exactly x, if no backward needs it */
  double* mean;       /* output, optional: each row's mean */
  double* rstd;       /* output, optional: 1 / sqrt(var + eps) with the row's biased var */
  double eps;         /* finite; var + eps must be > 0 */
  int one_plus_gamma; /* 1 + gamma takes gamma's place */
} unitvar_layer_norm_forward_args;

/* Layer normalization: y = gamma * (x - mean) / sqrt(var + eps) + beta, by each row's mean and biased variance
   (derivation B80). */
UNITVAR_C_API unitvar_status unitvar_layer_norm_forward(const unitvar_layer_norm_forward_args* args,
                                                        const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_layer_norm_backward. */
typedef struct unitvar_layer_norm_backward_args {
  size_t struct_size; /* sizeof(unitvar_layer_norm_backward_args) */
  unitvar_dtype dtype;
  unitvar_row_extent extent;
  const void* x;      /* the forward's input */
  const void* dy;     /* dL/dy */
  const double* mean; /* saved by the forward */
  const double* rstd; /* saved by the forward */
  const void* gamma;  /* optional, D */
  void* dx;           /* output, optional: dL/dx; may be exactly dy */
  void* dgamma;       /* output, optional: dL/dgamma, D */
  void* dbeta;        /* output, optional: dL/dbeta, D */
  int one_plus_gamma; /* as in the forward */
} unitvar_layer_norm_backward_args;

/* Its backward (derivation B81). */
UNITVAR_C_API unitvar_status unitvar_layer_norm_backward(const unitvar_layer_norm_backward_args* args,
                                                         const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_layer_norm_double_backward. */
typedef struct unitvar_layer_norm_double_backward_args {
  size_t struct_size; /* sizeof(unitvar_layer_norm_double_backward_args) */
  unitvar_dtype dtype;
  unitvar_row_extent extent;
  const void* x;           /* the forward's input */
  const void* dy;          /* what the backward was given */
  const double* mean;      /* saved by the forward */
  const double* rstd;      /* saved by the forward */
  const void* gamma;       /* optional, D */
  const void* grad_dx;     /* v, optional: absent is 0 */
  const void* grad_dgamma; /* p, optional, D: absent is 0 */
  const void* grad_dbeta;  /* q, optional, D: absent is 0 */
  void* grad_x;            /* output, optional */
  void* grad_dy;           /* output, optional */
  void* grad_gamma;        /* output, optional, D */
  int one_plus_gamma;      /* as in the forward */
} unitvar_layer_norm_double_backward_args;

/* Backward of layer_norm_backward. */
UNITVAR_C_API unitvar_status unitvar_layer_norm_double_backward(const unitvar_layer_norm_double_backward_args* args,
                                                                const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_rms_norm_forward. */
typedef struct unitvar_rms_norm_forward_args {
  size_t struct_size; /* sizeof(unitvar_rms_norm_forward_args) */
  unitvar_dtype dtype;
  unitvar_row_extent extent;
  const void* x;      /* input */
  const void* gamma;  /* scale, optional, D */
  const void* beta;   /* shift, optional, D */
  void* y;            /* output; may be exactly x, if no backward needs it */
  double* rstd;       /* output, optional: each row's 1 / sqrt(mean(x^2) + eps) */
  double eps;         /* finite; mean(x^2) + eps must be > 0 */
  int one_plus_gamma; /* 1 + gamma takes gamma's place */
} unitvar_rms_norm_forward_args;

/* RMS normalization: y = gamma * x / sqrt(mean(x^2) + eps) + beta (derivation B83). */
UNITVAR_C_API unitvar_status unitvar_rms_norm_forward(const unitvar_rms_norm_forward_args* args,
                                                      const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_rms_norm_backward. */
typedef struct unitvar_rms_norm_backward_args {
  size_t struct_size; /* sizeof(unitvar_rms_norm_backward_args) */
  unitvar_dtype dtype;
  unitvar_row_extent extent;
  const void* x;      /* the forward's input */
  const void* dy;     /* dL/dy */
  const double* rstd; /* saved by the forward */
  const void* gamma;  /* optional, D */
  void* dx;           /* output, optional: dL/dx; may be exactly dy */
  void* dgamma;       /* output, optional: dL/dgamma, D */
  void* dbeta;        /* output, optional: dL/dbeta, D */
  int one_plus_gamma; /* as in the forward */
} unitvar_rms_norm_backward_args;

/* Its backward (derivation B84). */
UNITVAR_C_API unitvar_status unitvar_rms_norm_backward(const unitvar_rms_norm_backward_args* args,
                                                       const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_rms_norm_double_backward. */
typedef struct unitvar_rms_norm_double_backward_args {
  size_t struct_size; /* sizeof(unitvar_rms_norm_double_backward_args) */
  unitvar_dtype dtype;
  unitvar_row_extent extent;
  const void* x;           /* the forward's input */
  const void* dy;          /* what the backward was given */
  const double* rstd;      /* saved by the forward */
  const void* gamma;       /* optional, D */
  const void* grad_dx;     /* v, optional: absent is 0 */
  const void* grad_dgamma; /* p, optional, D: absent is 0 */
  const void* grad_dbeta;  /* q, optional, D: absent is 0 */
  void* grad_x;            /* output, optional */
  void* grad_dy;           /* output, optional */
  void* grad_gamma;        /* output, optional, D */
  int one_plus_gamma;      /* as in the forward */
} unitvar_rms_norm_double_backward_args;

/* Backward of rms_norm_backward. */
UNITVAR_C_API unitvar_status unitvar_rms_norm_double_backward(const unitvar_rms_norm_double_backward_args* args,
                                                              const unitvar_options* options) UNITVAR_C_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
