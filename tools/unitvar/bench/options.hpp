#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "bench/op.hpp"
#include "bench/row_key.hpp"
#include "bench/suites.hpp"
#include "unitvar/options.hpp"
#include "unitvar/schedule.hpp"

namespace unitvar::bench {

inline constexpr int max_threads = 1'024;

[[nodiscard]] std::string_view pass_name(Pass pass);

/// The command line of `unitvar bench`.
struct Request {
  std::string op = "batch_norm";
  std::optional<std::string> shapes;   ///< a built-in suite or a CSV file
  std::vector<std::string> shape;      ///< single shapes; with neither of the two: a suite that suits the op
  std::optional<std::int64_t> groups;  ///< of group_norm only; none: 32
  std::optional<std::vector<std::string>> layouts;  ///< of images only; none: channels_first
  std::vector<std::string> dtypes = {"f32"};
  std::vector<std::string> passes = {"forward", "backward", "inference"};
  std::vector<int> threads = {0};  ///< 0: as many as the machine has
  std::string isa = "automatic";
  std::optional<std::string> against;     ///< "onednn"
  int repeat = 0;                         ///< rounds; 0: as many as a few seconds hold
  std::optional<std::string> json, plot;  ///< files to write
  bool explain = false;
  std::optional<std::string> compare;  ///< a file of an earlier --json
  std::set<std::string> given;         ///< of the options from --op to --threads, those that are there
};

/// What the options mean, checked.
struct Plan {
  Op op{};
  std::int64_t groups = 0;  ///< of each sample; 0: as many as there are channels
  Suite suite;
  std::vector<Layout> layouts;
  std::vector<std::string> dtypes;
  std::vector<Pass> passes;
  std::vector<int> threads;
  Isa requested_isa{};  ///< what the library is asked for
  Isa isa{};            ///< what it runs
  bool against_onednn = false;
  int repeat = 0;
  std::optional<std::set<RowKey>> only = {};  ///< of all combinations of the above, those to measure; none: all
};

/// Throws UsageError naming the option, the value seen and the value wanted; Failure where a file is at fault.
[[nodiscard]] Plan make_plan(const Request& request);

/// The same without what says which rows to measure.
[[nodiscard]] Plan make_common_plan(const Request& request);

/// Throws for files that cannot be written, or that are two in one.
void check_files(const Request& request);

}  // namespace unitvar::bench
