#ifndef UNITVAR_C_EXPLAIN_H
#define UNITVAR_C_EXPLAIN_H
/* What a call would do on this machine. */
#include "unitvar/c/common.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef int32_t unitvar_pass;
enum { UNITVAR_FORWARD = 0, UNITVAR_BACKWARD = 1, UNITVAR_INFERENCE = 2 };

typedef struct unitvar_explanation {
  size_t struct_size;   /* sizeof(unitvar_explanation) */
  unitvar_walk walk;    /* UNITVAR_WALK_RESIDENT for inference, which has one pass only */
  int32_t threads;      /* that would work */
  int32_t reads;        /* tensors read from memory */
  int32_t writes;       /* tensors written */
  double largest_share; /* of the work, of one thread */
  char text[512];       /* all of it in one line for people */
} unitvar_explanation;

/* Of batch normalization, of group and instance normalization, and of layer and RMS normalization. The last two have no
   UNITVAR_INFERENCE of their own. */
UNITVAR_C_API unitvar_status unitvar_explain(const unitvar_extent* extent, unitvar_dtype dtype, unitvar_pass pass,
                                             const unitvar_options* options,
                                             unitvar_explanation* out) UNITVAR_C_NOEXCEPT;
UNITVAR_C_API unitvar_status unitvar_explain_groups(const unitvar_groups* groups, unitvar_dtype dtype,
                                                    unitvar_pass pass, const unitvar_options* options,
                                                    unitvar_explanation* out) UNITVAR_C_NOEXCEPT;
UNITVAR_C_API unitvar_status unitvar_explain_rows(const unitvar_row_extent* extent, unitvar_dtype dtype,
                                                  unitvar_pass pass, const unitvar_options* options,
                                                  unitvar_explanation* out) UNITVAR_C_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
