#pragma once
#include <string>
#include <vector>

#include "bench/baseline.hpp"
#include "bench/row.hpp"
#include "bench/verdict.hpp"

/// What `unitvar bench --compare` prints: ratios beside those of the file, and no times.
namespace unitvar::bench {

/// The line above the first table.
[[nodiscard]] std::string comparison_title(const Baseline& before);

/// The table's head, and a row beside its old self; with the columns of oneDNN if either has it.
[[nodiscard]] std::string comparison_header(const Plan& plan, const Baseline& before);
[[nodiscard]] std::string comparison_line(const Row& row, const Plan& plan, const Baseline& before);

/// Geometric means of now over then for each operation, layout, dtype, thread count and pass; then the rows that stand
/// here alone, or in the file alone.
[[nodiscard]] std::string comparison_totals(const std::vector<Row>& rows, const Baseline& before);

/// "batch_norm 6x5x4x3 channels_first f32 forward, 1 thread: fraction is 0.31, 0.3, 0.32, was 0.5".
[[nodiscard]] std::string fall_text(const Fall& fall);

}  // namespace unitvar::bench
