/* Functions that take no struct of arguments: each pointer null, misaligned, and within another argument. What is
   refused writes nothing. */
#include "check.h"

enum { C = 3, MOST = 8, ROOM = 16 };

/* What a pointer of a call points to. */
typedef struct argument {
  const char* name;
  size_t size, alignment; /* in bytes */
  char holds;             /* 1: doubles, 2: numbers of 64 bits, 0: zeros */
  int is_optional;        /* may be null */
  int is_apart;           /* may not lie within another argument */
  const char* may_be;     /* the one that it may be exactly */
} argument;

typedef struct function {
  unitvar_status (*call)(void* const* p);
  argument arguments[MOST];
} function;

static double memory[MOST][ROOM], before[MOST][ROOM];

#define ARRAY(name, ...) \
  { #name, C * sizeof(double), 8, 1, __VA_ARGS__ }
#define INPUT(name) ARRAY(name, 0, 0, NULL)
#define OUTPUT(name) ARRAY(name, 0, 1, NULL)
#define ONE(name, type, holds, optional, apart) \
  { #name, sizeof(type), sizeof(type) < 8 ? 4 : 8, holds, optional, apart, NULL }

static unitvar_status merge(void* const* p) { return unitvar_merge_moments(C, 4, p[0], p[1], 4, p[2], p[3], p[4]); }
static unitvar_status finish(void* const* p) { return unitvar_finish_moments(C, 4, p[0], 1e-5, p[1], p[2]); }
static unitvar_status update(void* const* p) {
  return unitvar_update_running_statistics(C, p[0], p[1], p[2], p[3], 4, p[4], p[5], p[6], p[7]);
}
static unitvar_status scale(void* const* p) {
  return unitvar_batch_norm_scale_and_shift(UNITVAR_F64, C, p[0], p[1], p[2], p[3], 1e-5, p[4], p[5]);
}
static unitvar_status mask(void* const* p) { return unitvar_batch_norm_act_mask_bytes(p[0], p[1], p[2]); }
static unitvar_status first(void* const* p) { return unitvar_channels_first(p[0], C, p[1]); }
static unitvar_status last(void* const* p) { return unitvar_channels_last(p[0], C, p[1]); }
static unitvar_status groups_first(void* const* p) { return unitvar_groups_channels_first(p[0], C, 1, p[1]); }
static unitvar_status groups_last(void* const* p) { return unitvar_groups_channels_last(p[0], C, 1, p[1]); }
static unitvar_status rows(void* const* p) { return unitvar_rows_from_axis(p[0], C, 1, p[1]); }
static unitvar_status weights(void* const* p) { return unitvar_convolution_weights(p[0], C, p[1]); }
static unitvar_status weights_last(void* const* p) { return unitvar_convolution_output_last_weights(p[0], C, p[1]); }
static unitvar_status transposed(void* const* p) { return unitvar_transposed_convolution_weights(p[0], C, 1, p[1]); }
static unitvar_status selected(void* const* p) { return unitvar_selected_isa(UNITVAR_ISA_PORTABLE, p[0]); }

static unitvar_status explain(void* const* p) {
  unitvar_explanation* const out = p[1];
  if (out == NULL || (uintptr_t)out % 8 != 0) return unitvar_explain(p[0], UNITVAR_F32, UNITVAR_FORWARD, NULL, out);
  static unitvar_explanation real; /* larger than the memory here */
  real.struct_size = sizeof real;
  return unitvar_explain(p[0], UNITVAR_F32, UNITVAR_FORWARD, NULL, &real);
}

/* An accumulator to which all is added. */
static unitvar_accumulator* full(void) {
  static const double x[2 * C] = {1, 2, 3, 4, 5, 7};
  const unitvar_extent extent = {2, C, 1};
  unitvar_accumulator* made = NULL;
  CHECK_OK(unitvar_moments_accumulator_create(UNITVAR_F64, &extent, NULL, &made));
  for (int64_t t = 0; t < unitvar_accumulator_tiles(made); ++t)
    CHECK_OK(unitvar_accumulator_add(made, t, 0, C, x, NULL));
  return made;
}
static unitvar_status tile(void* const* p) {
  unitvar_accumulator* const of = full();
  const unitvar_status status = unitvar_accumulator_tile(of, 0, p[0]);
  unitvar_accumulator_destroy(of);
  return status;
}
static unitvar_status finish_tiles(void* const* p) {
  unitvar_accumulator* const of = full();
  const unitvar_status status = unitvar_accumulator_finish(of, p[0], p[1]);
  unitvar_accumulator_destroy(of);
  return status;
}

static unitvar_status counters(void* const* p) {
  unitvar_thread_group* group = NULL;
  CHECK_OK(unitvar_thread_group_create(2, NULL, &group));
  const unitvar_status status = unitvar_communicator_counters(unitvar_thread_group_communicator(group, 1), p[0]);
  unitvar_thread_group_destroy(group);
  return status;
}

#define SHAPE \
  { "shape", C * sizeof(int64_t), 8, 2, 0, 0, NULL }
static const function functions[] = {
    {merge, {OUTPUT(mean_a), OUTPUT(m2_a), INPUT(mean_b), INPUT(m2_b), ONE(merged, double, 1, 1, 1)}},
    {finish, {INPUT(m2), ARRAY(var, 0, 1, "m2"), OUTPUT(rstd)}},
    {update,
     {OUTPUT(running_mean), OUTPUT(running_var), ONE(batches_tracked, int64_t, 2, 1, 1),
      ONE(batches_skipped, int64_t, 2, 1, 1), INPUT(mean), INPUT(var), ONE(policy, unitvar_running_policy, 0, 0, 0),
      ONE(outcome, int32_t, 2, 1, 1)}},
    {scale, {INPUT(mean), INPUT(var), ARRAY(gamma, 1, 0, NULL), ARRAY(beta, 1, 0, NULL), OUTPUT(scale), OUTPUT(shift)}},
    {mask,
     {ONE(extent, unitvar_extent, 2, 0, 0), ONE(activation, unitvar_activation, 0, 0, 0),
      ONE(bytes, int64_t, 2, 0, 1)}},
    {first, {SHAPE, ONE(extent, unitvar_extent, 2, 0, 1)}},
    {last, {SHAPE, ONE(extent, unitvar_extent, 2, 0, 1)}},
    {groups_first, {SHAPE, ONE(out, unitvar_groups, 2, 0, 1)}},
    {groups_last, {SHAPE, ONE(out, unitvar_groups, 2, 0, 1)}},
    {rows, {SHAPE, ONE(extent, unitvar_row_extent, 2, 0, 1)}},
    {weights, {SHAPE, ONE(extent, unitvar_weight_extent, 2, 0, 1)}},
    {weights_last, {SHAPE, ONE(extent, unitvar_weight_extent, 2, 0, 1)}},
    {transposed, {SHAPE, ONE(extent, unitvar_weight_extent, 2, 0, 1)}},
    {selected, {ONE(selected, int32_t, 2, 0, 1)}},
    {explain, {ONE(extent, unitvar_extent, 2, 0, 0), ONE(out, unitvar_tile, 2, 0, 0)}},
    {tile, {ONE(tile, unitvar_tile, 2, 0, 1)}},
    {finish_tiles, {OUTPUT(first), OUTPUT(second)}},
    {counters, {ONE(counters, unitvar_sync_counters, 2, 0, 1)}},
};

static void fill(const function* f, void** p) {
  for (int i = 0; i < MOST; ++i) {
    p[i] = memory[i];
    for (int k = 0; k < ROOM; ++k) {
      const int64_t two = 2;
      memory[i][k] = f->arguments[i].holds == 1 ? 1 : 0;
      if (f->arguments[i].holds == 2) memcpy(&memory[i][k], &two, sizeof two);
    }
  }
}

static void expect(unitvar_status want, const function* f, void* const* p, const char* what, const char* of) {
  memcpy(before, memory, sizeof memory);
  const unitvar_status got = f->call(p);
  const int is_written = memcmp(before, memory, sizeof memory) != 0;
  if (got == want && (got == UNITVAR_OK || (!is_written && strstr(unitvar_last_error(), "want") != NULL))) return;
  if (is_news())
    printf("function %d, %s %s: %s \"%s\"%s, want %s\n", (int)(f - functions), what, of, unitvar_status_name(got),
           unitvar_last_error(), is_written ? ", and written" : "", unitvar_status_name(want));
}

/* Argument i at the begin of each other one, at its end, and behind it. */
static void overlap(const function* f, int i) {
  void* p[MOST];
  const argument* const own = &f->arguments[i];
  for (int j = 0; j < MOST && f->arguments[j].name != NULL; ++j) {
    const argument* const other = &f->arguments[j];
    if (j == i) continue;
    const int may_be = own->may_be != NULL && strcmp(own->may_be, other->name) == 0;
    fill(f, p);
    p[i] = p[j];
    expect(may_be ? UNITVAR_OK : UNITVAR_OVERLAP, f, p, own->name, other->name);
    if (other->size % own->alignment != 0) continue;
    if (!may_be || other->size > own->alignment) {
      fill(f, p);
      p[i] = (char*)p[j] + other->size - own->alignment;
      expect(UNITVAR_OVERLAP, f, p, own->name, other->name);
    }
    fill(f, p);
    p[i] = (char*)p[j] + other->size;
    expect(UNITVAR_OK, f, p, own->name, other->name);
  }
}

static void sweep(const function* f) {
  void* p[MOST];
  fill(f, p);
  expect(UNITVAR_OK, f, p, "good", "arguments");
  for (int i = 0; i < MOST && f->arguments[i].name != NULL; ++i) {
    const argument* const own = &f->arguments[i];
    fill(f, p);
    p[i] = NULL;
    expect(own->is_optional ? UNITVAR_OK : UNITVAR_NULL_DATA, f, p, own->name, "null");
    for (size_t past = 1; past < own->alignment; ++past) {
      fill(f, p);
      p[i] = (char*)p[i] + past;
      expect(UNITVAR_BAD_ARGUMENT, f, p, own->name, "misaligned");
    }
    if (own->is_apart) overlap(f, i);
  }
}

static void numbers(void) {
  double a[4] = {1, 1, 1, 1}, b[4] = {1, 1, 1, 1}, mean[4] = {1, 1, 1, 1}, var[4] = {1, 1, 1, 1};
  int64_t batches = 2;
  const unitvar_running_policy policy = {.cumulative = 1};
  CHECK_FAILS(unitvar_update_running_statistics(4, a, b, &batches, NULL, 0.5, mean, var, &policy, NULL),
              UNITVAR_TOO_FEW_VALUES, "count is 0.5, want more than 1");
  const int64_t bad[3] = {-1, -7, INT64_MAX};
  for (int k = 0; k < 3; ++k) {
    batches = bad[k];
    int32_t outcome = -9;
    CHECK_FAILS(unitvar_update_running_statistics(4, a, b, &batches, NULL, 9, mean, var, &policy, &outcome),
                UNITVAR_BAD_ARGUMENT, "batches_tracked is");
    CHECK(batches == bad[k] && outcome == -9 && a[0] == 1 && b[3] == 1);
  }
  CHECK_FAILS(unitvar_merge_moments(INT64_MAX, 1, a, b, 1, mean, var, NULL), UNITVAR_OVERFLOW, "9223372036854775807");
  CHECK_FAILS(unitvar_merge_frames(a, b, -1), UNITVAR_WRONG_LENGTH, "bytes is -1, want >= 0");
  CHECK_FAILS(unitvar_merge_frames(a, b, 16), UNITVAR_COMMUNICATION, "16 and 16 bytes");
  const int64_t shape[1] = {2};
  unitvar_row_extent of_rows = {5, 5};
  CHECK_FAILS(unitvar_rows_from_axis(shape, 0, 0, &of_rows), UNITVAR_BAD_ARGUMENT, "rank 0, want 1 or more");
  CHECK(of_rows.rows == 5);
  const unitvar_activation leaky = {.kind = UNITVAR_LEAKY_RELU, .negative_slope = 0.1};
  const unitvar_extent huge = {INT64_MAX, 1, 1};
  int64_t bytes = 5;
  CHECK_FAILS(unitvar_batch_norm_act_mask_bytes(&huge, &leaky, &bytes), UNITVAR_OVERFLOW, "9223372036854775807");
  CHECK(bytes == 5);
}

int main(void) {
  for (size_t k = 0; k < sizeof functions / sizeof *functions; ++k) sweep(&functions[k]);
  numbers();
  return failures == 0 ? 0 : 1;
}
