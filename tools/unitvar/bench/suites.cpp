#include "bench/suites.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string_view>

#include "common/number.hpp"

namespace unitvar::bench {
namespace {

namespace fs = std::filesystem;
using tool::Failure;

constexpr std::string_view header = "n,c,d,h,w,count";
constexpr std::array<const char*, 6> columns = {"n", "c", "d", "h", "w", "count"};

std::vector<std::string_view> cells_of(std::string_view line) {
  std::vector<std::string_view> cells;
  for (std::size_t begin = 0; begin <= line.size();) {
    const std::size_t end = std::min(line.find(',', begin), line.size());
    cells.push_back(line.substr(begin, end - begin));
    begin = end + 1;
  }
  return cells;
}

Shape parse_row(const std::string& place, std::string_view line) {
  const auto cells = cells_of(line);
  if (cells.size() != columns.size()) {
    throw Failure("{}: '{}' has {} values, want {}: {}", place, line, cells.size(), columns.size(), header);
  }
  std::array<std::int64_t, columns.size()> values{};
  for (std::size_t k = 0; k < columns.size(); ++k) {
    const std::string what = fmt::format("{}: {}", place, columns.at(k));
    values.at(k) = tool::parse_number<std::int64_t, Failure>(what, cells[k]);
    if (values.at(k) < 1) throw Failure("{} is {}, want at least 1", what, values.at(k));
  }
  const Shape shape{values[0], values[1], values[2], values[3], values[4], values[5]};
  try {
    check_extent("size", extent_of(shape, Layout::channels_first), sizeof(double));
  } catch (const std::exception&) {
    throw Failure("{}: {} is more memory than can be counted, want less than 2^63 bytes", place, shape_text(shape));
  }
  return shape;
}

// Spreadsheets put it before UTF-8.
constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

// A line without its end, be it \n or \r\n.
bool next_line(std::istream& file, std::string& line) {
  if (!std::getline(file, line)) return false;
  if (line.ends_with('\r')) line.pop_back();
  return true;
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t") == std::string_view::npos; }

std::ifstream open_file(const fs::path& path) {
  if (fs::is_directory(path)) throw Failure("--shapes {} is a folder, want a CSV file", path.string());
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Failure("cannot open --shapes {}: {}", path.string(), std::strerror(errno));
  return file;
}

}  // namespace

Suite read_suite(const fs::path& path) {
  std::ifstream file = open_file(path);
  std::string line;
  if (!next_line(file, line)) throw Failure("{}:1: the file is empty, want the header {}", path.string(), header);
  if (line.starts_with(byte_order_mark)) line.erase(0, byte_order_mark.size());
  if (line != header) throw Failure("{}:1: the header is '{}', want '{}'", path.string(), line, header);
  Suite suite{path.stem().string(), {}};
  for (int number = 2; next_line(file, line); ++number) {
    if (!is_blank(line)) suite.shapes.push_back(parse_row(fmt::format("{}:{}", path.string(), number), line));
  }
  if (suite.shapes.empty()) throw Failure("{}:2: no shape below the header, want at least 1", path.string());
  return suite;
}

Suite find_suite(const std::string& name_or_path) {
  const std::vector<Suite>& suites = built_in_suites();
  const auto found = std::ranges::find(suites, name_or_path, &Suite::name);
  if (found != suites.end()) return *found;
  if (name_or_path.find_first_of("./") == std::string::npos && !fs::exists(name_or_path)) {
    std::vector<std::string> names;
    names.reserve(suites.size());
    for (const Suite& suite : suites) names.push_back(suite.name);
    throw tool::UsageError("--shapes is '{}', want {} or a CSV file", name_or_path, fmt::join(names, ", "));
  }
  return read_suite(name_or_path);
}

}  // namespace unitvar::bench
