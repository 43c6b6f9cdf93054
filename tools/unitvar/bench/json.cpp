#include <fmt/chrono.h>

#include <nlohmann/json.hpp>

#include "bench/machine.hpp"
#include "bench/onednn.hpp"
#include "bench/report.hpp"
#include "unitvar/version.hpp"

namespace unitvar::bench {
namespace {

using nlohmann::ordered_json;

ordered_json milliseconds(const std::optional<Spread>& spread) {
  if (!spread) return nullptr;
  return spread->median * 1e3;
}

ordered_json number(const std::optional<double>& value) {
  if (!value) return nullptr;
  return *value;
}

ordered_json quartiles(const std::optional<Spread>& spread) {
  if (!spread) return nullptr;
  return {spread->low * 1e3, spread->high * 1e3};
}

ordered_json row_json(const Row& row) {
  const Shape& s = row.shape;
  ordered_json object;
  object["op"] = op_name(row.op);
  if (row.op == Op::group_norm) object["groups"] = row.groups;
  object["suite"] = row.suite;
  object["shape"] = {s.n, s.c, s.d, s.h, s.w};
  object["count"] = s.count;
  object["layout"] = layout_name(row.layout);
  object["dtype"] = row.dtype;
  object["pass"] = pass_name(row.pass);
  object["threads"] = row.threads;
  object["isa"] = isa_name(row.isa);
  object["walk"] = row.walk == Walk::streamed ? "streamed" : "resident";
  object["rounds"] = row.rounds;
  object["disturbed"] = row.disturbed;
  object["ms"] = milliseconds(row.ours);
  object["ms_quartiles"] = quartiles(row.ours);
  object["gbps"] = row.gbps();
  object["roofline_ms"] = milliseconds(row.roofline);
  object["roofline_ms_quartiles"] = quartiles(row.roofline);
  object["roofline_kernel"] = row.roofline_kernel;
  object["roofline_fraction"] = row.roofline_fraction();
  object["in_double"] = number(row.in_double);
  object["bare_loop_ms"] = milliseconds(row.bare_loop);
  object["onednn_same_ms"] = milliseconds(row.onednn_same);
  object["onednn_same_ms_quartiles"] = quartiles(row.onednn_same);
  object["onednn_same_ratio"] = number(row.same_ratio());
  object["onednn_best_ms"] = milliseconds(row.onednn_best);
  object["onednn_best_ms_quartiles"] = quartiles(row.onednn_best);
  object["onednn_best_ratio"] = number(row.best_ratio());
  object["onednn_best_format"] = row.onednn_best ? ordered_json(row.onednn_best_format) : ordered_json(nullptr);
  return object;
}

// The day and time, in the form of ISO 8601.
std::string now() {
  const auto seconds = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(seconds));
}

ordered_json machine_json(const Machine& machine) {
  return {{"processor", machine.processor},   {"isa", isa_name(machine.isa)}, {"l1", machine.l1}, {"l2", machine.l2},
          {"processors", machine.processors}, {"kind", kind_of(machine)}};
}

}  // namespace

std::string json_text(const std::vector<Row>& rows, const Plan& plan, bool complete) {
  ordered_json object;
  object["unitvar"] = unitvar::version;
  object["date"] = now();
  object["machine"] = machine_json(this_machine(plan.isa));
  object["onednn"] = plan.against_onednn ? ordered_json(onednn_version()) : ordered_json(nullptr);
  object["complete"] = complete;
  // A row a line: two files are then compared line by line.
  std::string text = object.dump(1);
  text.resize(text.rfind('\n'));
  text += ",\n \"rows\": [";
  for (const Row& row : rows) text += (&row == rows.data() ? "\n  " : ",\n  ") + row_json(row).dump();
  return text + "\n ]\n}\n";
}

}  // namespace unitvar::bench
