#include <fmt/format.h>

#include "bench/report.hpp"

namespace unitvar::bench {
namespace {

// Half the distance of the quartiles, as a part of the median.
std::string spread_text(const Spread& spread) {
  return fmt::format("{:.1f}%", 50 * (spread.high - spread.low) / spread.median);
}

// Three digits, since what matters may be one channel of thousands.
std::string share_text(const std::optional<double>& share) {
  return share ? fmt::format("{:.3g}%", 100 * *share) : "-";
}

std::string onednn_cells(const Row& row) {
  if (!row.onednn_same) return fmt::format(" {:>10} {:>6} {:>10} {:>6}", "-", "-", "-", "-");
  return fmt::format(" {:>10} {:>6.2f} {:>10} {:>6.2f}  {}", ms_text(row.onednn_same->median), *row.same_ratio(),
                     ms_text(row.onednn_best->median), *row.best_ratio(), row.onednn_best_format);
}

}  // namespace

std::string ms_text(double seconds) {
  const double value = seconds * 1e3;
  const int digits = value < 0.1 ? 5 : value < 10 ? 3 : 2;
  return fmt::format("{:.{}f}", value, digits);
}

std::string table_header(bool onednn) {
  std::string text =
      fmt::format("{:<18} {:<14} {:<5} {:<9} {:>3} {:>9} {:>6} {:>7} {:>9} {:>8} {:>7}", "shape", "layout", "dtype",
                  "pass", "thr", "ms", "+-", "GB/s", "roofline", "fraction", "double");
  if (onednn) text += fmt::format(" {:>10} {:>6} {:>10} {:>6}  {}", "oneDNN", "ratio", "its best", "ratio", "format");
  return text + "\n";
}

std::string table_line(const Row& row, bool onednn) {
  std::string text = fmt::format("{:<18} {:<14} {:<5} {:<9} {:>3} {:>9} {:>6} {:>7.2f} {:>9} {:>8.2f} {:>7}",
                                 shape_text(row.shape), layout_name(row.layout), row.dtype, pass_name(row.pass),
                                 row.threads, ms_text(row.ours.median), spread_text(row.ours), row.gbps(),
                                 ms_text(row.roofline.median), row.roofline_fraction(), share_text(row.in_double));
  if (onednn) text += onednn_cells(row);
  if (row.bare_loop) text += fmt::format("  bare loop {}", ms_text(row.bare_loop->median));
  return text + "\n";
}

}  // namespace unitvar::bench
