#include "bench/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <iterator>

#include "bench/baseline.hpp"
#include "bench/comparison.hpp"
#include "bench/dtypes.hpp"
#include "bench/file_plans.hpp"
#include "bench/measure.hpp"
#include "bench/onednn.hpp"
#include "bench/plot.hpp"
#include "bench/report.hpp"
#include "bench/verdict.hpp"
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
      const bool possible = measurable(plan.op, shape, pass);
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

Explanation explain_call(const Plan& plan, const Shape& shape, Layout layout, std::int64_t bytes, Pass pass,
                         const Options& options) {
  if (is_of_rows(plan.op)) return explain_rows({shape.n, shape.c}, bytes, pass, options);
  if (is_of_groups(plan.op)) return explain_groups(sample_groups(shape, layout, plan.groups), bytes, pass, options);
  return explain(extent_of(shape, layout), bytes, pass, options);
}

void print_explanations(const Plan& plan) {
  for_each_tensor(plan, [&](const Shape& shape, Layout layout, const std::string& dtype) {
    for (const int threads : plan.threads) {
      for (const Pass pass : plan.passes) {
        const Explanation how = explain_call(plan, shape, layout, bytes_per_element(dtype), pass,
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

/// What is measured, and with what it is compared, if with anything.
struct Task {
  std::vector<Plan> plans;
  std::optional<Baseline> before;
  std::FILE* table;
};

std::string head_of(const Plan& plan, const Task& task) {
  if (!task.before) return introduction(plan) + table_header(plan.against_onednn);
  return fmt::format("{}, suite {}, on {}, ", op_name(plan.op), plan.suite.name, isa_name(plan.isa)) +
         comparison_title(*task.before) + comparison_header(plan, *task.before);
}

std::string line_of(const Row& row, const Plan& plan, const Task& task) {
  return task.before ? comparison_line(row, plan, *task.before) : table_line(row, plan.against_onednn);
}

// A row takes seconds: whoever watches sees it at once.
void measure_plan(const Plan& plan, const Task& task, std::vector<Row>& rows) {
  for_each_tensor(plan, [&](const Shape& shape, Layout layout, const std::string& dtype) {
    tool::Interrupt::check();
    if (wanted_rows(plan, shape, layout, dtype).empty()) return;
    measure_shape(plan, shape, layout, dtype, [&](const Row& row) {
      tool::print(line_of(row, plan, task), task.table);
      rows.push_back(row);
    });
  });
}

void measure_all(const Task& task, std::vector<Row>& rows) {
  for (const Plan& plan : task.plans) {
    tool::print(head_of(plan, task), task.table);
    measure_plan(plan, task, rows);
  }
}

std::vector<Row> measure_again(const Task& task, const std::set<RowKey>& keys) {
  tool::print(fmt::format("\nagain, what fell by more than 15 % and by more than its quartiles: {}\n", keys.size()),
              task.table);
  std::vector<Row> rows;
  for (Plan plan : task.plans) {
    std::set<RowKey> of_plan;
    std::ranges::copy_if(keys, std::inserter(of_plan, of_plan.end()), [&](const RowKey& key) {
      return key.op == plan.op && (!plan.only || plan.only->contains(key));
    });
    plan.only = std::move(of_plan);
    measure_plan(plan, task, rows);
  }
  return rows;
}

// What fell three times; nothing where nothing is compared.
std::vector<Fall> find_falls(const Task& task, std::vector<Row>& rows) {
  if (!task.before) return {};
  const bool same_onednn = task.plans.front().against_onednn && task.before->onednn == onednn_version();
  return confirmed_falls(rows, *task.before, same_onednn ? Peers::count : Peers::do_not_count,
                         [&](const std::set<RowKey>& keys) { return measure_again(task, keys); });
}

/// How measuring ended.
struct Outcome {
  int signal = 0;  ///< that came before all was measured
  std::vector<Fall> falls;
};

Outcome measure_until_signalled(const Task& task, std::vector<Row>& rows) {
  try {
    measure_all(task, rows);
    return {0, find_falls(task, rows)};
  } catch (const tool::Interrupted&) {
    tool::warn("unitvar bench: stopped after {} rows\n", rows.size());
    return {tool::Interrupt::signal(), {}};
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

// Those of the file's rows, all or those that options choose. If the file does not have what they ask for, they mean
// what they mean without it.
std::vector<Plan> plans_beside(Baseline& before, const Request& request) {
  const Plan common = make_common_plan(request);
  const Machine here = this_machine(common.isa);
  require_same_kind(before, here);
  if (!request.given.empty()) {
    const Plan asked = make_plan(request);
    std::vector<OldRow> chosen = chosen_rows(before.rows, asked, request.given);
    if (chosen.empty()) return {asked};
    before.rows = std::move(chosen);
  }
  return plans_of(before, common, here);
}

Task make_task(const Request& request) {
  Task task;
  // What reads the JSON or the picture wants nothing else.
  const bool to_output = request.json == tool::standard_output || request.plot == tool::standard_output;
  task.table = to_output ? stderr : stdout;
  if (request.compare && !request.compare->empty()) task.before = read_baseline(*request.compare);
  task.plans = task.before ? plans_beside(*task.before, request) : std::vector{make_plan(request)};
  check_files(request);
  if (task.before && wants_onednn(*task.before)) {
    for (Plan& plan : task.plans) plan.against_onednn = true;
  }
  if (request.plot && task.plans.size() > 1) {
    throw tool::UsageError("--plot draws one operation and suite, and --compare {} holds {}, want --op and --shapes",
                           *request.compare, task.plans.size());
  }
  return task;
}

void report(const Request& request, const Task& task, const std::vector<Row>& rows, const Outcome& outcome) {
  const Plan& plan = task.plans.front();
  tool::print(task.before ? comparison_totals(rows, *task.before) : totals(rows, plan.suite), task.table);
  note_disturbance(rows);
  if (!outcome.falls.empty()) {
    tool::warn("unitvar bench: what fell by more than 15 % and by more than its quartiles, three times:\n");
  }
  for (const Fall& fall : outcome.falls) tool::warn("  {}\n", fall_text(fall));
  if (request.json) tool::write_file(*request.json, json_text(rows, plan, outcome.signal == 0));
  if (request.plot) draw_bars(*request.plot, rows, plan);
}

}  // namespace

int run(const Request& request) {
  if (is_one_of_many()) return 0;
  const Task task = make_task(request);
  if (!task.plans.front().only) note_unmeasurable(task.plans.front());
  if (request.explain) {
    print_explanations(task.plans.front());
    return 0;
  }
  std::vector<Row> rows;
  const tool::Interrupt interrupt;
  const Outcome outcome = measure_until_signalled(task, rows);
  if (!rows.empty()) report(request, task, rows, outcome);
  if (outcome.signal != 0) return 128 + outcome.signal;
  return outcome.falls.empty() ? 0 : 1;
}

}  // namespace unitvar::bench
