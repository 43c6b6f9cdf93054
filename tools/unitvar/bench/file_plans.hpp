#pragma once
#include <set>
#include <string>
#include <vector>

#include "bench/baseline.hpp"

/// What to measure of the rows of an earlier file.
namespace unitvar::bench {

/// The rows that options choose. `asked` is what they mean without a file; of it, those count that are `given`. Empty
/// if they ask for something that the file does not have.
[[nodiscard]] std::vector<OldRow> chosen_rows(const std::vector<OldRow>& rows, const Plan& asked,
                                              const std::set<std::string>& given);

/// One plan for each operation and suite of the file: its rows and no others, but for those with more threads than this
/// machine has processors. `common` has what all plans share. Throws UsageError if nothing is left.
[[nodiscard]] std::vector<Plan> plans_of(const Baseline& before, const Plan& common, const Machine& here);

}  // namespace unitvar::bench
