#include "bench/baseline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "bench/dtypes.hpp"
#include "bench/json_field.hpp"
#include "bench/onednn.hpp"
#include "common/failure.hpp"
#include "common/standard_streams.hpp"
#include "unitvar/error.hpp"

namespace unitvar::bench {
namespace {

namespace fs = std::filesystem;
using tool::Failure;
using tool::UsageError;

constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();

std::ifstream open_baseline(const fs::path& path) {
  if (fs::is_directory(path)) throw Failure("--compare {} is a folder, want a file of --json", path.string());
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Failure("cannot open --compare {}: {}", path.string(), std::strerror(errno));
  return file;
}

// The library's message without the name of its exception, and not longer than a line.
std::string reason_of(const nlohmann::json::exception& error) {
  const std::string text = error.what();
  const std::size_t end_of_name = text.find("] ");
  return text.substr(end_of_name == std::string::npos ? 0 : end_of_name + 2, 160);
}

nlohmann::json parse_file(const fs::path& path) {
  std::ifstream file = open_baseline(path);
  try {
    return nlohmann::json::parse(file);
  } catch (const nlohmann::json::exception& error) {
    throw Failure("{}: {}; want the JSON that unitvar bench --json writes", path.string(), reason_of(error));
  }
}

Isa isa_of(const JsonField& field) {
  try {
    return isa_from_name(field.text());
  } catch (const Error&) {
    field.refuse("an instruction set of --isa");
  }
}

Machine machine_of(const JsonField& machine) {
  return {machine.member("processor").text(), isa_of(machine.member("isa")), machine.member("l1").whole(0, most),
          machine.member("l2").whole(0, most), static_cast<int>(machine.member("processors").whole(1, 1 << 20))};
}

Shape shape_of(const JsonField& row, Op op) {
  const JsonField field = row.member("shape");
  const auto axes = field.elements();
  if (axes.size() != 5) field.refuse("5 axes: n, c, d, h, w");
  Shape shape;
  std::int64_t* const values[] = {&shape.n, &shape.c, &shape.d, &shape.h, &shape.w};
  for (std::size_t k = 0; k < axes.size(); ++k) *values[k] = axes[k].whole(1, most);
  try {
    check_extent("size", extent_of(shape, Layout::channels_first), sizeof(double));
  } catch (const Error&) {
    field.refuse("less than 2^63 bytes");
  }
  if (is_of_rows(op) && shape.points() > 1) field.refuse(fmt::format("rows of one axis with {}", op_name(op)));
  return shape;
}

Layout layout_of(const JsonField& row, Op op) {
  static const std::vector<std::string> names = {"channels_first", "channels_last"};
  const JsonField field = row.member("layout");
  const Layout layout = field.choice(names) == 0 ? Layout::channels_first : Layout::channels_last;
  if (is_of_rows(op) && layout != Layout::channels_last)
    field.refuse(fmt::format("channels_last with {}", op_name(op)));
  return layout;
}

Pass pass_of(const JsonField& row, Op op) {
  static const std::vector<std::string> all = {"forward", "backward", "inference"}, training = {"forward", "backward"};
  constexpr Pass passes[] = {Pass::forward, Pass::backward, Pass::inference};
  return passes[row.member("pass").choice(op == Op::batch_norm ? all : training)];
}

std::int64_t groups_of(const JsonField& row, Op op, const Shape& shape) {
  if (op != Op::group_norm) return 0;
  const JsonField field = row.member("groups");
  const std::int64_t groups = field.whole(1, most);
  if (shape.c % groups != 0) field.refuse(fmt::format("a divisor of the {} channels", shape.c));
  return groups;
}

std::optional<double> ratio_of(const JsonField& row, const char* name) {
  if (!row.has(name) || row.member(name).is_null()) return std::nullopt;
  return row.member(name).number();
}

OldRow old_row_of(const JsonField& row) {
  const Op op = static_cast<Op>(row.member("op").choice(op_names()));
  const Shape shape = shape_of(row, op);
  const std::string dtype = dtype_names()[row.member("dtype").choice(dtype_names())];
  const int threads = static_cast<int>(row.member("threads").whole(1, max_threads));
  return {make_key(op, groups_of(row, op, shape), shape, layout_of(row, op), dtype, pass_of(row, op), threads),
          row.has("count") ? row.member("count").whole(1, most) : 1,
          row.member("suite").text(),
          row.member("roofline_fraction").number(),
          ratio_of(row, "onednn_same_ratio"),
          ratio_of(row, "onednn_best_ratio")};
}

std::optional<std::string> onednn_of(const JsonField& file) {
  const JsonField field = file.member("onednn");
  if (field.is_null()) return std::nullopt;
  return field.text();
}

}  // namespace

const OldRow* Baseline::find(const RowKey& key) const {
  const auto found = std::ranges::find(rows, key, &OldRow::key);
  return found == rows.end() ? nullptr : &*found;
}

Baseline read_baseline(const fs::path& path) {
  const nlohmann::json json = parse_file(path);
  const JsonField file(json, path.string());
  Baseline before{path.string(), file.member("date").text(), machine_of(file.member("machine")), onednn_of(file), {}};
  const JsonField rows = file.member("rows");
  for (const JsonField& row : rows.elements()) before.rows.push_back(old_row_of(row));
  if (before.rows.empty()) rows.refuse("at least 1 row");
  return before;
}

void require_same_kind(const Baseline& before, const Machine& here) {
  if (kind_of(before.machine) == kind_of(here)) return;
  throw UsageError("--compare {} is of {}, {}; want a file of this kind of machine: {}", before.path,
                   before.machine.processor, kind_of(before.machine), kind_of(here));
}

bool wants_onednn(const Baseline& before) {
  if (!before.onednn || onednn_available()) return before.onednn.has_value();
  tool::warn("unitvar bench: {} has ratios to {}, which this program was built without: they are not measured\n",
             before.path, *before.onednn);
  return false;
}

}  // namespace unitvar::bench
