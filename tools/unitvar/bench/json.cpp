#include <nlohmann/json.hpp>

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

ordered_json quartiles(const std::optional<Spread>& spread) {
  if (!spread) return nullptr;
  return {spread->low * 1e3, spread->high * 1e3};
}

ordered_json row_json(const Row& row) {
  const Shape& s = row.shape;
  ordered_json object;
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
  object["in_double"] = row.in_double ? ordered_json(*row.in_double) : ordered_json(nullptr);
  object["bare_loop_ms"] = milliseconds(row.bare_loop);
  object["onednn_same_ms"] = milliseconds(row.onednn_same);
  object["onednn_same_ms_quartiles"] = quartiles(row.onednn_same);
  object["onednn_best_ms"] = milliseconds(row.onednn_best);
  object["onednn_best_ms_quartiles"] = quartiles(row.onednn_best);
  object["onednn_best_format"] = row.onednn_best ? ordered_json(row.onednn_best_format) : ordered_json(nullptr);
  return object;
}

}  // namespace

std::string json_text(const std::vector<Row>& rows, const Plan& plan, bool complete) {
  ordered_json object;
  object["unitvar"] = unitvar::version;
  object["op"] = op_name(plan.op);
  if (plan.op == Op::group_norm) object["groups"] = plan.groups;
  object["suite"] = plan.suite.name;
  object["onednn"] = plan.against_onednn ? ordered_json(onednn_version()) : ordered_json(nullptr);
  object["complete"] = complete;
  object["rows"] = ordered_json::array();
  for (const Row& row : rows) object["rows"].push_back(row_json(row));
  return object.dump(1) + "\n";
}

}  // namespace unitvar::bench
