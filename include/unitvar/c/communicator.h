#ifndef UNITVAR_C_COMMUNICATOR_H
#define UNITVAR_C_COMMUNICATOR_H
/* Ranks that share a batch: by callbacks into any engine, or threads of this process. */
#include "unitvar/c/common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What carries frames between ranks. A frame is frame_bytes bytes at `frame`, the same address in every call. `start`
   begins to make it, on all ranks, the merge of all ranks' frames by unitvar_merge_frames; `wait` returns when it is.
   Order and grouping are free, but the same on all ranks. Both return 0, or another number if the engine failed: the
   call then returns UNITVAR_COMMUNICATION. They run on the thread that made the call, and may not jump out of it.

   A `start` that fails has let go of the frame. Behind a `wait` that fails, the engine may go on to use it. The
   communicator never touches this frame again. All its further calls return UNITVAR_COMMUNICATION, and
   unitvar_communicator_destroy leaves the frame in memory. */
typedef struct unitvar_engine {
  size_t struct_size; /* sizeof(unitvar_engine) */
  int32_t (*start)(void* user, void* frame, int64_t frame_bytes);
  int32_t (*wait)(void* user, void* frame, int64_t frame_bytes);
  void* user; /* handed to both */
} unitvar_engine;

/* How ranks work together. Zeros in all fields but the first are a good choice. */
typedef struct unitvar_sync_options {
  size_t struct_size;                 /* sizeof(unitvar_sync_options) */
  int64_t block_channels;             /* channels of a frame, a multiple of 8 up to 2^20; 0: the library's choice */
  int32_t without_overlap;            /* not 0: no computation while a frame travels */
  int32_t global_parameter_gradients; /* 0: dgamma and dbeta are of the rank's own samples, for an optimizer that adds
                                         them up. Else: of all ranks' samples */
  double timeout_seconds;             /* of a thread group: how long a rank waits for the others. If one does not come
                                         in time, this call and all later ones of the group return
                                         UNITVAR_COMMUNICATION. 0: as long as it takes */
} unitvar_sync_options;

/* What a communicator has done since it was made. */
typedef struct unitvar_sync_counters {
  int64_t frames, bytes;
  double seconds_waited;
} unitvar_sync_counters;

/* A rank of `size` ranks. Name it in unitvar_options; then a call is collective: every rank makes the same calls in the
   same order. `options` may be null. Destroy it with unitvar_communicator_destroy. */
UNITVAR_C_API unitvar_status unitvar_communicator_create(int32_t rank, int32_t size, const unitvar_engine* engine,
                                                         const unitvar_sync_options* options,
                                                         unitvar_communicator** out) UNITVAR_C_NOEXCEPT;
/* Does nothing with a communicator that a thread group owns. A frame that the engine may still use stays in memory. */
UNITVAR_C_API void unitvar_communicator_destroy(unitvar_communicator* communicator) UNITVAR_C_NOEXCEPT;
UNITVAR_C_API unitvar_status unitvar_communicator_counters(const unitvar_communicator* communicator,
                                                           unitvar_sync_counters* counters) UNITVAR_C_NOEXCEPT;
/* Tells the other ranks that this one will not make the call that they make, and why: it fails there with
   UNITVAR_DISAGREEMENT and this message. For callers that check arguments themselves. */
UNITVAR_C_API unitvar_status unitvar_refuse_call(unitvar_communicator* communicator,
                                                 const char* why) UNITVAR_C_NOEXCEPT;

/* Merges frame `in` into frame `inout`, of `bytes` bytes each. Damaged frames are refused (UNITVAR_COMMUNICATION). */
UNITVAR_C_API unitvar_status unitvar_merge_frames(const void* in, void* inout, int64_t bytes) UNITVAR_C_NOEXCEPT;

/* Ranks that are threads of this process: each makes its calls on a thread of its own. */
typedef struct unitvar_thread_group unitvar_thread_group;
UNITVAR_C_API unitvar_status unitvar_thread_group_create(int32_t ranks, const unitvar_sync_options* options,
                                                         unitvar_thread_group** out) UNITVAR_C_NOEXCEPT;
UNITVAR_C_API void unitvar_thread_group_destroy(unitvar_thread_group* group) UNITVAR_C_NOEXCEPT;
/* The group's own; null where there is no such rank. */
UNITVAR_C_API unitvar_communicator* unitvar_thread_group_communicator(unitvar_thread_group* group,
                                                                      int32_t rank) UNITVAR_C_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
