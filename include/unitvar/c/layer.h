#ifndef UNITVAR_C_LAYER_H
#define UNITVAR_C_LAYER_H
/* A layer of batch normalization that holds its parameters and statistics. */
#include "unitvar/c/statistics.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A handle is for one thread at a time, with one exception: unitvar_layer_infer may run on several at the same time. */
typedef struct unitvar_layer unitvar_layer;

typedef struct unitvar_layer_config {
  size_t struct_size; /* sizeof(unitvar_layer_config) */
  unitvar_dtype dtype;
  int64_t channels;
  double eps;                         /* usually 1e-5 */
  int32_t without_parameters;         /* not 0: no gamma and beta */
  int32_t without_running_statistics; /* not 0: evaluation takes the batch's statistics, too */
  unitvar_running_policy running;     /* momentum is usually 0.1 */
} unitvar_layer_config;

/* What a layer holds, C elements each; null where it has none. The pointers are valid as long as the layer. */
typedef struct unitvar_layer_view {
  size_t struct_size; /* sizeof(unitvar_layer_view) */
  void* gamma;        /* of the parameter type; may be written */
  void* beta;
  const void* dgamma; /* of the last backward */
  const void* dbeta;
  double* running_mean; /* may be written */
  double* running_var;
  const double* saved_mean; /* of the last training forward; null before it */
  const double* saved_var;  /* biased */
  const double* saved_rstd;
  int64_t batches_tracked, batches_skipped;
  int32_t training, tracking, frozen;
} unitvar_layer_view;

/* An eps or momentum that is not finite is UNITVAR_BAD_ARGUMENT. Options that a call would refuse are refused here. A
   layer in training mode: gamma = 1, beta = 0, running mean 0 and variance 1. Destroy it with unitvar_layer_destroy.
   What `options` points to must live as long as the layer. */
UNITVAR_C_API unitvar_status unitvar_layer_create(const unitvar_layer_config* config, const unitvar_options* options,
                                                  unitvar_layer** out) UNITVAR_C_NOEXCEPT;
UNITVAR_C_API void unitvar_layer_destroy(unitvar_layer* layer) UNITVAR_C_NOEXCEPT;

UNITVAR_C_API unitvar_status unitvar_layer_set_training(unitvar_layer* layer, int32_t on) UNITVAR_C_NOEXCEPT;
/* Whether training forwards update the running statistics. */
UNITVAR_C_API unitvar_status unitvar_layer_set_tracking(unitvar_layer* layer, int32_t on) UNITVAR_C_NOEXCEPT;
/* Whether training uses the running statistics as constants, as fine-tuning does. */
UNITVAR_C_API unitvar_status unitvar_layer_set_frozen(unitvar_layer* layer, int32_t on) UNITVAR_C_NOEXCEPT;
/* For a layer that is restored; 0 to INT64_MAX - 1. */
UNITVAR_C_API unitvar_status unitvar_layer_set_batches_tracked(unitvar_layer* layer,
                                                               int64_t batches) UNITVAR_C_NOEXCEPT;
UNITVAR_C_API unitvar_status unitvar_layer_look(unitvar_layer* layer, unitvar_layer_view* view) UNITVAR_C_NOEXCEPT;

/* A null extent is refused as one without channels. Forward in the layer's mode. y may not overlap x in training. */
UNITVAR_C_API unitvar_status unitvar_layer_forward(unitvar_layer* layer, const unitvar_extent* extent, const void* x,
                                                   void* y) UNITVAR_C_NOEXCEPT;
/* Inference by the running statistics, whatever the mode. Changes nothing in the layer. */
UNITVAR_C_API unitvar_status unitvar_layer_infer(const unitvar_layer* layer, const unitvar_extent* extent,
                                                 const void* x, void* y) UNITVAR_C_NOEXCEPT;
/* Backward of the last training forward, whose x this is. dx may be exactly dy. dgamma and dbeta are in the view. */
UNITVAR_C_API unitvar_status unitvar_layer_backward(unitvar_layer* layer, const unitvar_extent* extent, const void* x,
                                                    const void* dy, void* dx) UNITVAR_C_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
