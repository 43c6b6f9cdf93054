#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/onednn_tensors.hpp"
#include "unitvar/row_extent.hpp"
#include "unitvar/schedule.hpp"

namespace unitvar::bench {

/// Rows as oneDNN sees them.
struct OnednnRowProblem : OnednnTensors {
  RowExtent extent;
};

/// oneDNN's layer normalization on the problem's own memory, on as many threads as OpenMP is set to use. Its forward
/// saves the statistics that its backward reads.
class OnednnRows {
 public:
  explicit OnednnRows(OnednnRowProblem problem);
  ~OnednnRows();
  OnednnRows(const OnednnRows&) = delete;
  OnednnRows& operator=(const OnednnRows&) = delete;

  void run(Pass pass);
  [[nodiscard]] static std::string name(Pass) { return "rows"; }
  [[nodiscard]] std::span<const float> dgamma() const;
  [[nodiscard]] std::span<const float> dbeta() const;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace unitvar::bench
