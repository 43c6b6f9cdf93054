#include "bench/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "bench/dtypes.hpp"
#include "bench/measure.hpp"
#include "bench/onednn.hpp"
#include "bench/plot.hpp"
#include "bench/report.hpp"
#include "common/failure.hpp"
#include "common/interrupt.hpp"
#include "common/launch.hpp"
#include "common/output_file.hpp"
#include "common/standard_streams.hpp"

namespace unitvar::bench {
namespace {

// Calls visit(shape, layout, dtype) for each tensor of the plan.
template <class Visit>
void for_each_tensor(const Plan& plan, const Visit& visit) {
  for (const std::string& dtype : plan.dtypes) {
    for (const Layout layout : plan.layouts) {
      for (const Shape& shape : plan.suite.shapes) visit(shape, layout, dtype);
    }
  }
}

// One value per channel has no batch variance.
void note_unmeasurable(const Plan& plan) {
  bool any = false;
  for (const Shape& shape : plan.suite.shapes) {
    for (const Pass pass : plan.passes) {
      const bool possible = measurable(plan, shape, pass);
      any = any || possible;
      if (possible) continue;
      tool::warn("unitvar bench: {} {} left out: 1 value per channel, want at least 2\n", shape_text(shape),
                 pass_name(pass));
    }
  }
  if (!any) throw tool::UsageError("no shape has the 2 values per channel that training needs, want one that has");
}

std::int64_t bytes_per_element(const std::string& dtype) {
  std::int64_t bytes = 0;
  with_dtype(dtype, [&]<class T>(std::type_identity<T>) { bytes = sizeof(T); });
  return bytes;
}

void print_explanations(const Plan& plan) {
  for_each_tensor(plan, [&](const Shape& shape, Layout layout, const std::string& dtype) {
    for (const int threads : plan.threads) {
      for (const Pass pass : plan.passes) {
        const Explanation how = explain(extent_of(shape, layout), bytes_per_element(dtype), pass,
                                        {.cpu = {.threads = threads, .isa = plan.requested_isa}});
        tool::print(
            fmt::format("{} {} {} {}: {}\n", shape_text(shape), layout_name(layout), dtype, pass_name(pass), how.text));
      }
    }
  });
}

std::string introduction(const Plan& plan) {
  std::string text = fmt::format("unitvar {} on {}", op_name(plan.op), isa_name(plan.isa));
  if (plan.against_onednn) text += fmt::format(", against {}", onednn_version());
  return text + "; times in ms, medians; ratio: times of ours\n";
}

// A row takes seconds: whoever watches sees it at once.
void measure_all(const Plan& plan, std::FILE* table, std::vector<Row>& rows) {
  tool::print(introduction(plan) + table_header(plan.against_onednn), table);
  for_each_tensor(plan, [&](const Shape& shape, Layout layout, const std::string& dtype) {
    tool::Interrupt::check();
    measure_shape(plan, shape, layout, dtype, [&](const Row& row) {
      tool::print(table_line(row, plan.against_onednn), table);
      rows.push_back(row);
    });
  });
}

// The signal that came before all was measured, or 0.
int measure_until_signalled(const Plan& plan, std::FILE* table, std::vector<Row>& rows) {
  try {
    measure_all(plan, table, rows);
    return 0;
  } catch (const tool::Interrupted&) {
    tool::warn("unitvar bench: stopped after {} rows\n", rows.size());
    return tool::Interrupt::signal();
  }
}

// Numbers from a busy machine look like any others.
void note_disturbance(const std::vector<Row>& rows) {
  const auto disturbed = std::ranges::count_if(rows, [](const Row& row) { return row.disturbed > 0.25; });
  if (disturbed == 0) return;
  tool::warn("unitvar bench: in {} of {} rows other programs took a processor in over a quarter of the turns\n",
             disturbed, rows.size());
}

// Several processes would measure each other. One tells for all, and the others do not hinder it.
bool is_one_of_many() {
  const auto launch = tool::launched_by_mpi();
  if (!launch || launch->size == 1) return false;
  if (launch->rank > 0) return true;
  throw tool::UsageError("started as {} processes by an MPI launcher, want 1: it measures the whole machine",
                         launch->size);
}

}  // namespace

int run(const Request& request) {
  if (is_one_of_many()) return 0;
  const Plan plan = make_plan(request);
  note_unmeasurable(plan);
  if (request.explain) {
    print_explanations(plan);
    return 0;
  }
  // What reads the JSON or the picture wants nothing else.
  const bool to_output = request.json == tool::standard_output || request.plot == tool::standard_output;
  std::FILE* const table = to_output ? stderr : stdout;
  std::vector<Row> rows;
  const tool::Interrupt interrupt;
  const int signal = measure_until_signalled(plan, table, rows);
  const int code = signal == 0 ? 0 : 128 + signal;
  if (rows.empty()) return code;
  tool::print(totals(rows, plan.suite), table);
  note_disturbance(rows);
  if (request.json) tool::write_file(*request.json, json_text(rows, plan, signal == 0));
  if (request.plot) draw_bars(*request.plot, rows, plan);
  return code;
}

}  // namespace unitvar::bench
