#ifndef UNITVAR_H
#define UNITVAR_H
/* The C interface: every operation of the library, for C99 and for whatever calls C.

     float x[96], y[96];
     double mean[3], rstd[3];
     unitvar_batch_norm_forward_args args = {.struct_size = sizeof args, .dtype = UNITVAR_F32, .extent = {8, 3, 4},
                                             .x = x, .y = y, .mean = mean, .rstd = rstd, .eps = 1e-5};
     if (unitvar_batch_norm_forward(&args, NULL) != UNITVAR_OK) puts(unitvar_last_error());

   - An operation takes a struct of arguments. Set struct_size to the struct's size, and all that you do not name to
     zero: a later library, with fields added at the end, then does what this one did. Zero is zero, also where C++ has
     another default, such as eps: docs/c.md lists them. The small structs without struct_size never grow.
   - Tensors are contiguous and aligned for their type. Their lengths follow from the extent, so they are not given:
     memory that is shorter is not noticed. A field marked "optional" may be null. C is the number of channels.
     Parameters (gamma, beta and their gradients) are double for UNITVAR_F64, and float for all else.
   - A function returns UNITVAR_OK, or says what is wrong before anything is written; unitvar_last_error() has the
     message. UNITVAR_COMMUNICATION alone may come later (common.h). No exception leaves a function.
   - The functions themselves do not end the process. The runtime of OpenMP does if it cannot create a thread: g++'s
     prints "Thread creation failed" and exits. Where threads may be refused, set threads to 1 (docs/c.md).
   - Every operation may run on several threads at the same time. A handle is for one thread at a time, with two
     exceptions: unitvar_layer_infer, and adding to an accumulator (layer.h, accumulator.h).
   - What is computed, how accurately, and with which bits: as the C++ function of the same name, in include/unitvar.
     "derivation B27" is an equation of docs/derivation.md. */
#include "unitvar/c/accumulator.h"
#include "unitvar/c/activation.h"
#include "unitvar/c/batch_norm.h"
#include "unitvar/c/common.h"
#include "unitvar/c/communicator.h"
#include "unitvar/c/derivatives.h"
#include "unitvar/c/explain.h"
#include "unitvar/c/group_norm.h"
#include "unitvar/c/layer.h"
#include "unitvar/c/layer_norm.h"
#include "unitvar/c/layer_norm_add.h"
#include "unitvar/c/phases.h"
#include "unitvar/c/statistics.h"
#include "unitvar/c/variants.h"
#endif
