#ifndef UNITVAR_C_ACCUMULATOR_H
#define UNITVAR_C_ACCUMULATOR_H
/* Sums that a producer feeds while its results are still in the cache, tile by tile, in any order. */
#include "unitvar/c/common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Either moments of x, or sums of dy and dy * (x - mean). A handle is for one thread at a time, with one exception:
   several threads may add at the same time, if their tiles or their channels differ. */
typedef struct unitvar_accumulator unitvar_accumulator;

/* The elements of a tile: outer and inner indices [begin, begin + number) of all channels. */
typedef struct unitvar_tile {
  int64_t outer, outers, inner, inners;
} unitvar_tile;

/* Phase 1. Destroy the handle with unitvar_accumulator_destroy. */
UNITVAR_C_API unitvar_status unitvar_moments_accumulator_create(unitvar_dtype dtype, const unitvar_extent* extent,
                                                                const unitvar_options* options,
                                                                unitvar_accumulator** out) UNITVAR_C_NOEXCEPT;
/* Phase 3. `mean`, C numbers, is not copied: it must stay as it is from the first add to the finish. */
UNITVAR_C_API unitvar_status unitvar_gradient_sums_accumulator_create(unitvar_dtype dtype, const unitvar_extent* extent,
                                                                      const double* mean,
                                                                      const unitvar_options* options,
                                                                      unitvar_accumulator** out) UNITVAR_C_NOEXCEPT;
UNITVAR_C_API void unitvar_accumulator_destroy(unitvar_accumulator* accumulator) UNITVAR_C_NOEXCEPT;

/* Tiles of each channel: a function of the extent alone. 0 where the handle is null. */
UNITVAR_C_API int64_t unitvar_accumulator_tiles(const unitvar_accumulator* accumulator) UNITVAR_C_NOEXCEPT;
UNITVAR_C_API unitvar_status unitvar_accumulator_tile(const unitvar_accumulator* accumulator, int64_t t,
                                                      unitvar_tile* tile) UNITVAR_C_NOEXCEPT;
/* Forgets what was added. */
UNITVAR_C_API unitvar_status unitvar_accumulator_clear(unitvar_accumulator* accumulator) UNITVAR_C_NOEXCEPT;

/* Adds tile t of channels [begin, end) of whole tensors. dy is null for moments. */
UNITVAR_C_API unitvar_status unitvar_accumulator_add(unitvar_accumulator* accumulator, int64_t t, int64_t begin,
                                                     int64_t end, const void* x, const void* dy) UNITVAR_C_NOEXCEPT;
/* The same from blocks of `length` elements. Element (o, c, i) of the tile is x[o * stride + c * inners + i]; o and i
   count from the tile's first element, c from channel `begin`. */
UNITVAR_C_API unitvar_status unitvar_accumulator_add_block(unitvar_accumulator* accumulator, int64_t t, int64_t begin,
                                                           int64_t end, const void* x, const void* dy, int64_t length,
                                                           int64_t stride) UNITVAR_C_NOEXCEPT;

/* The result, C numbers each, and an empty accumulator: mean and m2 of moments, sum_dy and sum_dy_xmu of the others. */
UNITVAR_C_API unitvar_status unitvar_accumulator_finish(unitvar_accumulator* accumulator, double* first,
                                                        double* second) UNITVAR_C_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
