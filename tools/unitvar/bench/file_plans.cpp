#include "bench/file_plans.hpp"

#include <algorithm>
#include <functional>

#include "bench/measure.hpp"
#include "common/failure.hpp"

namespace unitvar::bench {
namespace {

using Matches = std::function<bool(const OldRow&)>;

// For each value that an option asks for, whether a row has it.
template <class Value, class Of>
std::vector<Matches> any_of(const std::vector<Value>& values, const Of& of) {
  std::vector<Matches> matches;
  matches.reserve(values.size());
  for (const Value& value : values) matches.push_back([value, of](const OldRow& row) { return of(row) == value; });
  return matches;
}

std::vector<Shape> shapes_of(const Plan& asked) {
  std::vector<Shape> shapes = asked.suite.shapes;
  std::ranges::transform(shapes, shapes.begin(), counted_once);
  return shapes;
}

// A list for each option that is given.
std::vector<std::vector<Matches>> demands_of(const Plan& asked, const std::set<std::string>& given) {
  std::vector<std::vector<Matches>> demands;
  const auto add = [&](const char* name, std::vector<Matches> matches) {
    if (given.contains(name)) demands.push_back(std::move(matches));
  };
  add("--op", any_of(std::vector{asked.op}, [](const OldRow& row) { return row.key.op; }));
  add("--groups", any_of(std::vector{asked.groups}, [](const OldRow& row) { return row.key.groups; }));
  const auto shape = [](const OldRow& row) { return row.key.shape; };
  add(given.contains("--shapes") ? "--shapes" : "--shape", any_of(shapes_of(asked), shape));
  add("--layout", any_of(asked.layouts, [](const OldRow& row) { return row.key.layout; }));
  add("--dtype", any_of(asked.dtypes, [](const OldRow& row) { return row.key.dtype; }));
  add("--pass", any_of(asked.passes, [](const OldRow& row) { return row.key.pass; }));
  add("--threads", any_of(asked.threads, [](const OldRow& row) { return row.key.threads; }));
  return demands;
}

template <class Value>
void add_new(std::vector<Value>& values, const Value& value) {
  if (std::ranges::find(values, value) == values.end()) values.push_back(value);
}

// That of the row's operation and suite, which may be a new one.
Plan& plan_of(std::vector<Plan>& plans, const OldRow& row, const Plan& common) {
  const auto found = std::ranges::find_if(plans, [&](const Plan& plan) {
    return plan.op == row.key.op && plan.groups == row.key.groups && plan.suite.name == row.suite;
  });
  if (found != plans.end()) return *found;
  plans.push_back(common);
  Plan& plan = plans.back();
  plan.op = row.key.op;
  plan.groups = row.key.groups;
  plan.suite.name = row.suite;
  plan.only.emplace();
  return plan;
}

void add_row(Plan& plan, const OldRow& row) {
  Shape shape = row.key.shape;
  shape.count = row.count;
  add_new(plan.suite.shapes, shape);
  add_new(plan.layouts, row.key.layout);
  add_new(plan.dtypes, row.key.dtype);
  add_new(plan.passes, row.key.pass);
  add_new(plan.threads, row.key.threads);
  plan.only->insert(row.key);
}

}  // namespace

std::vector<OldRow> chosen_rows(const std::vector<OldRow>& rows, const Plan& asked,
                                const std::set<std::string>& given) {
  std::vector<OldRow> chosen = rows;
  const auto demands = demands_of(asked, given);
  for (const std::vector<Matches>& demand : demands) {
    std::erase_if(chosen, [&](const OldRow& row) {
      return std::ranges::none_of(demand, [&](const Matches& matches) { return matches(row); });
    });
  }
  for (const std::vector<Matches>& demand : demands) {
    const auto is_there = [&](const Matches& matches) { return std::ranges::any_of(chosen, matches); };
    if (!std::ranges::all_of(demand, is_there)) return {};
  }
  return chosen;
}

std::vector<Plan> plans_of(const Baseline& before, const Plan& common, const Machine& here) {
  std::vector<Plan> plans;
  std::set<RowKey> seen;
  for (const OldRow& row : before.rows) {
    const bool possible = row.key.threads <= here.processors && measurable(row.key.op, row.key.shape, row.key.pass);
    if (possible && seen.insert(row.key).second) add_row(plan_of(plans, row, common), row);
  }
  if (!plans.empty()) return plans;
  throw tool::UsageError("--compare {} has no row that {} processors can measure, want one", before.path,
                         here.processors);
}

}  // namespace unitvar::bench
