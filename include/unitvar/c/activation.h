#ifndef UNITVAR_C_ACTIVATION_H
#define UNITVAR_C_ACTIVATION_H
/* Batch normalization with what follows it: a residual, and an activation. */
#include "unitvar/c/common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What follows a batch normalization. Zeros in all fields: nothing. ReLU is leaky ReLU with slope 0, ReLU6 is clip. */
typedef struct unitvar_activation {
  int32_t kind;          /* UNITVAR_IDENTITY and so on */
  double negative_slope; /* of UNITVAR_LEAKY_RELU */
  double low, high;      /* of UNITVAR_CLIP */
} unitvar_activation;
enum { UNITVAR_IDENTITY = 0, UNITVAR_LEAKY_RELU = 1, UNITVAR_CLIP = 2, UNITVAR_HARD_SWISH = 3, UNITVAR_SILU = 4 };

/* Bytes of the mask that leaky ReLU and clip keep for the backward; 0 for the others. The forward does not write its
   last eight bytes. UNITVAR_OVERFLOW if a tensor of 16-bit elements exceeds 64 bits. */
UNITVAR_C_API unitvar_status unitvar_batch_norm_act_mask_bytes(const unitvar_extent* extent,
                                                               const unitvar_activation* activation,
                                                               int64_t* bytes) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_batch_norm_act_forward. */
typedef struct unitvar_batch_norm_act_forward_args {
  size_t struct_size; /* sizeof(unitvar_batch_norm_act_forward_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  const void* x;        /* input */
  const void* residual; /* optional, as many elements as x */
  const void* gamma;    /* optional, C */
  const void* beta;     /* optional, C */
  void* y;              /* output; may be exactly the residual */
  uint8_t* mask;        /* output, optional, unitvar_batch_norm_act_mask_bytes(extent, activation) bytes */
  double* mean;         /* output, optional: batch mean, C */
  double* var;          /* output, optional: biased batch variance, C */
  double* rstd;         /* output, optional, C */
  double eps;
  unitvar_activation activation;
} unitvar_batch_norm_act_forward_args;

/* Training forward: y = activation(batch_norm(x) + residual) (derivation B46, B47, B88 to B91). */
UNITVAR_C_API unitvar_status unitvar_batch_norm_act_forward(const unitvar_batch_norm_act_forward_args* args,
                                                            const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_batch_norm_act_inference. */
typedef struct unitvar_batch_norm_act_inference_args {
  size_t struct_size; /* sizeof(unitvar_batch_norm_act_inference_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  const void* x;
  const void* residual; /* optional */
  const double* mean;   /* running mean, C */
  const double* var;    /* running variance, C; the caller's choice of biased or unbiased */
  const void* gamma;    /* optional */
  const void* beta;     /* optional */
  void* y;              /* output; may be exactly x */
  double eps;
  unitvar_activation activation;
} unitvar_batch_norm_act_inference_args;

/* Inference: y = activation(gamma * (x - mean) / sqrt(var + eps) + beta + residual) (derivation B46). */
UNITVAR_C_API unitvar_status unitvar_batch_norm_act_inference(const unitvar_batch_norm_act_inference_args* args,
                                                              const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_batch_norm_act_backward. */
typedef struct unitvar_batch_norm_act_backward_args {
  size_t struct_size; /* sizeof(unitvar_batch_norm_act_backward_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  const void* x;                 /* the forward's input */
  const void* dy;                /* dL/dy */
  const uint8_t* mask;           /* the forward's; may be null if the activation has none */
  const void* residual;          /* optional: the forward's, for hard-swish and SiLU; the others do not read it */
  const double* mean;            /* saved by the forward, C */
  const double* rstd;            /* saved by the forward, C */
  const void* gamma;             /* optional */
  const void* beta;              /* optional: the forward's, for hard-swish and SiLU; the others do not read it */
  void* dx;                      /* output, optional: dL/dx; may be exactly dy */
  void* dresidual;               /* output, optional: dL/dresidual */
  void* dgamma;                  /* output, optional, C */
  void* dbeta;                   /* output, optional, C */
  unitvar_activation activation; /* the forward's */
} unitvar_batch_norm_act_backward_args;

/* Backward of the training forward: dy times the activation's slope, which is dresidual, and then
   batch_norm_backward. */
UNITVAR_C_API unitvar_status unitvar_batch_norm_act_backward(const unitvar_batch_norm_act_backward_args* args,
                                                             const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_batch_norm_act_double_backward and unitvar_batch_norm_act_frozen_double_backward. */
typedef struct unitvar_batch_norm_act_double_backward_args {
  size_t struct_size; /* sizeof(unitvar_batch_norm_act_double_backward_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  const void* x;              /* the forward's input */
  const void* dy;             /* what the backward was given */
  const void* residual;       /* optional: the forward's, of any activation */
  const double* mean;         /* what the forward saved, or was given, C */
  const double* rstd;         /* the same */
  const void* gamma;          /* optional */
  const void* beta;           /* optional */
  const void* grad_dx;        /* gradient with respect to dx, optional */
  const void* grad_dresidual; /* with respect to dresidual, optional */
  const void* grad_dgamma;    /* optional */
  const void* grad_dbeta;     /* optional */
  void* grad_x;               /* output, optional */
  void* grad_dy;              /* output, optional */
  void* grad_residual;        /* output, optional: 0 but for hard-swish and SiLU */
  void* grad_gamma;           /* output, optional */
  void* grad_beta;            /* output, optional: 0 but for hard-swish and SiLU */
  unitvar_activation activation;
} unitvar_batch_norm_act_double_backward_args;

/* Backward of batch_norm_act_backward. */
UNITVAR_C_API unitvar_status unitvar_batch_norm_act_double_backward(
    const unitvar_batch_norm_act_double_backward_args* args, const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* The same where mean and rstd do not depend on x. */
UNITVAR_C_API unitvar_status unitvar_batch_norm_act_frozen_double_backward(
    const unitvar_batch_norm_act_double_backward_args* args, const unitvar_options* options) UNITVAR_C_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
