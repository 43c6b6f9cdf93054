/* What the C interface promises besides results: errors, sizes, handles, ranks. */
#include <pthread.h>

#include "check.h"

enum { SIZE = 24 };

static float x[SIZE], y[SIZE];
static double numbers[2];

static unitvar_batch_norm_forward_args good(void) {
  const unitvar_batch_norm_forward_args args = {
      .struct_size = sizeof args, .dtype = UNITVAR_F32, .extent = {4, 3, 2}, .x = x, .y = y, .eps = 1e-5};
  return args;
}

static void versions(void) {
  CHECK(unitvar_abi_version() == UNITVAR_ABI_VERSION);
  CHECK(strchr(unitvar_version(), '.') != NULL);
  CHECK(strcmp(unitvar_status_name(UNITVAR_BAD_EXTENT), "bad_extent") == 0);
  CHECK(strcmp(unitvar_status_name(UNITVAR_INTERNAL), "internal") == 0);
  CHECK(strcmp(unitvar_status_name(-1), "unknown") == 0 && strcmp(unitvar_status_name(15), "unknown") == 0);
  unitvar_isa isas[8] = {-1, -1, -1, -1, -1, -1, -1, -1}, selected = -1;
  const int32_t count = unitvar_supported_isas(isas, 8);
  CHECK(count >= 1 && count <= 5 && isas[count - 1] == UNITVAR_ISA_PORTABLE && isas[count] == -1);
  CHECK(unitvar_supported_isas(NULL, 0) == count);
  CHECK_OK(unitvar_selected_isa(UNITVAR_ISA_PORTABLE, &selected));
  CHECK(selected == UNITVAR_ISA_PORTABLE && strcmp(unitvar_isa_name(selected), "portable") == 0);
  CHECK(unitvar_isa_name(77) == NULL);
  CHECK_FAILS(unitvar_selected_isa(77, &selected), UNITVAR_BAD_ARGUMENT, "77");
}

static void shapes(void) {
  const int64_t nchw[4] = {8, 3, 5, 7}, huge[3] = {INT64_MAX, 4, 4};
  unitvar_extent e = {0, 0, 0};
  unitvar_groups g = {{0, 0, 0}, 0, 0};
  unitvar_row_extent rows = {0, 0};
  unitvar_weight_extent w = {0, {0, 0, 0}};
  CHECK_OK(unitvar_channels_first(nchw, 4, &e));
  CHECK(e.outer == 8 && e.channels == 3 && e.inner == 35);
  CHECK_OK(unitvar_channels_last(nchw, 4, &e));
  CHECK(e.outer == 120 && e.channels == 7 && e.inner == 1);
  CHECK_OK(unitvar_groups_channels_first(nchw, 4, 3, &g));
  CHECK(g.extent.channels == 3 && g.sample_rows == 1 && g.groups == 3);
  CHECK_OK(unitvar_groups_channels_last(nchw, 4, 0, &g));
  CHECK(g.extent.channels == 7 && g.sample_rows == 15);
  CHECK_OK(unitvar_rows_from_axis(nchw, 4, -2, &rows));
  CHECK(rows.rows == 24 && rows.length == 35);
  CHECK_OK(unitvar_convolution_weights(nchw, 4, &w));
  CHECK(w.groups * w.block.channels == 8);
  CHECK_OK(unitvar_convolution_output_last_weights(nchw, 4, &w));
  CHECK(w.groups * w.block.channels == 7);
  CHECK_OK(unitvar_transposed_convolution_weights(nchw, 4, 2, &w));
  CHECK(w.groups * w.block.channels == 6);
  e.outer = -5;
  CHECK_FAILS(unitvar_channels_first(huge, 3, &e), UNITVAR_OVERFLOW, "9223372036854775807");
  CHECK_FAILS(unitvar_channels_first(nchw, -1, &e), UNITVAR_BAD_ARGUMENT, "-1");
  CHECK_FAILS(unitvar_channels_first(NULL, 4, &e), UNITVAR_NULL_DATA, "shape");
  CHECK_FAILS(unitvar_channels_first(nchw, 4, NULL), UNITVAR_NULL_DATA, "result");
  CHECK(e.outer == -5);
}

