#pragma once
#include <cstdint>
#include <string>

#include "unitvar/api.hpp"
#include "unitvar/extent.hpp"
#include "unitvar/group_norm.hpp"
#include "unitvar/options.hpp"
#include "unitvar/row_extent.hpp"

namespace unitvar {

/// The calls of a layer. Only batch normalization has an inference of its own.
enum class Pass { forward, backward, inference };

/// How a call would walk memory.
struct Explanation {
  Walk walk;    ///< resident or streamed; resident for inference, which has one pass only
  int threads;  ///< that would work; fewer than allowed for small work, 1 in a child that Options speaks of
  int reads;    ///< tensors read from memory: forward 1 if resident, 2 if streamed; backward 2 or 4; inference 1
  int writes;   ///< tensors written: 1
  /// Elements of the thread that has most, over the mean of all threads. 1 if no thread waits for another.
  double largest_share;
  std::string text;  ///< all of it in one line for people
};

/// Says how a call would walk memory on this machine: batch_norm_forward, batch_norm_backward (with all its outputs) or
/// batch_norm_inference with a tensor of this extent and these options. It runs no kernel. bytes_per_element is that of
/// a storage type: 2, 4 or 8. Throws Error (bad_extent, overflow, bad_argument).
///
///   std::puts(unitvar::explain(extent, 4, unitvar::Pass::forward).text.c_str());
[[nodiscard]] UNITVAR_API Explanation explain(const Extent& extent, std::int64_t bytes_per_element, Pass pass,
                                              const Options& options = {});

/// The same of group_norm_forward and group_norm_backward, and of instance normalization, whose groups are channels.
/// Throws bad_argument for Pass::inference, too.
[[nodiscard]] UNITVAR_API Explanation explain_groups(const Groups& groups, std::int64_t bytes_per_element, Pass pass,
                                                     const Options& options = {});

/// The same of layer_norm_forward, layer_norm_backward and those of RMS normalization. Throws bad_argument for
/// Pass::inference, too.
[[nodiscard]] UNITVAR_API Explanation explain_rows(const RowExtent& extent, std::int64_t bytes_per_element, Pass pass,
                                                   const Options& options = {});

}  // namespace unitvar
