#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace unitvar::bench {

/// What is measured. Each is measured by a function of measure.cpp's measure_shape.
enum class Op { batch_norm, layer_norm, rms_norm, group_norm, instance_norm };

[[nodiscard]] inline const std::vector<std::string>& op_names() {
  static const std::vector<std::string> names = {"batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm"};
  return names;
}
[[nodiscard]] inline std::string_view op_name(Op op) { return op_names()[static_cast<std::size_t>(op)]; }
[[nodiscard]] constexpr std::string_view op_title(Op op) {
  constexpr std::string_view titles[] = {"Batch normalization", "Layer normalization", "RMS normalization",
                                         "Group normalization", "Instance normalization"};
  return titles[static_cast<std::size_t>(op)];
}

/// Those whose tensors are rows of D elements, given as ROWS,D. None but batch_norm has an inference of its own.
[[nodiscard]] constexpr bool is_of_rows(Op op) { return op == Op::layer_norm || op == Op::rms_norm; }
/// Those whose tensors are images, of which each sample's channels are normalized in groups.
[[nodiscard]] constexpr bool is_of_groups(Op op) { return op == Op::group_norm || op == Op::instance_norm; }

}  // namespace unitvar::bench
