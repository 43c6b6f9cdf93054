#include "train/matrix.hpp"

#include <cblas.h>

namespace unitvar::train {
namespace {

struct Sizes {
  blasint rows, in, out;
};

Sizes sizes(const LinearShape& shape) {
  return {static_cast<blasint>(shape.rows), static_cast<blasint>(shape.in), static_cast<blasint>(shape.out)};
}

}  // namespace

void linear_forward(const LinearShape& shape, const float* x, const float* weight, float* y) {
  const auto [m, k, n] = sizes(shape);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1, x, k, weight, k, 0, y, n);
}
void linear_forward(const LinearShape& shape, const double* x, const double* weight, double* y) {
  const auto [m, k, n] = sizes(shape);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1, x, k, weight, k, 0, y, n);
}

void linear_backward(const LinearShape& shape, const float* dy, const float* weight, float* dx) {
  const auto [m, k, n] = sizes(shape);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, k, n, 1, dy, n, weight, k, 0, dx, k);
}
void linear_backward(const LinearShape& shape, const double* dy, const double* weight, double* dx) {
  const auto [m, k, n] = sizes(shape);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, k, n, 1, dy, n, weight, k, 0, dx, k);
}

void linear_descend(const LinearShape& shape, float lr, const float* x, const float* dy, float* weight) {
  const auto [m, k, n] = sizes(shape);
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, k, m, -lr, dy, n, x, k, 1, weight, k);
}
void linear_descend(const LinearShape& shape, double lr, const double* x, const double* dy, double* weight) {
  const auto [m, k, n] = sizes(shape);
  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, k, m, -lr, dy, n, x, k, 1, weight, k);
}

void use_one_blas_thread() { openblas_set_num_threads(1); }

std::string blas_name() { return openblas_get_config(); }

}  // namespace unitvar::train
