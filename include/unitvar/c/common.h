#ifndef UNITVAR_C_COMMON_H
#define UNITVAR_C_COMMON_H
/* What all functions of the C interface share. See unitvar.h for the conventions. */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define UNITVAR_C_NOEXCEPT noexcept
extern "C" {
#else
#define UNITVAR_C_NOEXCEPT
#endif

#if defined(__GNUC__)
#define UNITVAR_C_API __attribute__((visibility("default")))
#else
#define UNITVAR_C_API
#endif

/* The interface that this header declares. It grows when a function or the meaning of a field changes. */
#define UNITVAR_ABI_VERSION 1

/* What a function returns. Anything but UNITVAR_OK: nothing was written, and unitvar_last_error() says why. There is
   one exception: with UNITVAR_COMMUNICATION, outputs may be written in part. They include dgamma and dbeta of a layer,
   but not its parameters, statistics and counters. */
typedef int32_t unitvar_status;
enum {
  UNITVAR_OK = 0,
  UNITVAR_NULL_DATA = 1,        /* a pointer that is needed is null */
  UNITVAR_WRONG_LENGTH = 2,     /* a length does not fit the extent */
  UNITVAR_BAD_EXTENT = 3,       /* zero channels, zero inner extent, or a negative number */
  UNITVAR_OVERFLOW = 4,         /* a product of extents, or its size in bytes, exceeds 64 bits */
  UNITVAR_TOO_FEW_VALUES = 5,   /* one value per channel where a batch variance is needed */
  UNITVAR_BAD_EPSILON = 6,      /* eps is not finite, or var + eps <= 0 on the data in hand */
  UNITVAR_OVERLAP = 7,          /* an output shares memory with another argument where that is not allowed */
  UNITVAR_BAD_ARGUMENT = 8,     /* any other value out of range, an address not aligned, a struct_size not known */
  UNITVAR_BAD_STATE = 9,        /* a call out of order, such as backward without a training forward */
  UNITVAR_UNSUPPORTED_ISA = 10, /* this machine, or this build, lacks the instruction set asked for */
  UNITVAR_DISAGREEMENT = 11,    /* ranks of a communicator made different calls, or one of them refused its arguments */
  UNITVAR_COMMUNICATION = 12,   /* the engine behind a communicator reports a failure, maybe within the call */
  UNITVAR_OUT_OF_MEMORY = 13,   /* an allocation failed */
  UNITVAR_INTERNAL = 14         /* a defect of the library */
};

/* The storage type of tensors. Parameters and their gradients are double for UNITVAR_F64, and float for all else.
   bfloat16 and IEEE half are two bytes, in the machine's byte order. */
typedef int32_t unitvar_dtype;
enum { UNITVAR_F32 = 0, UNITVAR_F64 = 1, UNITVAR_BF16 = 2, UNITVAR_F16 = 3 };

/* x[outer][channels][inner], contiguous. NCHW is {N, C, H*W}, channels last is {N*H*W, C, 1}. */
typedef struct unitvar_extent {
  int64_t outer, channels, inner;
} unitvar_extent;

/* Rows of contiguous elements, each normalized by itself. */
typedef struct unitvar_row_extent {
  int64_t rows, length;
} unitvar_row_extent;

/* Samples of `sample_rows` outer rows, and groups of channels in each. groups = 0: as many as there are channels. */
typedef struct unitvar_groups {
  unitvar_extent extent;
  int64_t sample_rows, groups;
} unitvar_groups;

/* Weights of a linear map or a convolution: `groups` blocks whose channels are the map's outputs. */
typedef struct unitvar_weight_extent {
  int64_t groups;
  unitvar_extent block;
} unitvar_weight_extent;

/* The extent of a shape (N, C, ...) or (N, ..., C), of `rank` numbers, 2 to 5. */
UNITVAR_C_API unitvar_status unitvar_channels_first(const int64_t* shape, int32_t rank,
                                                    unitvar_extent* extent) UNITVAR_C_NOEXCEPT;
UNITVAR_C_API unitvar_status unitvar_channels_last(const int64_t* shape, int32_t rank,
                                                   unitvar_extent* extent) UNITVAR_C_NOEXCEPT;
/* The same for group and instance normalization: each sample by itself. */
UNITVAR_C_API unitvar_status unitvar_groups_channels_first(const int64_t* shape, int32_t rank, int64_t groups,
                                                           unitvar_groups* out) UNITVAR_C_NOEXCEPT;
UNITVAR_C_API unitvar_status unitvar_groups_channels_last(const int64_t* shape, int32_t rank, int64_t groups,
                                                          unitvar_groups* out) UNITVAR_C_NOEXCEPT;
/* Rows of the axes from `axis` on; a negative axis counts from the end. `rank` is 1 or more. */
UNITVAR_C_API unitvar_status unitvar_rows_from_axis(const int64_t* shape, int32_t rank, int64_t axis,
                                                    unitvar_row_extent* extent) UNITVAR_C_NOEXCEPT;
/* Weights (outputs, inputs / groups, ...), of `rank` numbers, 2 or more. Transposed convolutions have (inputs,
   outputs / groups, ...). */
UNITVAR_C_API unitvar_status unitvar_convolution_weights(const int64_t* shape, int32_t rank,
                                                         unitvar_weight_extent* extent) UNITVAR_C_NOEXCEPT;
/* The same with the outputs last: (..., inputs / groups, outputs). */
UNITVAR_C_API unitvar_status unitvar_convolution_output_last_weights(const int64_t* shape, int32_t rank,
                                                                     unitvar_weight_extent* extent) UNITVAR_C_NOEXCEPT;
UNITVAR_C_API unitvar_status unitvar_transposed_convolution_weights(const int64_t* shape, int32_t rank, int64_t groups,
                                                                    unitvar_weight_extent* extent) UNITVAR_C_NOEXCEPT;

/* The instruction set of the kernels. */
typedef int32_t unitvar_isa;
enum {
  UNITVAR_ISA_AUTOMATIC = 0, /* the environment variable UNITVAR_ISA if it is set, else the best of this machine */
  UNITVAR_ISA_PORTABLE = 1,
  UNITVAR_ISA_SSE4 = 2,
  UNITVAR_ISA_AVX2 = 3,
  UNITVAR_ISA_AVX512 = 4,
  UNITVAR_ISA_NEON = 5
};

/* How the phases walk memory. */
typedef int32_t unitvar_walk;
enum { UNITVAR_WALK_AUTOMATIC = 0, UNITVAR_WALK_RESIDENT = 1, UNITVAR_WALK_STREAMED = 2 };

/* How often calls left float for double, or summed again, to keep digits (docs/numerics.md). Calls add to it. */
typedef struct unitvar_precision_counts {
  int64_t sums, sums_again, maps, maps_in_double;
} unitvar_precision_counts;

typedef struct unitvar_communicator unitvar_communicator;

/* How a call runs. A null pointer in its place, like zeros in all fields, means: all threads, the best instruction set,
   this process alone. None of the first four changes a bit of any result. */
typedef struct unitvar_options {
  size_t struct_size; /* sizeof(unitvar_options) */
  int32_t threads;    /* 0: as many as OpenMP gives */
  unitvar_isa isa;
  unitvar_walk walk;
  unitvar_precision_counts* counts;   /* null: nothing is counted; apart from all arguments of the call */
  unitvar_communicator* communicator; /* ranks that share the batch; null: this process alone */
} unitvar_options;

/* The library's version, such as "0.2.0", and the interface that it has: compare it with UNITVAR_ABI_VERSION. */
UNITVAR_C_API const char* unitvar_version(void) UNITVAR_C_NOEXCEPT;
UNITVAR_C_API int32_t unitvar_abi_version(void) UNITVAR_C_NOEXCEPT;

/* Why this thread's last failing call failed: what was wrong, the value seen, the value wanted. Empty before that. It
   is valid until the next failing call of this thread. Longer messages than 1,023 bytes are cut. */
UNITVAR_C_API const char* unitvar_last_error(void) UNITVAR_C_NOEXCEPT;
/* "bad_extent" and so on, for a log; "unknown" for other numbers. */
UNITVAR_C_API const char* unitvar_status_name(unitvar_status status) UNITVAR_C_NOEXCEPT;

/* "avx2" and so on; null for other numbers. */
UNITVAR_C_API const char* unitvar_isa_name(unitvar_isa isa) UNITVAR_C_NOEXCEPT;
/* Writes the instruction sets that run here, best first: `capacity` at most. Returns how many there are. */
UNITVAR_C_API int32_t unitvar_supported_isas(unitvar_isa* isas, int32_t capacity) UNITVAR_C_NOEXCEPT;
/* Which one a call runs that asks for `requested`: UNITVAR_ISA sets the automatic choice, as everywhere. */
UNITVAR_C_API unitvar_status unitvar_selected_isa(unitvar_isa requested, unitvar_isa* selected) UNITVAR_C_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