/* Every refusal leaves y as it was. */
static void refusals(void) {
  const double one[3] = {1, 1, 1};
  for (int k = 0; k < SIZE; ++k) {
    x[k] = (float)k;
    y[k] = -1;
  }
  unitvar_batch_norm_forward_args a = good();
  CHECK_FAILS(unitvar_batch_norm_forward(NULL, NULL), UNITVAR_NULL_DATA, "struct of arguments");
  a.struct_size -= 1;
  CHECK_FAILS(unitvar_batch_norm_forward(&a, NULL), UNITVAR_BAD_ARGUMENT, "arguments: struct_size");
  a = good(), a.dtype = 9;
  CHECK_FAILS(unitvar_batch_norm_forward(&a, NULL), UNITVAR_BAD_ARGUMENT, "dtype is 9");
  a = good(), a.x = NULL;
  CHECK_FAILS(unitvar_batch_norm_forward(&a, NULL), UNITVAR_NULL_DATA, "x");
  a = good(), a.y = x;
  CHECK_FAILS(unitvar_batch_norm_forward(&a, NULL), UNITVAR_OVERLAP, "y");
  a = good(), a.extent.channels = -3;
  CHECK_FAILS(unitvar_batch_norm_forward(&a, NULL), UNITVAR_BAD_EXTENT, "-3");
  a = good(), a.extent.outer = INT64_MAX;
  CHECK_FAILS(unitvar_batch_norm_forward(&a, NULL), UNITVAR_OVERFLOW, "9223372036854775807");
  a = good(), a.extent.outer = 1, a.extent.inner = 1;
  CHECK_FAILS(unitvar_batch_norm_forward(&a, NULL), UNITVAR_TOO_FEW_VALUES, "1 value");
  a = good(), a.eps = NAN;
  CHECK_FAILS(unitvar_batch_norm_forward(&a, NULL), UNITVAR_BAD_EPSILON, "nan");
  a = good(), a.x = (const char*)x + 1;
  CHECK_FAILS(unitvar_batch_norm_forward(&a, NULL), UNITVAR_BAD_ARGUMENT, "align");
  a = good(), a.count = (double*)(void*)y;
  CHECK_FAILS(unitvar_batch_norm_forward(&a, NULL), UNITVAR_OVERLAP, "count");
  a = good(), a.count = (double*)(void*)((char*)&numbers + 4);
  CHECK_FAILS(unitvar_batch_norm_forward(&a, NULL), UNITVAR_BAD_ARGUMENT, "count");
  a = good();
  unitvar_options options = {.struct_size = sizeof options, .threads = -2};
  CHECK_FAILS(unitvar_batch_norm_forward(&a, &options), UNITVAR_BAD_ARGUMENT, "-2");
  options.struct_size = 0;
  CHECK_FAILS(unitvar_batch_norm_forward(&a, &options), UNITVAR_BAD_ARGUMENT, "options: struct_size is 0");
  options.struct_size = sizeof options, options.threads = 0, options.isa = 31;
  CHECK_FAILS(unitvar_batch_norm_forward(&a, &options), UNITVAR_BAD_ARGUMENT, "isa is 31");
  options.isa = 0, options.walk = -1;
  CHECK_FAILS(unitvar_batch_norm_forward(&a, &options), UNITVAR_BAD_ARGUMENT, "walk is -1");
  options.walk = 0, options.counts = (unitvar_precision_counts*)(void*)((char*)&numbers + 4);
  CHECK_FAILS(unitvar_batch_norm_forward(&a, &options), UNITVAR_BAD_ARGUMENT, "counts is misaligned");
  options.counts = (unitvar_precision_counts*)(void*)((uintptr_t)(y + 8) / 8 * 8);
  CHECK_FAILS(unitvar_batch_norm_forward(&a, &options), UNITVAR_OVERLAP, "counts overlaps y");
  unitvar_batch_norm_ghost_forward_args ghost = {
      .struct_size = sizeof ghost, .extent = {4, 3, 2}, .x = x, .y = y, .eps = 1e-5};
  CHECK_FAILS(unitvar_batch_norm_ghost_forward(&ghost, NULL), UNITVAR_BAD_ARGUMENT, "ghost is 0");
  unitvar_group_norm_forward_args group = {
      .struct_size = sizeof group, .groups = {{4, 3, 2}, 0, 3}, .x = x, .y = y, .eps = 1e-5};
  CHECK_FAILS(unitvar_group_norm_forward(&group, NULL), UNITVAR_BAD_EXTENT, "sample_rows");
  unitvar_batch_norm_act_forward_args act = {
      .struct_size = sizeof act, .extent = {4, 3, 2}, .x = x, .y = y, .eps = 1e-5, .activation = {.kind = 256}};
  CHECK_FAILS(unitvar_batch_norm_act_forward(&act, NULL), UNITVAR_BAD_ARGUMENT, "kind is 256");
  const unitvar_batch_norm_act_backward_args by_mask = {.struct_size = sizeof by_mask,
                                                        .extent = {4, 3, 2},
                                                        .x = x,
                                                        .dy = x,
                                                        .mean = one,
                                                        .rstd = one,
                                                        .dx = y,
                                                        .activation = {.kind = UNITVAR_LEAKY_RELU}};
  CHECK_FAILS(unitvar_batch_norm_act_backward(&by_mask, NULL), UNITVAR_NULL_DATA, "mask is null");
  const unitvar_batch_norm_renorm_forward_args renorm = {.struct_size = sizeof renorm,
                                                         .extent = {4, 3, 2},
                                                         .x = x,
                                                         .running_mean = one,
                                                         .running_var = one,
                                                         .y = y,
                                                         .r_max = 1,
                                                         .eps = -2};
  CHECK_FAILS(unitvar_batch_norm_renorm_forward(&renorm, NULL), UNITVAR_BAD_EPSILON, "running_var + eps is 1 + -2");
  unitvar_batch_norm_fold_args fold = {.struct_size = sizeof fold,
                                       .extent = {INT64_MAX, {1, 4, 1}},
                                       .weight = x,
                                       .mean = (const double*)x,
                                       .var = (const double*)x,
                                       .folded_weight = y,
                                       .folded_bias = y,
                                       .eps = 1e-5};
  CHECK_FAILS(unitvar_batch_norm_fold(&fold), UNITVAR_BAD_EXTENT, "9223372036854775807");
  unitvar_batch_norm_frozen_backward_args frozen = {.struct_size = sizeof frozen,
                                                    .extent = {4, 3, 2},
                                                    .dy = x,
                                                    .mean = one,
                                                    .var = one,
                                                    .dx = y,
                                                    .dgamma = y,
                                                    .eps = 1e-5};
  CHECK_FAILS(unitvar_batch_norm_frozen_backward(&frozen, NULL), UNITVAR_NULL_DATA, "x");
  for (int k = 0; k < SIZE; ++k) CHECK(y[k] == -1);
}

