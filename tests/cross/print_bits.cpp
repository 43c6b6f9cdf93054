// Writes a hash of the bits of every result to the file argv[1]. What two machines write must be the same text:
// script/cross compares this one's with that of an emulated 64-bit Arm.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "unitvar/unitvar.hpp"

namespace {

using unitvar::Extent;

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

 private:
  std::uint64_t state_ = 20150211;
};

/// FNV-1a of all bytes that are given; of a NaN, that it is one: which of them, is up to the processor.
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
  [[nodiscard]] unsigned long long value() const { return value_; }

 private:
  std::uint64_t value_ = 14695981039346656037U;
};

template <class... Vs>
unsigned long long hash_of(const Vs&... arrays) {
  Hash hash;
  (hash.add(arrays), ...);
  return hash.value();
}

struct Kind {
  const char* name;
  double mean, scale;
  double outlier;  ///< the first element, in units of scale; 0 for none
  double eps;
};

constexpr Kind kinds[] = {{"centered", 0, 1, 0, 1e-5},
                          {"mean 1e4", 1e4, 1, 0, 1e-5},
                          {"mean 1e6", 1e6, 1, 0, 1e-5},
                          {"outlier", 0, 1, 1e6, 1e-5},
                          {"constant", 0.1, 0, 0, 1e-5},
                          {"1e30", 1e30, 1e30, 0, 1e-5},
                          {"denormal of float", 0, 1e-40, 0, 1e-82}};

constexpr Extent extents[] = {{5, 3, 784}, {3, 4, 4097}, {33, 7, 49},  {60, 100, 1},
                              {2, 65, 1},  {2, 3, 17},   {8, 8, 6400}, {5000, 65, 1}};

template <class T>
void write_hashes(std::FILE* file, const Extent& e, const Kind& kind) {
  using P = unitvar::param_t<T>;
  const auto size = static_cast<std::size_t>(e.size()), channels = static_cast<std::size_t>(e.channels);
  Noise noise;
  std::vector<T> x(size), dy(size), y(size), inference(size), dx(size);
  std::vector<P> gamma(channels), beta(channels), dgamma(channels), dbeta(channels);
  std::vector<double> mean(channels), var(channels), rstd(channels);
  for (T& v : x) v = static_cast<T>(kind.mean + kind.scale * noise.next());
  if (kind.outlier != 0) x[0] = static_cast<T>(kind.scale * kind.outlier);
  for (T& v : dy) v = static_cast<T>(0.25 + noise.next());
  for (P& v : gamma) v = static_cast<P>(1 + noise.next());
  for (P& v : beta) v = static_cast<P>(noise.next());

  const unitvar::Options options{.threads = 3};
  unitvar::batch_norm_forward<T>({.extent = e,
                                  .x = x,
                                  .gamma = gamma,
                                  .beta = beta,
                                  .y = y,
                                  .mean = mean,
                                  .var = var,
                                  .rstd = rstd,
                                  .eps = kind.eps},
                                 options);
  unitvar::batch_norm_inference<T>(
      {.extent = e, .x = x, .mean = mean, .var = var, .gamma = gamma, .beta = beta, .y = inference, .eps = kind.eps},
      options);
  unitvar::batch_norm_backward<T>({.extent = e,
                                   .x = x,
                                   .dy = dy,
                                   .mean = mean,
                                   .rstd = rstd,
                                   .gamma = gamma,
                                   .dx = dx,
                                   .dgamma = dgamma,
                                   .dbeta = dbeta},
                                  options);
  std::fprintf(file, "%s %lld x %lld x %lld, %s: forward %016llx, inference %016llx, backward %016llx\n",
               std::string(unitvar::DtypeTraits<T>::name).c_str(), static_cast<long long>(e.outer),
               static_cast<long long>(e.channels), static_cast<long long>(e.inner), kind.name,
               hash_of(y, mean, var, rstd), hash_of(inference), hash_of(dx, dgamma, dbeta));
}

