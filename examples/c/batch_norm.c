// Batch normalization from C: a training forward and backward, checked by numeric differentiation, and a layer.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unitvar/unitvar.h>

enum { SAMPLES = 8, CHANNELS = 3, HEIGHT = 4, WIDTH = 4, SIZE = SAMPLES * CHANNELS * HEIGHT * WIDTH };

static const unitvar_extent extent = {SAMPLES, CHANNELS, HEIGHT* WIDTH};  // NCHW
static const double eps = 1e-5;

typedef struct {
  double x[SIZE], dy[SIZE], gamma[CHANNELS], beta[CHANNELS];
} batch;

static void must(unitvar_status status) {
  if (status == UNITVAR_OK) return;
  printf("%s\n", unitvar_last_error());
  exit(1);
}

static batch make_batch(void) {
  batch b;
  for (int k = 0; k < SIZE; ++k) {
    b.x[k] = 1e6 + sqrt(2) * sin(0.37 * k * k);  // mean 1e6, std 1
    b.dy[k] = sin(0.73 * k * k);
  }
  for (int c = 0; c < CHANNELS; ++c) {
    b.gamma[c] = 1 + 0.5 * c;
    b.beta[c] = 0.1 * c;
  }
  return b;
}

// L = sum(y * dy). The backward of dy gives the gradients of L.
static double loss(const batch* b) {
  double y[SIZE], sum = 0;
  const unitvar_batch_norm_forward_args args = {.struct_size = sizeof args,
                                                .dtype = UNITVAR_F64,
                                                .extent = extent,
                                                .x = b->x,
                                                .gamma = b->gamma,
                                                .beta = b->beta,
                                                .y = y,
                                                .eps = eps};
  must(unitvar_batch_norm_forward(&args, NULL));
  for (int k = 0; k < SIZE; ++k) sum += y[k] * b->dy[k];
  return sum;
}

// fmax would pass over a NaN.
static double larger(double a, double b) { return a >= b || isnan(a) ? a : b; }

// Compares a gradient with central differences of L. `variable` is the part of the batch that it belongs to.
static int check(const char* name, const double* gradient, batch* b, double* variable, int size, double limit) {
  const double step = 1.0 / 1024;  // a power of two: 1e6 + step is exact
  double difference = 0, largest = 0;
  for (int k = 0; k < size; ++k) {
    const double kept = variable[k];
    variable[k] = kept + step;
    const double above = loss(b);
    variable[k] = kept - step;
    const double below = loss(b);
    variable[k] = kept;
    const double numeric = (above - below) / (2 * step);
    difference = larger(difference, fabs(gradient[k] - numeric));
    largest = larger(largest, fabs(numeric));
  }
  printf("%-6s %.1e\n", name, difference / largest);
  return difference <= limit * largest;
}

static int check_gradients(batch* b, double* mean) {
  double y[SIZE], rstd[CHANNELS], dx[SIZE], dgamma[CHANNELS], dbeta[CHANNELS];
  const unitvar_batch_norm_forward_args forward = {.struct_size = sizeof forward,
                                                   .dtype = UNITVAR_F64,
                                                   .extent = extent,
                                                   .x = b->x,
                                                   .gamma = b->gamma,
                                                   .beta = b->beta,
                                                   .y = y,
                                                   .mean = mean,
                                                   .rstd = rstd,
                                                   .eps = eps};
  must(unitvar_batch_norm_forward(&forward, NULL));
  const unitvar_batch_norm_backward_args backward = {.struct_size = sizeof backward,
                                                     .dtype = UNITVAR_F64,
                                                     .extent = extent,
                                                     .x = b->x,
                                                     .dy = b->dy,
                                                     .mean = mean,
                                                     .rstd = rstd,
                                                     .gamma = b->gamma,
                                                     .dx = dx,
                                                     .dgamma = dgamma,
                                                     .dbeta = dbeta};
  must(unitvar_batch_norm_backward(&backward, NULL));

  const int dx_good = check("dx", dx, b, b->x, SIZE, 1e-6);
  const int dgamma_good = check("dgamma", dgamma, b, b->gamma, CHANNELS, 1e-9);
  const int dbeta_good = check("dbeta", dbeta, b, b->beta, CHANNELS, 1e-9);
  return dx_good && dgamma_good && dbeta_good;
}

static int check_error(const batch* b) {
  double y[SIZE];
  const unitvar_batch_norm_forward_args args = {.struct_size = sizeof args,
                                                .dtype = UNITVAR_F64,
                                                .extent = {SAMPLES, 0, HEIGHT * WIDTH},  // no channels
                                                .x = b->x,
                                                .y = y,
                                                .eps = eps};
  const unitvar_status status = unitvar_batch_norm_forward(&args, NULL);
  printf("%s: %s\n", unitvar_status_name(status), unitvar_last_error());
  return status == UNITVAR_BAD_EXTENT;
}

// Each forward moves the running mean a tenth of the way from where it is, at first 0, to the batch's mean.
static int check_layer(const batch* b, const double* mean) {
  const unitvar_layer_config config = {.struct_size = sizeof config,
                                       .dtype = UNITVAR_F64,
                                       .channels = CHANNELS,
                                       .eps = eps,
                                       .running = {.momentum = 0.1}};
  unitvar_layer* layer = NULL;
  must(unitvar_layer_create(&config, NULL, &layer));
  double y[SIZE];
  for (int step = 0; step < 2; ++step) must(unitvar_layer_forward(layer, &extent, b->x, y));

  unitvar_layer_view view = {.struct_size = sizeof view};
  must(unitvar_layer_look(layer, &view));
  int good = view.batches_tracked == 2;
  printf("running mean after 2 batches:");
  for (int c = 0; c < CHANNELS; ++c) {
    printf(" %.3f", view.running_mean[c]);
    good = good && fabs(view.running_mean[c] - 0.19 * mean[c]) <= 1e-12 * mean[c];
  }
  printf("\n");
  unitvar_layer_destroy(layer);
  return good;
}

int main(void) {
  batch b = make_batch();
  double mean[CHANNELS];
  const int gradients_good = check_gradients(&b, mean);
  const int error_good = check_error(&b);
  const int layer_good = check_layer(&b, mean);
  return gradients_good && error_good && layer_good ? 0 : 1;
}
