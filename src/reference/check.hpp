#pragma once
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "unitvar/error.hpp"
#include "unitvar/extent.hpp"
#include "unitvar/reference/forward.hpp"

/// The reference's argument checks: each throws Error whose message begins with `operation`.
namespace unitvar::reference::detail {

template <class R>
void require_length(const char* operation, const char* name, std::span<const R> values, std::int64_t want) {
  if (std::ssize(values) != want) {
    throw Error(ErrorCode::wrong_length, std::string(operation) + ": " + name + " has " +
                                             std::to_string(values.size()) + " elements, want " + std::to_string(want));
  }
  if (want > 0 && values.data() == nullptr) {
    throw Error(ErrorCode::null_data,
                std::string(operation) + ": " + name + " is null, want " + std::to_string(want) + " elements");
  }
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
  if (!std::isfinite(eps)) throw Error(ErrorCode::bad_epsilon, std::string(operation) + ": eps is not finite");
  for (std::size_t c = 0; c < var.size(); ++c) {
    if (var[c] + eps <= 0) {
      throw Error(ErrorCode::bad_epsilon, std::string(operation) + ": var + eps is " + std::to_string(var[c] + eps) +
                                              " in channel " + std::to_string(c) + ", want > 0");
    }
  }
}

/// The parameter as given, or `channels` copies of what its absence means.
template <class R>
std::vector<R> or_constant(std::span<const R> parameter, std::int64_t channels, R constant) {
  if (parameter.empty()) return std::vector<R>(static_cast<std::size_t>(channels), constant);
  return {parameter.begin(), parameter.end()};
}

}  // namespace unitvar::reference::detail
