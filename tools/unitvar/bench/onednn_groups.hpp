#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/onednn_tensors.hpp"
#include "unitvar/schedule.hpp"

namespace unitvar::bench {

/// Whether this program's oneDNN normalizes groups of tensors of that dtype: none before 3.3 does.
[[nodiscard]] bool onednn_supports_groups(std::string_view dtype);

/// Images as oneDNN sees them.
struct OnednnGroupProblem : OnednnTensors {
  Shape shape;
  Layout layout;
  std::int64_t groups;  ///< of each sample
};

/// oneDNN's group normalization on the problem's own memory, on as many threads as OpenMP is set to use. Its forward
/// saves the statistics that its backward reads.
class OnednnGroups {
 public:
  explicit OnednnGroups(OnednnGroupProblem problem);
  ~OnednnGroups();
  OnednnGroups(const OnednnGroups&) = delete;
  OnednnGroups& operator=(const OnednnGroups&) = delete;

  void run(Pass pass);
  /// Format and implementation, e.g. "nhwc jit_group:uni"; "ref:any" is oneDNN's reference, which is not made for
  /// speed.
  [[nodiscard]] std::string name(Pass pass) const;
  [[nodiscard]] std::span<const float> dgamma() const;
  [[nodiscard]] std::span<const float> dbeta() const;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace unitvar::bench
