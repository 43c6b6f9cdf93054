#pragma once
#include <string>
#include <vector>

#include "bench/row.hpp"

namespace unitvar::bench {

/// The table, line by line, for a terminal; with the columns of oneDNN if it runs.
[[nodiscard]] std::string table_header(bool onednn);
[[nodiscard]] std::string table_line(const Row& row, bool onednn);

/// Milliseconds with as many digits as they are worth.
[[nodiscard]] std::string ms_text(double seconds);

/// The lines below the table, for each layout, dtype and thread count. They give geometric means, the worst fraction,
/// and the time of one step of the suite. A step weights the shapes by their counts.
[[nodiscard]] std::string totals(const std::vector<Row>& rows, const Suite& suite);

/// An object with version, date, machine, the version of oneDNN, whether these are all rows that were asked for, and
/// the rows, one a line. Times in ms; what was not measured is null.
[[nodiscard]] std::string json_text(const std::vector<Row>& rows, const Plan& plan, bool complete);

}  // namespace unitvar::bench