/* A program compiled with a later header: more fields, which this library does not know. */
static void later_header(void) {
  struct {
    unitvar_batch_norm_forward_args known;
    double later[2];
  } args = {good(), {0, 0}};
  args.known.struct_size = sizeof args;
  CHECK_OK(unitvar_batch_norm_forward(&args.known, NULL));
  args.later[1] = 1;
  CHECK_FAILS(unitvar_batch_norm_forward(&args.known, NULL), UNITVAR_BAD_ARGUMENT, "fields that it does not have");
  args.known.struct_size = SIZE_MAX;
  CHECK_FAILS(unitvar_batch_norm_forward(&args.known, NULL), UNITVAR_BAD_ARGUMENT, "struct_size");
}

static void layer(void) {
  unitvar_layer* layer = NULL;
  unitvar_layer_config config = {
      .struct_size = sizeof config, .dtype = UNITVAR_F32, .channels = 3, .eps = 1e-5, .running = {.momentum = 0.1}};
  const unitvar_extent extent = {4, 3, 2}, other = {4, 2, 3};
  CHECK_OK(unitvar_layer_create(&config, NULL, &layer));
  unitvar_layer_view view = {.struct_size = sizeof view};
  CHECK_OK(unitvar_layer_look(layer, &view));
  CHECK(view.training && !view.frozen && view.saved_mean == NULL && view.running_var[2] == 1 &&
        view.batches_tracked == 0);
  CHECK(((const float*)view.gamma)[1] == 1 && ((const float*)view.beta)[1] == 0);
  float dx[SIZE];
  CHECK_FAILS(unitvar_layer_backward(layer, &extent, x, y, dx), UNITVAR_BAD_STATE, "forward");
  CHECK_FAILS(unitvar_layer_forward(layer, &other, x, y), UNITVAR_BAD_EXTENT, "2");
  CHECK_OK(unitvar_layer_forward(layer, &extent, x, y));
  CHECK_OK(unitvar_layer_backward(layer, &extent, x, y, dx));
  CHECK_OK(unitvar_layer_look(layer, &view));
  CHECK(view.batches_tracked == 1 && view.saved_mean != NULL && view.running_mean[0] == 0.1 * view.saved_mean[0]);
  CHECK(near(((const float*)view.dgamma)[0], 8, 1e-4)); /* sum(y * x_hat) is N = 8 here */
  CHECK_OK(unitvar_layer_infer(layer, &extent, x, dx));
  CHECK_OK(unitvar_layer_set_training(layer, 0));
  CHECK_OK(unitvar_layer_forward(layer, &extent, x, y));
  CHECK(memcmp(dx, y, sizeof y) == 0);
  CHECK_FAILS(unitvar_layer_set_batches_tracked(layer, -1), UNITVAR_BAD_ARGUMENT, "batches is -1");
  CHECK_FAILS(unitvar_layer_set_batches_tracked(layer, INT64_MAX), UNITVAR_BAD_ARGUMENT, "batches is");
  CHECK_FAILS(unitvar_layer_forward(layer, NULL, x, y), UNITVAR_BAD_EXTENT, "0");
  CHECK_OK(unitvar_layer_set_batches_tracked(layer, 41));
  CHECK_OK(unitvar_layer_set_frozen(layer, 1));
  CHECK_OK(unitvar_layer_set_tracking(layer, 0));
  CHECK_OK(unitvar_layer_look(layer, &view));
  CHECK(view.batches_tracked == 41 && view.frozen && !view.tracking && !view.training);
  unitvar_layer_destroy(layer);
  unitvar_layer_destroy(NULL);
  layer = NULL;
  unitvar_options options = {.struct_size = sizeof options, .isa = 77};
  CHECK_FAILS(unitvar_layer_create(&config, &options, &layer), UNITVAR_BAD_ARGUMENT, "isa is 77");
  options.isa = 0, options.threads = -4;
  CHECK_FAILS(unitvar_layer_create(&config, &options, &layer), UNITVAR_BAD_ARGUMENT, "threads is -4");
  config.channels = 0;
  CHECK_FAILS(unitvar_layer_create(&config, NULL, &layer), UNITVAR_BAD_EXTENT, "0");
  CHECK(layer == NULL);
  CHECK_FAILS(unitvar_layer_forward(NULL, &extent, x, y), UNITVAR_NULL_DATA, "layer");
}

