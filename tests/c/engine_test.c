/* Engines of two functions: what they carry, and what stays when they fail. */
#include "check.h"

enum { C = 16, BLOCK = 8, SIZE = 4 * C * 2 };

static float x[SIZE], other_x[SIZE], y[SIZE];

/* Rank 0 of two, where the other rank has the same batch. The call of this number fails, counted from 1. */
typedef struct engine {
  int32_t starts, waits, failing_start, failing_wait;
  void* frame; /* of the last start */
} engine;

static int32_t begin(void* user, void* frame, int64_t bytes) {
  engine* const own = user;
  CHECK(frame != NULL && bytes > 0);
  own->frame = frame;
  return ++own->starts == own->failing_start ? 42 : 0;
}

static int32_t end(void* user, void* frame, int64_t bytes) {
  engine* const own = user;
  CHECK(frame == own->frame);
  if (++own->waits == own->failing_wait) return 7;
  void* const other = malloc((size_t)bytes);
  memcpy(other, frame, (size_t)bytes);
  CHECK_OK(unitvar_merge_frames(other, frame, bytes));
  free(other);
  return 0;
}

static unitvar_communicator* made(engine* own, int32_t size) {
  const unitvar_engine functions = {.struct_size = sizeof functions, .start = begin, .wait = end, .user = own};
  const unitvar_sync_options sync = {.struct_size = sizeof sync, .block_channels = BLOCK};
  unitvar_communicator* ranks = NULL;
  CHECK_OK(unitvar_communicator_create(0, size, &functions, &sync, &ranks));
  return ranks;
}

static unitvar_options with(unitvar_communicator* ranks) {
  const unitvar_options options = {.struct_size = sizeof options, .threads = 1, .communicator = ranks};
  return options;
}

static unitvar_status forward(unitvar_communicator* ranks, float* to) {
  const unitvar_options options = with(ranks);
  const unitvar_batch_norm_forward_args a = {
      .struct_size = sizeof a, .dtype = UNITVAR_F32, .extent = {4, C, 2}, .x = x, .y = to, .eps = 1e-5};
  return unitvar_batch_norm_forward(&a, &options);
}

static void clear(void) {
  for (int k = 0; k < SIZE; ++k) y[k] = -77;
}

/* Whether y is written in channels [0, channels), and nowhere else. */
static int is_written_up_to(int channels) {
  for (int k = 0; k < SIZE; ++k) {
    if ((y[k] != -77) != (k / 2 % C < channels)) return 0;
  }
  return 1;
}

static void frames(void) {
  float alone[SIZE];
  CHECK_OK(forward(NULL, alone));
  for (int32_t size = 1; size <= 2; ++size) {
    engine own = {0, 0, 0, 0, NULL};
    unitvar_communicator* const ranks = made(&own, size);
    CHECK_OK(forward(ranks, y));
    CHECK(memcmp(alone, y, sizeof y) == 0);
    unitvar_sync_counters counters = {-1, -1, -1};
    CHECK_OK(unitvar_communicator_counters(ranks, &counters));
    CHECK(counters.frames == (size == 1 ? 0 : C / BLOCK));
    CHECK(own.starts == counters.frames && own.waits == counters.frames);
    unitvar_communicator_destroy(ranks);
  }
  unitvar_communicator_destroy(NULL);
}

static void wrong_engines(void) {
  engine own = {0, 0, 0, 0, NULL};
  unitvar_communicator* ranks = NULL;
  unitvar_engine functions = {.struct_size = sizeof functions, .wait = end, .user = &own};
  CHECK_FAILS(unitvar_communicator_create(0, 2, &functions, NULL, &ranks), UNITVAR_NULL_DATA, "start");
  functions.start = begin, functions.wait = NULL;
  CHECK_FAILS(unitvar_communicator_create(0, 2, &functions, NULL, &ranks), UNITVAR_NULL_DATA, "wait");
  functions.wait = end;
  CHECK_FAILS(unitvar_communicator_create(2, 2, &functions, NULL, &ranks), UNITVAR_BAD_ARGUMENT, "2");
  CHECK(ranks == NULL);
}

/* The engine may still use the frame: no call touches it again, and it stays where it is. */
static void failed_wait(int32_t failing) {
  engine own = {0, 0, 0, failing, NULL};
  unitvar_communicator* const ranks = made(&own, 2);
  clear();
  CHECK_FAILS(forward(ranks, y), UNITVAR_COMMUNICATION, "wait of rank 0 returned 7, want 0");
  CHECK(is_written_up_to((failing - 1) * BLOCK));
  unsigned char first[64];
  memcpy(first, own.frame, sizeof first);
  clear();
  for (int k = 0; k < 2; ++k) {
    CHECK_FAILS(forward(ranks, y), UNITVAR_COMMUNICATION, "an exchange has not ended");
    CHECK_FAILS(unitvar_refuse_call(ranks, "no"), UNITVAR_COMMUNICATION, "an exchange has not ended");
  }
  CHECK(is_written_up_to(0) && own.starts == failing && own.waits == failing);
  unitvar_communicator_destroy(ranks);
  CHECK(memcmp(first, own.frame, sizeof first) == 0);
}

/* The engine has let go of the frame: the next call begins again. */
static void failed_start(int32_t failing) {
  engine own = {0, 0, failing, 0, NULL};
  unitvar_communicator* const ranks = made(&own, 2);
  clear();
  CHECK_FAILS(forward(ranks, y), UNITVAR_COMMUNICATION, "start of rank 0 returned 42, want 0");
  CHECK(is_written_up_to(0)); /* a block is written behind the start of the next one */
  CHECK_OK(forward(ranks, y));
  CHECK(is_written_up_to(C));
  unitvar_communicator_destroy(ranks);
}

/* The second forward of a layer fails in its last frame: y is written in part, the layer is as before. */
static void layer(void) {
  engine own = {0, 0, 0, 4, NULL};
  unitvar_communicator* const ranks = made(&own, 2);
  const unitvar_options options = with(ranks);
  const unitvar_layer_config config = {
      .struct_size = sizeof config, .dtype = UNITVAR_F32, .channels = C, .eps = 1e-5, .running = {.momentum = 0.1}};
  const unitvar_extent extent = {4, C, 2};
  unitvar_layer* layer = NULL;
  CHECK_OK(unitvar_layer_create(&config, &options, &layer));
  CHECK_OK(unitvar_layer_forward(layer, &extent, x, y));
  unitvar_layer_view view = {.struct_size = sizeof view};
  CHECK_OK(unitvar_layer_look(layer, &view));
  double saved[C], running[C];
  memcpy(saved, view.saved_mean, sizeof saved);
  memcpy(running, view.running_mean, sizeof running);
  clear();
  CHECK_FAILS(unitvar_layer_forward(layer, &extent, other_x, y), UNITVAR_COMMUNICATION, "wait of rank 0");
  CHECK(is_written_up_to(BLOCK));
  CHECK_OK(unitvar_layer_look(layer, &view));
  CHECK(memcmp(saved, view.saved_mean, sizeof saved) == 0 && memcmp(running, view.running_mean, sizeof running) == 0);
  CHECK(view.batches_tracked == 1);
  unitvar_layer_destroy(layer);
  unitvar_communicator_destroy(ranks);
}

int main(void) {
  for (int k = 0; k < SIZE; ++k) {
    x[k] = (float)(k * k % 13);
    other_x[k] = (float)(k * k % 11) + 3;
  }
  frames();
  wrong_engines();
  failed_wait(1);
  failed_wait(2);
  failed_start(1);
  failed_start(2);
  layer();
  return failures == 0 ? 0 : 1;
}
