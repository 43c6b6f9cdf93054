#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/onednn_tensors.hpp"
#include "bench/rival.hpp"
#include "unitvar/schedule.hpp"

namespace unitvar::bench {

/// Whether this program was built with oneDNN, and which: "oneDNN 2.6.3".
[[nodiscard]] bool onednn_available();
[[nodiscard]] std::string onednn_version();
/// Whether it normalizes tensors of that dtype.
[[nodiscard]] bool onednn_supports(std::string_view dtype);

/// A problem as oneDNN sees it; statistics are floats too.
struct OnednnProblem : OnednnTensors {
  Shape shape;
  Layout layout;
  std::vector<float> running_mean, running_var, mean, var;
};

/// oneDNN at work in one memory format.
struct OnednnRival {
  Rival rival;          ///< its name is that of the format, e.g. "nhwc"
  bool same_layout;     ///< as the problem: it works on the very memory of the problem
  Work fetch;           ///< brings its output to the problem's `out`, for the check
  const float* dgamma;  ///< where the backward pass leaves these
  const float* dbeta;
};

/// Holds a copy of the problem's inputs for each other format: nchw, nhwc, and the blocked ones that suit the machine's
/// vectors (nChw16c, nChw8c).
class Onednn {
 public:
  explicit Onednn(OnednnProblem problem);
  ~Onednn();
  Onednn(const Onednn&) = delete;
  Onednn& operator=(const Onednn&) = delete;

  /// The statistics that its backward pass reads; what the library saved, rounded to float.
  void set_statistics(const std::vector<double>& mean, const std::vector<double>& var);

  /// That of the same layout first; formats for which oneDNN has only its reference implementation are left out
  /// elsewhere. Works on as many threads as OpenMP is set to use. The rivals live as long as this object.
  [[nodiscard]] std::vector<OnednnRival> rivals(Pass pass) const;

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace unitvar::bench