/* One rank makes a call that is refused before it reaches the library, the other one a good call. */
enum { REFUSALS = 4 };
typedef struct rank {
  unitvar_communicator* ranks;
  int refusal; /* -1: none */
  unitvar_status status;
  char message[256];
  float y[SIZE];
} rank;

static unitvar_status refused(const unitvar_options* options, int refusal, float* to) {
  unitvar_batch_norm_forward_args a = good();
  a.y = to;
  unitvar_layer* layer = NULL;
  const unitvar_layer_config config = {
      .struct_size = sizeof config, .dtype = UNITVAR_F32, .channels = 3, .eps = 1e-5, .running = {.momentum = 0.1}};
  switch (refusal) {
    case 0:
      a.dtype = 9;
      break;
    case 1:
      a.struct_size = 0;
      break;
    case 2:
      return unitvar_batch_norm_forward(NULL, options);
    case 3: {
      CHECK_OK(unitvar_layer_create(&config, options, &layer));
      const unitvar_status status = unitvar_layer_forward(layer, NULL, x, to);
      unitvar_layer_destroy(layer);
      return status;
    }
    default:
      break;
  }
  return unitvar_batch_norm_forward(&a, options);
}

static void* act(void* of) {
  rank* const own = of;
  const unitvar_options options = {.struct_size = sizeof options, .threads = 1, .communicator = own->ranks};
  own->status = refused(&options, own->refusal, own->y);
  strncpy(own->message, unitvar_last_error(), sizeof own->message - 1);
  return NULL;
}

static void ranks(void) {
  for (int refusal = 0; refusal < REFUSALS; ++refusal) {
    unitvar_thread_group* group = NULL;
    CHECK_OK(unitvar_thread_group_create(2, NULL, &group));
    CHECK(unitvar_thread_group_communicator(group, 2) == NULL);
    rank both[2] = {{.refusal = -1}, {.refusal = refusal}};
    pthread_t threads[2];
    for (int r = 0; r < 2; ++r) {
      both[r].ranks = unitvar_thread_group_communicator(group, r);
      CHECK(pthread_create(&threads[r], NULL, act, &both[r]) == 0);
    }
    for (int r = 0; r < 2; ++r) pthread_join(threads[r], NULL);
    CHECK(both[0].status == UNITVAR_DISAGREEMENT && strstr(both[0].message, "refused by rank 1") != NULL);
    CHECK(both[1].status != UNITVAR_OK && both[1].status != UNITVAR_DISAGREEMENT);
    CHECK(both[0].y[5] == 0 && both[1].y[5] == 0);
    unitvar_thread_group_destroy(group);
  }
}

