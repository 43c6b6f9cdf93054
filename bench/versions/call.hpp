#pragma once
#include <cstdint>

/// The interface to one version of the library, when several are loaded into one program. It is plain C: every version
/// has C++ types of its own by the same names.
namespace unitvar::versions {

enum class Op : int { batch_norm, layer_norm, rms_norm, group_norm };
enum class Pass : int { forward, inference, backward };
enum class Dtype : int { f32, f64, bf16, f16 };

/// One call. Arrays of elements are of the dtype, gamma, beta, dgamma and dbeta of its parameter type.
struct Call {
  Op op;
  Pass pass;
  Dtype dtype;
  std::int64_t outer, channels, inner;  ///< an Extent; of rows: outer rows of `channels` elements
  std::int64_t sample_rows, groups;     ///< of group_norm
  int threads;
  std::int64_t parameters, statistics;  ///< elements of gamma, and of mean
  const void *x, *dy, *gamma, *beta;
  void *y, *dx, *dgamma, *dbeta;
  double *mean, *var, *rstd;
};

}  // namespace unitvar::versions

/// The one symbol of a module. Returns null, or the message of the library's error.
extern "C" const char* unitvar_version_run(const unitvar::versions::Call* call);
