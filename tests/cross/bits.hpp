#pragma once
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "support/float_settings.hpp"
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

/// FNV-1a of all bytes that are given. Of a NaN it is hashed that it is one: which of them, is up to the processor.
class Hash {
 public:
  template <class V>
  void add(const std::vector<V>& values) {
    for (V value : values) {
      if (std::isnan(static_cast<double>(value))) value = static_cast<V>(std::numeric_limits<double>::quiet_NaN());
      for (const unsigned char byte : std::bit_cast<std::array<unsigned char, sizeof(V)>>(value)) {
        value_ = (value_ ^ byte) * 1099511628211U;
      }
    }
  }
  [[nodiscard]] std::uint32_t folded() const { return static_cast<std::uint32_t>(value_ ^ value_ >> 32); }

 private:
  std::uint64_t value_ = 14695981039346656037U;
};

/// A line of the report: one operation, dtype and kind of data, and a hash of each result by its name, over all shapes.
class Line {
 public:
  explicit Line(std::string title) : title_(std::move(title)) {}

  template <class V>
  Line& add(const std::string& result, const std::vector<V>& values) {
    for (auto& [name, hash] : hashes_) {
      if (name == result) return hash.add(values), *this;
    }
    hashes_.emplace_back(result, Hash()).second.add(values);
    return *this;
  }
  [[nodiscard]] const std::string& title() const { return title_; }
  void print(std::FILE* file) const {
    std::fprintf(file, "%s:", title_.c_str());
    for (const auto& [name, hash] : hashes_) std::fprintf(file, " %s=%08x", name.c_str(), hash.folded());
    std::fputc('\n', file);
  }

 private:
  std::string title_;
  std::vector<std::pair<std::string, Hash>> hashes_;
};

/// Lines in the order in which they were begun.
class Report {
 public:
  template <class T>
  Line& line(const std::string& operation, const Kind& kind) {
    const std::string title = std::string(DtypeTraits<T>::name) + " " + operation + ", " + kind.name;
    for (Line& line : lines_) {
      if (line.title() == title) return line;
    }
    return lines_.emplace_back(title);
  }
  void print(std::FILE* file) const {
    for (const Line& line : lines_) line.print(file);
  }

 private:
  std::deque<Line> lines_;
};

/// Whether call() below rounds upward and flushes denormals, which the library has to put aside.
inline bool hostile_caller = false;

/// Runs f, which makes calls of the library and computes nothing itself.
template <class F>
void call(const F& f) {
#if UNITVAR_HAS_FLOAT_SETTINGS
  if (hostile_caller) {
    const test::Changed hostile(test::flushing(test::upward(test::settings())));
    return f();
  }
#endif
  f();
}

inline const Options three_threads{.cpu = {.threads = 3}};

/// Channels first and last, long and short rows.
inline constexpr Extent extents[] = {{5, 3, 784}, {3, 4, 4097}, {33, 7, 49},  {60, 100, 1},
                                     {2, 65, 1},  {2, 3, 17},   {4, 2, 6400}, {1000, 65, 1}};

/// Every operation of a family on every input.
void write_batch_norm(Report& report);
void write_variants(Report& report);
void write_derivatives(Report& report);
void write_phases(Report& report);
void write_group_norm(Report& report);
void write_row_norms(Report& report);
void write_instance_norm(Report& report);
void write_layers_and_ranks(Report& report);

}  // namespace unitvar::cross
