#pragma once
#include <stdexcept>
#include <string>

#include "unitvar/api.hpp"

namespace unitvar {

/// Why a call was refused. The message says the rest: operation, argument, value seen, value wanted.
enum class ErrorCode {
  null_data,        ///< a span of non-zero length points nowhere
  wrong_length,     ///< a span's length does not fit the extent
  bad_extent,       ///< zero channels, zero inner extent, or a negative number
  overflow,         ///< a product of extents, or its size in bytes, exceeds 64 bits
  too_few_values,   ///< one value per channel where a batch variance is needed
  bad_epsilon,      ///< eps is not finite, or var + eps <= 0 on the data in hand
  overlap,          ///< an output shares memory with another argument where that is not allowed
  bad_argument,     ///< any other value outside its documented range, or an address not aligned for its type
  bad_state,        ///< a call out of order, such as backward without a training forward
  unsupported_isa,  ///< this machine, or this build, lacks the instruction set asked for
  disagreement,     ///< ranks of a communicator made different calls, or one of them refused its arguments
  communication     ///< the engine behind a communicator (MPI) reports a failure
};

/// The one exception of the library, thrown before any output is written; communication alone can come later.
/// what() reads like `batch_norm_forward: gamma has 32 elements, want C = 64`.
class UNITVAR_API Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace unitvar
