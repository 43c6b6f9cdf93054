#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "unitvar/extent.hpp"
#include "unitvar/reference/forward.hpp"

/// The reference's argument checks: each throws Error whose message begins with `operation`.
namespace unitvar::reference::detail {

void require_elements(const char* operation, const char* name, const void* data, std::size_t size, std::int64_t want);
[[noreturn]] void fail_eps_not_finite(const char* operation);
[[noreturn]] void fail_variance(const char* operation, long double var_plus_eps, std::size_t channel);

template <class R>
void require_length(const char* operation, const char* name, std::span<const R> values, std::int64_t want) {
  require_elements(operation, name, values.data(), values.size(), want);
}

template <class R>
void require_optional_length(const char* operation, const char* name, std::span<const R> values, std::int64_t want) {
  if (!values.empty()) require_length(operation, name, values, want);
}

template <class R>
void require_cache(const char* operation, const Cache<R>& cache, std::span<const R> dy) {
  check_extent(operation, cache.extent, sizeof(R));
  const std::int64_t channels = cache.extent.channels;
  require_length(operation, "dy", dy, cache.extent.size());
  require_length<R>(operation, "cache.mean", cache.mean, channels);
  require_length<R>(operation, "cache.var", cache.var, channels);
  require_length<R>(operation, "cache.rstd", cache.rstd, channels);
  require_length<R>(operation, "cache.gamma", cache.gamma, channels);
  require_length<R>(operation, "cache.x_hat", cache.x_hat, cache.extent.size());
}

/// Throws bad_epsilon unless eps is finite and var + eps > 0; a NaN variance passes, to reach its channel's results.
template <class R>
void require_positive(const char* operation, std::span<const R> var, R eps) {
  if (!std::isfinite(eps)) fail_eps_not_finite(operation);
  for (std::size_t c = 0; c < var.size(); ++c) {
    if (var[c] + eps <= 0) fail_variance(operation, var[c] + eps, c);
  }
}

/// The parameter as given, or `channels` copies of what its absence means.
template <class R>
std::vector<R> or_constant(std::span<const R> parameter, std::int64_t channels, R constant) {
  if (parameter.empty()) return std::vector<R>(static_cast<std::size_t>(channels), constant);
  return {parameter.begin(), parameter.end()};
}

}  // namespace unitvar::reference::detail