/* Inference is no collective call: a rank that is refused has no others to tell. */
static void alone(void) {
  unitvar_thread_group* group = NULL;
  CHECK_OK(unitvar_thread_group_create(2, NULL, &group));
  const double one[3] = {1, 1, 1};
  const unitvar_options options = {.struct_size = sizeof options,
                                   .communicator = unitvar_thread_group_communicator(group, 0)};
  unitvar_batch_norm_inference_args a = {
      .struct_size = sizeof a, .dtype = 9, .extent = {4, 3, 2}, .x = x, .mean = one, .var = one, .y = y};
  CHECK_FAILS(unitvar_batch_norm_inference(&a, &options), UNITVAR_BAD_ARGUMENT, "dtype is 9");
  a.dtype = UNITVAR_F32, a.extent.channels = 0;
  CHECK_FAILS(unitvar_batch_norm_inference(&a, &options), UNITVAR_BAD_EXTENT, "0");
  unitvar_thread_group_destroy(group);
}

/* A rank that does not come. */
static void timeout(void) {
  unitvar_thread_group* group = NULL;
  unitvar_sync_options sync = {.struct_size = sizeof sync, .timeout_seconds = -1};
  CHECK_FAILS(unitvar_thread_group_create(2, &sync, &group), UNITVAR_BAD_ARGUMENT, "timeout_seconds is -1");
  sync.struct_size = 0;
  CHECK_FAILS(unitvar_thread_group_create(2, &sync, &group), UNITVAR_BAD_ARGUMENT, "struct_size is 0");
  sync.struct_size = sizeof sync, sync.timeout_seconds = 0.05;
  CHECK_OK(unitvar_thread_group_create(2, &sync, &group));
  const unitvar_options options = {.struct_size = sizeof options,
                                   .communicator = unitvar_thread_group_communicator(group, 0)};
  const unitvar_batch_norm_forward_args a = good();
  CHECK_FAILS(unitvar_batch_norm_forward(&a, &options), UNITVAR_COMMUNICATION, "rank 1 sent no frame");
  unitvar_thread_group_destroy(group);
}

static void explanation(void) {
  const unitvar_extent extent = {32, 64, 3136};
  unitvar_explanation e = {.struct_size = sizeof e};
  CHECK_OK(unitvar_explain(&extent, UNITVAR_F32, UNITVAR_FORWARD, NULL, &e));
  CHECK(e.writes == 1 && e.reads >= 1 && e.threads >= 1 && strlen(e.text) > 20);
  CHECK_FAILS(unitvar_explain(&extent, UNITVAR_F32, 3, NULL, &e), UNITVAR_BAD_ARGUMENT, "pass is 3");
  CHECK_OK(unitvar_explain(&extent, UNITVAR_F32, UNITVAR_INFERENCE, NULL, &e));
  CHECK(e.walk == UNITVAR_WALK_RESIDENT && strstr(e.text, "resident, one pass") != NULL);
  CHECK(strstr(e.text, "streamed,") == NULL);
}

/* Given statistics do not move. */
static void frozen_tangents(void) {
  const double one[3] = {1, 1, 1};
  double mean_dot[3] = {7, 7, 7}, var_dot[3] = {7, 7, 7};
  const unitvar_batch_norm_jvp_args a = {.struct_size = sizeof a,
                                         .extent = {4, 3, 2},
                                         .x = x,
                                         .mean = one,
                                         .rstd = one,
                                         .x_dot = x,
                                         .mean_dot = mean_dot,
                                         .var_dot = var_dot};
  CHECK_OK(unitvar_batch_norm_frozen_jvp(&a, NULL));
  for (int c = 0; c < 3; ++c) CHECK(mean_dot[c] == 0 && var_dot[c] == 0);
}

int main(void) {
  versions();
  shapes();
  refusals();
  later_header();
  layer();
  ranks();
  alone();
  timeout();
  explanation();
  frozen_tangents();
  return failures == 0 ? 0 : 1;
}
