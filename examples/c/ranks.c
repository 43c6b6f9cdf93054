// Two ranks, each with its part of a batch, normalize by the statistics of both. Here the ranks are threads.
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unitvar/unitvar.h>

enum { SAMPLES = 6, CHANNELS = 2, INNER = 5, SAMPLE = CHANNELS * INNER, SIZE = SAMPLES * SAMPLE };

// Tensors are of all samples. Each rank reads and writes its own samples.
static double x[SIZE], dy[SIZE];
typedef struct {
  double y[SIZE], dx[SIZE];
} tensors;

typedef struct {
  unitvar_communicator* communicator;  // null: alone
  int begin, end;                      // its samples
  tensors* out;
  double mean[CHANNELS], rstd[CHANNELS], dgamma[CHANNELS];
  unitvar_status status;
} rank;

static void* work(void* argument) {
  rank* const r = argument;
  const int at = r->begin * SAMPLE;
  const unitvar_options options = {.struct_size = sizeof options, .threads = 1, .communicator = r->communicator};
  const unitvar_extent extent = {r->end - r->begin, CHANNELS, INNER};
  const unitvar_batch_norm_forward_args forward = {.struct_size = sizeof forward,
                                                   .dtype = UNITVAR_F64,
                                                   .extent = extent,
                                                   .x = x + at,
                                                   .y = r->out->y + at,
                                                   .mean = r->mean,
                                                   .rstd = r->rstd,
                                                   .eps = 1e-5};
  const unitvar_batch_norm_backward_args backward = {.struct_size = sizeof backward,
                                                     .dtype = UNITVAR_F64,
                                                     .extent = extent,
                                                     .x = x + at,
                                                     .dy = dy + at,
                                                     .mean = r->mean,
                                                     .rstd = r->rstd,
                                                     .dx = r->out->dx + at,
                                                     .dgamma = r->dgamma};
  r->status = unitvar_batch_norm_forward(&forward, &options);
  if (r->status == UNITVAR_OK) r->status = unitvar_batch_norm_backward(&backward, &options);
  if (r->status != UNITVAR_OK) printf("%s\n", unitvar_last_error());  // of this thread
  return NULL;
}

// fmax would pass over a NaN.
static double larger(double a, double b) { return a >= b || isnan(a) ? a : b; }

static int near(const char* name, const double* ranks, const double* whole, int size) {
  double difference = 0, largest = 0;
  for (int k = 0; k < size; ++k) {
    difference = larger(difference, fabs(ranks[k] - whole[k]));
    largest = larger(largest, fabs(whole[k]));
  }
  printf("%-6s %-20.16g %-20.16g %.1e\n", name, ranks[0], whole[0], difference / largest);
  return difference <= 1e-12 * largest;
}

int main(void) {
  for (int k = 0; k < SIZE; ++k) {
    x[k] = 100 + sin(0.37 * k * k);
    dy[k] = sin(0.73 * k * k);
  }
  static tensors of_ranks, of_whole;
  rank whole = {.end = SAMPLES, .out = &of_whole};
  work(&whole);

  unitvar_thread_group* group = NULL;
  if (unitvar_thread_group_create(2, NULL, &group) != UNITVAR_OK) {
    printf("%s\n", unitvar_last_error());
    return 1;
  }
  rank first = {unitvar_thread_group_communicator(group, 0), .begin = 0, .end = 2, .out = &of_ranks};
  rank second = {unitvar_thread_group_communicator(group, 1), .begin = 2, .end = SAMPLES, .out = &of_ranks};
  pthread_t other;
  if (pthread_create(&other, NULL, work, &second) != 0) return 1;
  work(&first);
  pthread_join(other, NULL);
  unitvar_thread_group_destroy(group);
  if (whole.status != UNITVAR_OK || first.status != UNITVAR_OK || second.status != UNITVAR_OK) return 1;

  // dgamma is of the rank's own samples. A training loop adds it over ranks, as the gradient of any other parameter.
  double dgamma[CHANNELS];
  for (int c = 0; c < CHANNELS; ++c) dgamma[c] = first.dgamma[c] + second.dgamma[c];

  // The ranks' sums are merged in another order than one rank's, so the last digits may differ.
  printf("%-6s %-20s %-20s %s\n", "", "two ranks", "whole batch", "largest difference");
  int good = near("mean", first.mean, whole.mean, CHANNELS);
  good = near("rstd", first.rstd, whole.rstd, CHANNELS) && good;
  good = near("y", of_ranks.y, of_whole.y, SIZE) && good;
  good = near("dx", of_ranks.dx, of_whole.dx, SIZE) && good;
  good = near("dgamma", dgamma, whole.dgamma, CHANNELS) && good;

  // Ranks do not differ from each other by a bit.
  const int same = memcmp(first.mean, second.mean, sizeof first.mean) == 0 &&
                   memcmp(first.rstd, second.rstd, sizeof first.rstd) == 0;
  printf("statistics of both ranks have %s\n", same ? "the same bits" : "other bits");
  return good && same ? 0 : 1;
}
