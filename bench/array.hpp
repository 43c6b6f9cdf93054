#pragma once
#include <cmath>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

/// Whole-array arithmetic as NumPy does it: every operation is one loop over whole arrays and gives a new array.
namespace unitvar::bench {

/// Leaves new elements as the heap gave them, as numpy.empty does; std::vector alone would write them twice.
struct Uninitialized : std::allocator<double> {
  template <class U>
  struct rebind {
    using other = Uninitialized;
  };
  static void construct(double*) noexcept {}
};

/// rows x columns doubles; a row vector (one row) broadcasts over the rows of the other operand.
class Array {
 public:
  Array(std::size_t rows, std::size_t columns) : rows_(rows), columns_(columns), data_(rows * columns) {}
  Array(std::size_t rows, std::size_t columns, std::span<const double> values) : Array(rows, columns) {
    for (std::size_t k = 0; k < size(); ++k) data_[k] = values[k];
  }

  [[nodiscard]] std::size_t rows() const { return rows_; }
  [[nodiscard]] std::size_t columns() const { return columns_; }
  [[nodiscard]] std::size_t size() const { return rows_ * columns_; }
  double operator[](std::size_t k) const { return data_[k]; }
  double* row(std::size_t r) { return data_.data() + r * columns_; }
  [[nodiscard]] const double* row(std::size_t r) const { return data_.data() + (rows_ == 1 ? 0 : r * columns_); }

 private:
  std::size_t rows_, columns_;
  std::vector<double, Uninitialized> data_;
};

template <class Op>
Array map(const Array& a, Op op) {
  Array result(a.rows(), a.columns());
  for (std::size_t r = 0; r < a.rows(); ++r) {
    const double* __restrict x = a.row(r);
    double* __restrict out = result.row(r);
    for (std::size_t c = 0; c < a.columns(); ++c) out[c] = op(x[c]);
  }
  return result;
}

template <class Op>
Array combine(const Array& a, const Array& b, Op op) {
  Array result(a.rows() > b.rows() ? a.rows() : b.rows(), a.columns());
  for (std::size_t r = 0; r < result.rows(); ++r) {
    const double* __restrict x = a.row(r);
    const double* __restrict y = b.row(r);
    double* __restrict out = result.row(r);
    for (std::size_t c = 0; c < result.columns(); ++c) out[c] = op(x[c], y[c]);
  }
  return result;
}

inline Array operator+(const Array& a, const Array& b) {
  return combine(a, b, [](double x, double y) { return x + y; });
}
inline Array operator-(const Array& a, const Array& b) {
  return combine(a, b, [](double x, double y) { return x - y; });
}
inline Array operator*(const Array& a, const Array& b) {
  return combine(a, b, [](double x, double y) { return x * y; });
}
inline Array operator/(const Array& a, const Array& b) {
  return combine(a, b, [](double x, double y) { return x / y; });
}
inline Array operator*(double s, const Array& a) {
  return map(a, [s](double x) { return s * x; });
}
inline Array operator/(const Array& a, double s) {
  return map(a, [s](double x) { return x / s; });
}
inline Array operator/(double s, const Array& a) {
  return map(a, [s](double x) { return s / x; });
}
inline Array operator+(const Array& a, double s) {
  return map(a, [s](double x) { return x + s; });
}
inline Array sqrt(const Array& a) {
  return map(a, [](double x) { return std::sqrt(x); });
}

inline Array ones(std::size_t rows, std::size_t columns) {
  Array result(rows, columns);
  for (std::size_t k = 0; k < result.size(); ++k) result.row(0)[k] = 1;
  return result;
}

/// np.sum(a, axis=0).
inline Array sum_rows(const Array& a) {
  Array result(1, a.columns());
  double* __restrict out = result.row(0);
  for (std::size_t c = 0; c < a.columns(); ++c) out[c] = 0;
  for (std::size_t r = 0; r < a.rows(); ++r) {
    const double* __restrict x = a.row(r);
    for (std::size_t c = 0; c < a.columns(); ++c) out[c] += x[c];
  }
  return result;
}

}  // namespace unitvar::bench
