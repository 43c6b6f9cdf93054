#include "diagnose/checks.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "diagnose/compute.hpp"
#include "diagnose/groups.hpp"
#include "unitvar/error.hpp"

namespace unitvar::diagnosis {
namespace {

using Operation = DiagnosisOperation;
using std::int64_t;

void check_length(std::string_view name, std::span<const double> t, int64_t wanted, bool required = false) {
  if (t.empty() && !required) return;
  const std::string is = "diagnose: " + std::string(name);
  if (static_cast<int64_t>(t.size()) != wanted) {
    throw Error(ErrorCode::wrong_length,
                is + " has " + std::to_string(t.size()) + " elements, want " + std::to_string(wanted));
  }
  if (t.data() == nullptr) throw Error(ErrorCode::null_data, is + " points nowhere");
}

}  // namespace

void check(const DiagnosisCase& c) {
  const int64_t all = extent_of(c).size();
  const Grouping g = grouping_of(c, {});
  const DiagnosisResults& r = c.results;
  const bool batch = c.operation == Operation::batch_norm;
  const auto bad = [](const std::string& text) { return Error(ErrorCode::bad_argument, "diagnose: " + text); };
  check_length("x", c.x, all, true);
  check_length("dy", c.dy, all, !r.dx.empty() || !r.dgamma.empty() || !r.dbeta.empty());
  for (const auto& [name, t] : {std::pair("gamma", c.gamma), std::pair("beta", c.beta), std::pair("dgamma", r.dgamma),
                                std::pair("dbeta", r.dbeta)}) {
    check_length(name, t, g.parameters);
  }
  for (const auto& [name, t] : {std::pair("mean", r.mean), std::pair("var", r.var), std::pair("rstd", r.rstd)}) {
    check_length(name, t, g.groups);
  }
  const bool running = !r.running_mean.empty() || !r.running_var.empty() || c.inference || !c.running_mean.empty() ||
                       !c.running_var.empty();
  if (running && !batch) throw bad("running statistics are given, want none but of batch_norm");
  check_length("running_mean before the step", c.running_mean, g.groups, running);
  check_length("running_var before the step", c.running_var, g.groups, running);
  check_length("running_mean", r.running_mean, g.groups);
  check_length("running_var", r.running_var, g.groups);
  check_length("y", r.y, all);
  check_length("dx", r.dx, all);
  if (!std::isfinite(c.eps) || c.eps < 0) throw bad("eps is " + std::to_string(c.eps) + ", want 0 or more");
  if (!std::isfinite(c.momentum)) throw bad("momentum is " + std::to_string(c.momentum) + ", want a finite number");
  if (g.values() < 2 && c.operation != Operation::rms_norm && !c.inference) {
    throw Error(ErrorCode::too_few_values, "diagnose: a group has one value, want 2 or more");
  }
  if (std::ranges::all_of(given_results(c), [](std::span<const double> t) { return t.empty(); }))
    throw bad("no result is given, want y, dx, dgamma, dbeta, mean, var, rstd or running statistics");
}

}  // namespace unitvar::diagnosis
