#pragma once
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "unitvar/unitvar.hpp"

/// Inputs that are the same on every machine, and a report of hashes of what comes out.
namespace unitvar::cross {

/// Normal-looking numbers made of integers alone: a logarithm may differ in its last bit from one C library to another.
class Noise {
 public:
  double next() {
    double sum = -2;
    for (int k = 0; k < 4; ++k) {
      state_ = state_ * 6364136223846793005U + 1442695040888963407U;
      sum += static_cast<double>(state_ >> 40) / (1 << 24);
    }
    return sum;
  }

  template <class V>
  std::vector<V> values(std::int64_t size, double mean, double scale) {
    std::vector<V> values(static_cast<std::size_t>(size));
    for (V& v : values) v = static_cast<V>(mean + scale * next());
    return values;
  }

 private:
  std::uint64_t state_ = 20150211;
};

/// What x holds.
struct Kind {
  const char* name;
  double mean, scale;
  double outlier;  ///< the first element, in units of scale; 0 for none
  double eps;
};

inline constexpr Kind kinds[] = {{"centered", 0, 1, 0, 1e-5},     {"mean-1e4", 1e4, 1, 0, 1e-5},
                                 {"mean-1e6", 1e6, 1, 0, 1e-5},   {"outlier", 0, 1, 1e6, 1e-5},
                                 {"constant", 0.1, 0, 0, 1e-5},   {"1e30", 1e30, 1e30, 0, 1e-5},
                                 {"denormal", 0, 1e-40, 0, 1e-82}};

/// The inputs of every operation: `parameters` is C, or the length of a row.
template <class T>
struct Inputs {
  using P = param_t<T>;

  Inputs(std::int64_t size, std::int64_t parameters, const Kind& kind) {
    Noise noise;
    x = noise.values<T>(size, kind.mean, kind.scale);
    if (kind.outlier != 0) x[0] = static_cast<T>(kind.scale * kind.outlier);
    dy = noise.values<T>(size, 0.25, 1);
    v = noise.values<T>(size, 0, 1);
    gamma = noise.values<P>(parameters, 1, 1);
    beta = noise.values<P>(parameters, 0, 1);
    u = noise.values<P>(parameters, 0, 1);
    w = noise.values<P>(parameters, 0, 1);
  }

  std::vector<T> x, dy, v;
  std::vector<P> gamma, beta, u, w;
};

/// An array for results, of as many elements.
template <class V>
std::vector<V> results(std::int64_t size) {
  return std::vector<V>(static_cast<std::size_t>(size));
}

/// FNV-1a of all bytes, folded to 32 bits. Of a NaN it is hashed that it is one: which of them, is up to the processor.
template <class V>
std::uint32_t hash_of(const std::vector<V>& values) {
  std::uint64_t hash = 14695981039346656037U;
  for (V value : values) {
    if (std::isnan(static_cast<double>(value))) value = static_cast<V>(std::numeric_limits<double>::quiet_NaN());
    for (const unsigned char byte : std::bit_cast<std::array<unsigned char, sizeof(V)>>(value)) {
      hash = (hash ^ byte) * 1099511628211U;
    }
  }
  return static_cast<std::uint32_t>(hash ^ hash >> 32);
}

/// One line: what was computed, and the hash of each result by its name.
class Line {
 public:
  Line(std::FILE* file, const std::string& what) : file_(file) { std::fprintf(file_, "%s:", what.c_str()); }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;
  ~Line() { std::fputc('\n', file_); }

  template <class V>
  Line& add(const char* name, const std::vector<V>& values) {
    std::fprintf(file_, " %s=%08x", name, hash_of(values));
    return *this;
  }

 private:
  std::FILE* file_;
};

template <class T>
std::string title(const char* operation, const std::string& shape, const char* kind) {
  return std::string(DtypeTraits<T>::name) + " " + operation + " " + shape + " " + kind;
}
inline std::string text_of(const Extent& e) {
  return std::to_string(e.outer) + "x" + std::to_string(e.channels) + "x" + std::to_string(e.inner);
}
inline std::string text_of(const RowExtent& e) { return std::to_string(e.rows) + "x" + std::to_string(e.length); }
inline std::string text_of(const Groups& g) {
  return text_of(g.extent) + "/" + std::to_string(g.sample_rows) + "/" + std::to_string(g.groups);
}

inline const Options three_threads{.threads = 3};

/// Channels first and last, long and short rows.
inline constexpr Extent extents[] = {{5, 3, 784}, {3, 4, 4097}, {33, 7, 49},  {60, 100, 1},
                                     {2, 65, 1},  {2, 3, 17},   {8, 8, 6400}, {5000, 65, 1}};

/// Every operation of a family on every input.
void write_batch_norm(std::FILE* file);
void write_variants(std::FILE* file);
void write_derivatives(std::FILE* file);
void write_phases(std::FILE* file);
void write_group_norm(std::FILE* file);
void write_row_norms(std::FILE* file);

}  // namespace unitvar::cross
