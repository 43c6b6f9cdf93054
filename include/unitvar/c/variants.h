#ifndef UNITVAR_C_VARIANTS_H
#define UNITVAR_C_VARIANTS_H
/* Variants of batch normalization: ghost batches, in place, renormalized, weighted. */
#include "unitvar/c/common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Arguments of unitvar_batch_norm_ghost_forward. */
typedef struct unitvar_batch_norm_ghost_forward_args {
  size_t struct_size; /* sizeof(unitvar_batch_norm_ghost_forward_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  int64_t ghost;     /* outer rows of a ghost batch, >= 1 */
  const void* x;     /* input */
  const void* gamma; /* scale, optional, C */
  const void* beta;  /* shift, optional, C */
  void* y;           /* output; may not overlap x (backward needs x) */
  double* mean;      /* output, optional: B*C */
  double* var;       /* output, optional: biased variance, B*C */
  double* rstd;      /* output, optional: 1 / sqrt(var + eps) with the biased var, B*C */
  double eps;        /* finite; var + eps must be > 0 */
} unitvar_batch_norm_ghost_forward_args;

/* Training forward of ghost batches: each `ghost` outer rows are normalized by themselves (Hoffer et al. 2017). B
   is their number. */
UNITVAR_C_API unitvar_status unitvar_batch_norm_ghost_forward(const unitvar_batch_norm_ghost_forward_args* args,
                                                              const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_batch_norm_ghost_backward. */
typedef struct unitvar_batch_norm_ghost_backward_args {
  size_t struct_size; /* sizeof(unitvar_batch_norm_ghost_backward_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  int64_t ghost;      /* as in the forward */
  const void* x;      /* the forward's input */
  const void* dy;     /* dL/dy */
  const double* mean; /* saved by the forward, B*C */
  const double* rstd; /* saved by the forward, B*C */
  const void* gamma;  /* optional, C */
  void* dx;           /* output, optional: dL/dx; may be exactly dy */
  void* dgamma;       /* output, optional: dL/dgamma, C */
  void* dbeta;        /* output, optional: dL/dbeta, C */
} unitvar_batch_norm_ghost_backward_args;

/* Backward of ghost batches. */
UNITVAR_C_API unitvar_status unitvar_batch_norm_ghost_backward(const unitvar_batch_norm_ghost_backward_args* args,
                                                               const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_batch_norm_in_place_forward. */
typedef struct unitvar_batch_norm_in_place_forward_args {
  size_t struct_size; /* sizeof(unitvar_batch_norm_in_place_forward_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  void* x;           /* input, and output y */
  const void* gamma; /* optional, C; 1 / gamma must be finite */
  const void* beta;  /* optional, C */
  double* mean;      /* output, optional: batch mean, C */
  double* var;       /* output, optional: biased batch variance, C */
  double* rstd;      /* output, optional, C: what the backward needs */
  double eps;
  double negative_slope;  /* of the leaky ReLU behind it; > 0, and not so small that x is lost: max_lost_digits; 1 is
                             none */
  double max_lost_digits; /* decimal digits of x_hat that the backward may lose */
} unitvar_batch_norm_in_place_forward_args;

/* Training forward that writes y over x, with a leaky ReLU behind it (Rota Bulo et al. 2018). */
UNITVAR_C_API unitvar_status unitvar_batch_norm_in_place_forward(const unitvar_batch_norm_in_place_forward_args* args,
                                                                 const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_batch_norm_in_place_backward. */
typedef struct unitvar_batch_norm_in_place_backward_args {
  size_t struct_size; /* sizeof(unitvar_batch_norm_in_place_backward_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  const void* y;          /* what the forward made of x */
  const void* dy;         /* dL/dy */
  const double* rstd;     /* saved by the forward, C */
  const void* gamma;      /* optional: the forward's */
  const void* beta;       /* optional: the forward's */
  void* dx;               /* output, optional: dL/dx; may be exactly dy */
  void* dgamma;           /* output, optional, C */
  void* dbeta;            /* output, optional, C */
  double negative_slope;  /* the forward's */
  double max_lost_digits; /* as the forward's: checked again, with the gamma and beta of now */
} unitvar_batch_norm_in_place_backward_args;

/* Its backward, which finds x_hat again from y. */
UNITVAR_C_API unitvar_status unitvar_batch_norm_in_place_backward(const unitvar_batch_norm_in_place_backward_args* args,
                                                                  const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_batch_norm_renorm_forward. */
typedef struct unitvar_batch_norm_renorm_forward_args {
  size_t struct_size; /* sizeof(unitvar_batch_norm_renorm_forward_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  const void* x;
  const void* gamma;          /* optional, C */
  const void* beta;           /* optional, C */
  const double* running_mean; /* C */
  const double* running_var;  /* C; running_var + eps must be > 0 */
  void* y;                    /* output; may not overlap x */
  double* mean;               /* output, optional: batch mean, C */
  double* var;                /* output, optional: biased batch variance, C */
  double* rstd;               /* output, optional: 1 / sqrt(var + eps) with the biased var, C */
  double* r;                  /* output, optional: C */
  double* d;                  /* output, optional: C */
  double r_max;               /* >= 1, may be infinite */
  double d_max;               /* >= 0, may be infinite */
  double eps;
} unitvar_batch_norm_renorm_forward_args;

/* Batch renormalization (Ioffe 2017): x_hat * r + d, by running statistics. */
UNITVAR_C_API unitvar_status unitvar_batch_norm_renorm_forward(const unitvar_batch_norm_renorm_forward_args* args,
                                                               const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_batch_norm_renorm_backward. */
typedef struct unitvar_batch_norm_renorm_backward_args {
  size_t struct_size; /* sizeof(unitvar_batch_norm_renorm_backward_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  const void* x;      /* the forward's input */
  const void* dy;     /* dL/dy */
  const double* mean; /* saved by the forward, C */
  const double* rstd; /* saved by the forward, C */
  const double* r;    /* saved by the forward, C */
  const double* d;    /* saved by the forward, C */
  const void* gamma;  /* optional, C */
  void* dx;           /* output, optional: dL/dx; may be exactly dy */
  void* dgamma;       /* output, optional: dL/dgamma, C */
  void* dbeta;        /* output, optional: dL/dbeta, C */
} unitvar_batch_norm_renorm_backward_args;

/* Backward of batch renormalization; r and d are constants. */
UNITVAR_C_API unitvar_status unitvar_batch_norm_renorm_backward(const unitvar_batch_norm_renorm_backward_args* args,
                                                                const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_batch_norm_weighted_forward. */
typedef struct unitvar_batch_norm_weighted_forward_args {
  size_t struct_size; /* sizeof(unitvar_batch_norm_weighted_forward_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  const void* x;
  const void* weight; /* outer * inner, each >= 0 */
  const void* gamma;  /* optional, C */
  const void* beta;   /* optional, C */
  void* y;            /* output; may not overlap x */
  double* mean;       /* output, optional, C */
  double* var;        /* output, optional: biased variance, M2 / W, C */
  double* rstd;       /* output, optional, C */
  double eps;
  int zero_unweighted; /* y = 0 where the weight is 0; else gamma * x_hat + beta there, too */
  double* count;       /* output, optional: one number, the sum of the weights over all ranks */
} unitvar_batch_norm_weighted_forward_args;

/* Training forward with a weight for each value of a channel; 0 leaves it out. */
UNITVAR_C_API unitvar_status unitvar_batch_norm_weighted_forward(const unitvar_batch_norm_weighted_forward_args* args,
                                                                 const unitvar_options* options) UNITVAR_C_NOEXCEPT;

/* Arguments of unitvar_batch_norm_weighted_backward. */
typedef struct unitvar_batch_norm_weighted_backward_args {
  size_t struct_size; /* sizeof(unitvar_batch_norm_weighted_backward_args) */
  unitvar_dtype dtype;
  unitvar_extent extent;
  const void* x;
  const void* dy;
  const void* weight; /* the forward's */
  const double* mean; /* saved by the forward, C */
  const double* rstd; /* saved by the forward, C */
  const void* gamma;  /* optional, C */
  void* dx;           /* output, optional; may be exactly dy */
  void* dgamma;       /* output, optional, C */
  void* dbeta;        /* output, optional, C */
} unitvar_batch_norm_weighted_backward_args;

/* Backward with weights. */
UNITVAR_C_API unitvar_status unitvar_batch_norm_weighted_backward(const unitvar_batch_norm_weighted_backward_args* args,
                                                                  const unitvar_options* options) UNITVAR_C_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