/// What is fused with the layer: a residual and an activation, weights, and normalization in place.
template <class T>
void write_hashes_of_extras(std::FILE* file, const Extent& e) {
  using P = unitvar::param_t<T>;
  const auto size = static_cast<std::size_t>(e.size()), channels = static_cast<std::size_t>(e.channels);
  Noise noise;
  std::vector<T> x(size), dy(size), residual(size), y(size), dx(size), dresidual(size);
  std::vector<P> weight(static_cast<std::size_t>(e.count())), dgamma(channels), dbeta(channels);
  std::vector<std::uint8_t> mask(static_cast<std::size_t>(unitvar::activation_mask_bytes(e)));
  std::vector<double> mean(channels), rstd(channels);
  for (auto* values : {&x, &dy, &residual}) {
    for (T& v : *values) v = static_cast<T>(0.25 + noise.next());
  }
  for (P& v : weight) v = static_cast<P>(std::max(0.0, noise.next()));
  const unitvar::Options options{.threads = 3};
  unitvar::batch_norm_act_forward<T>(
      {.extent = e, .x = x, .residual = residual, .y = y, .mask = mask, .mean = mean, .rstd = rstd}, options);
  unitvar::batch_norm_act_backward<T>({.extent = e,
                                       .x = x,
                                       .dy = dy,
                                       .mask = mask,
                                       .mean = mean,
                                       .rstd = rstd,
                                       .dx = dx,
                                       .dresidual = dresidual,
                                       .dgamma = dgamma,
                                       .dbeta = dbeta},
                                      options);
  const auto activation = hash_of(y, mask, dx, dresidual, dgamma, dbeta);
  unitvar::weighted_batch_norm_forward<T>({.extent = e, .x = x, .weight = weight, .y = y, .mean = mean, .rstd = rstd},
                                          options);
  unitvar::weighted_batch_norm_backward<T>(
      {.extent = e, .x = x, .dy = dy, .weight = weight, .mean = mean, .rstd = rstd, .dx = dx, .dgamma = dgamma},
      options);
  const auto weighted = hash_of(y, mean, rstd, dx, dgamma);
  unitvar::batch_norm_in_place_forward<T>({.extent = e, .x = x, .rstd = rstd, .negative_slope = 0.25}, options);
  unitvar::batch_norm_in_place_backward<T>(
      {.extent = e, .y = x, .dy = dy, .rstd = rstd, .dx = dx, .dgamma = dgamma, .negative_slope = 0.25}, options);
  std::fprintf(file, "%s %lld x %lld x %lld: activation %016llx, weighted %016llx, in place %016llx\n",
               std::string(unitvar::DtypeTraits<T>::name).c_str(), static_cast<long long>(e.outer),
               static_cast<long long>(e.channels), static_cast<long long>(e.inner), activation, weighted,
               hash_of(x, rstd, dx, dgamma));
}

template <class T>
std::vector<T> noise(std::size_t size, Noise& from, double mean, double scale) {
  std::vector<T> values(size);
  for (T& v : values) v = static_cast<T>(mean + scale * from.next());
  return values;
}

/// Channels first and last; groups of a few channels, and of one.
const unitvar::Groups groups[] = {
    {{3, 6, 49}, 1, 2}, {{2, 4, 4097}, 1, 2}, {{2 * 49, 6, 1}, 49, 2}, {{5, 3, 784}, 1, 3}};

template <class T>
void write_group_hashes(std::FILE* file, const unitvar::Groups& g, const Kind& kind) {
  using P = unitvar::param_t<T>;
  const auto size = static_cast<std::size_t>(g.extent.size()), channels = static_cast<std::size_t>(g.extent.channels);
  Noise from;
  std::vector<T> x = noise<T>(size, from, kind.mean, kind.scale);
  if (kind.outlier != 0) x[0] = static_cast<T>(kind.scale * kind.outlier);
  const std::vector<T> dy = noise<T>(size, from, 0.25, 1), v = noise<T>(size, from, 0, 1);
  const std::vector<P> gamma = noise<P>(channels, from, 1, 1), u = noise<P>(channels, from, 0, 1);
  std::vector<T> y(size), dx(size), grad_x(size), grad_dy(size);
  std::vector<P> dgamma(channels), dbeta(channels), grad_gamma(channels);
  std::vector<double> mean(static_cast<std::size_t>(g.size())), rstd(mean.size());

  const unitvar::Options options{.threads = 3};
  unitvar::group_norm_forward<T>(
      {.groups = g, .x = x, .gamma = gamma, .y = y, .mean = mean, .rstd = rstd, .eps = kind.eps}, options);
  unitvar::group_norm_backward<T>({.groups = g,
                                   .x = x,
                                   .dy = dy,
                                   .mean = mean,
                                   .rstd = rstd,
                                   .gamma = gamma,
                                   .dx = dx,
                                   .dgamma = dgamma,
                                   .dbeta = dbeta},
                                  options);
  unitvar::group_norm_double_backward<T>({.groups = g,
                                          .x = x,
                                          .dy = dy,
                                          .mean = mean,
                                          .rstd = rstd,
                                          .gamma = gamma,
                                          .grad_dx = v,
                                          .grad_dgamma = u,
                                          .grad_x = grad_x,
                                          .grad_dy = grad_dy,
                                          .grad_gamma = grad_gamma},
                                         options);
  std::fprintf(file, "%s group norm %lld x %lld x %lld, %lld groups, %s: %016llx, backward %016llx, double %016llx\n",
               std::string(unitvar::DtypeTraits<T>::name).c_str(), static_cast<long long>(g.extent.outer),
               static_cast<long long>(g.extent.channels), static_cast<long long>(g.extent.inner),
               static_cast<long long>(g.groups), kind.name, hash_of(y, mean, rstd), hash_of(dx, dgamma, dbeta),
               hash_of(grad_x, grad_dy, grad_gamma));
}

