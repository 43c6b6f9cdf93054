#pragma once
#include <cstdint>
#include <string>

/// The three matrix products of a linear layer, row-major, by CBLAS. x is rows x in, weight out x in, y rows x out.
namespace unitvar::train {

struct LinearShape {
  std::int64_t rows, in, out;
};

/// y = x weight^T
void linear_forward(const LinearShape& shape, const float* x, const float* weight, float* y);
void linear_forward(const LinearShape& shape, const double* x, const double* weight, double* y);

/// dx = dy weight
void linear_backward(const LinearShape& shape, const float* dy, const float* weight, float* dx);
void linear_backward(const LinearShape& shape, const double* dy, const double* weight, double* dx);

/// weight -= lr dy^T x: the gradient goes into the weights without ever standing in memory of its own.
void linear_descend(const LinearShape& shape, float lr, const float* x, const float* dy, float* weight);
void linear_descend(const LinearShape& shape, double lr, const double* x, const double* dy, double* weight);

/// Tells the BLAS to compute each product on the thread that asks for it. Products of 60 rows gain nothing from a
/// second thread, and so the results do not depend on a number of threads.
void use_one_blas_thread();

/// "OpenBLAS 0.3.21 DYNAMIC_ARCH ..."
[[nodiscard]] std::string blas_name();

}  // namespace unitvar::train