constexpr unitvar::RowExtent row_extents[] = {{5, 784}, {37, 100}, {131, 64}, {2, 17}, {3, 16384}};

/// Layer and RMS normalization.
template <class T>
void write_row_hashes(std::FILE* file, const unitvar::RowExtent& e, const Kind& kind) {
  using P = unitvar::param_t<T>;
  const auto size = static_cast<std::size_t>(e.size()), columns = static_cast<std::size_t>(e.length);
  Noise noise;
  std::vector<T> x(size), dy(size), y(size), dx(size), rms_y(size), rms_dx(size);
  std::vector<P> gamma(columns), beta(columns), dgamma(columns), dbeta(columns), rms_dgamma(columns);
  std::vector<double> mean(static_cast<std::size_t>(e.rows)), rstd(mean), rms_rstd(mean);
  for (T& v : x) v = static_cast<T>(kind.mean + kind.scale * noise.next());
  if (kind.outlier != 0) x[0] = static_cast<T>(kind.scale * kind.outlier);
  for (T& v : dy) v = static_cast<T>(0.25 + noise.next());
  for (P& v : gamma) v = static_cast<P>(1 + noise.next());
  for (P& v : beta) v = static_cast<P>(noise.next());

  const unitvar::Options options{.threads = 3};
  unitvar::layer_norm_forward<T>({e, x, gamma, beta, y, mean, rstd, kind.eps}, options);
  unitvar::layer_norm_backward<T>({e, x, dy, mean, rstd, gamma, dx, dgamma, dbeta}, options);
  unitvar::rms_norm_forward<T>({e, x, gamma, beta, rms_y, rms_rstd, kind.eps}, options);
  unitvar::rms_norm_backward<T>({e, x, dy, rms_rstd, gamma, rms_dx, rms_dgamma, {}}, options);
  std::fprintf(file,
               "%s %lld rows of %lld, %s: layer norm %016llx, backward %016llx, rms norm %016llx, backward %016llx\n",
               std::string(unitvar::DtypeTraits<T>::name).c_str(), static_cast<long long>(e.rows),
               static_cast<long long>(e.length), kind.name, hash_of(y, mean, rstd), hash_of(dx, dgamma, dbeta),
               hash_of(rms_y, rms_rstd), hash_of(rms_dx, rms_dgamma));
}

}  // namespace

int main(int argc, char** argv) {
  std::FILE* file = argc == 2 ? std::fopen(argv[1], "w") : nullptr;
  if (file == nullptr) {
    std::fprintf(stderr, "want one argument: a file to write\n");
    return 1;
  }
  for (const Extent& extent : extents) {
    for (const Kind& kind : kinds) {
#define UNITVAR_WRITE_HASHES(T) write_hashes<T>(file, extent, kind);
      UNITVAR_FOR_EACH_DTYPE(UNITVAR_WRITE_HASHES)
    }
#define UNITVAR_WRITE_HASHES_OF_EXTRAS(T) write_hashes_of_extras<T>(file, extent);
    UNITVAR_FOR_EACH_DTYPE(UNITVAR_WRITE_HASHES_OF_EXTRAS)
  }
  for (const unitvar::Groups& g : groups) {
    for (const Kind& kind : kinds) {
#define UNITVAR_WRITE_GROUP_HASHES(T) write_group_hashes<T>(file, g, kind);
      UNITVAR_FOR_EACH_DTYPE(UNITVAR_WRITE_GROUP_HASHES)
    }
  }
  for (const unitvar::RowExtent& extent : row_extents) {
    for (const Kind& kind : kinds) {
#define UNITVAR_WRITE_ROW_HASHES(T) write_row_hashes<T>(file, extent, kind);
      UNITVAR_FOR_EACH_DTYPE(UNITVAR_WRITE_ROW_HASHES)
    }
  }
  return std::fclose(file) == 0 ? 0 : 1;
}
