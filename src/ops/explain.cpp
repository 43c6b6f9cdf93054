#include <cstdio>

#include "core/arguments.hpp"
#include "cpu/passes/sub_batch_runners.hpp"
#include "cpu/plan/row_schedule.hpp"
#include "cpu/plan/shares.hpp"
#include "cpu/runtime/check_options.hpp"
#include "ops/batch_norm/training.hpp"
#include "ops/group_norm/group_arguments.hpp"
#include "unitvar/schedule.hpp"

namespace unitvar {
namespace {

void check_arguments(const core::Arguments& check, std::int64_t bytes_per_element, Pass pass) {
  if (bytes_per_element != 2 && bytes_per_element != 4 && bytes_per_element != 8) {
    check.fail(ErrorCode::bad_argument, "bytes_per_element is " + std::to_string(bytes_per_element) +
                                            ", want 2, 4 or 8, the size of a storage type");
  }
  if (pass != Pass::forward && pass != Pass::backward && pass != Pass::inference) {
    check.fail(ErrorCode::bad_argument,
               "pass is " + std::to_string(static_cast<int>(pass)) + ", want a value of unitvar::Pass");
  }
}

/// Of a layer that depends on no statistics of training.
void check_training_arguments(const core::Arguments& check, std::int64_t bytes_per_element, Pass pass) {
  check_arguments(check, bytes_per_element, pass);
  if (pass == Pass::inference) check.fail(ErrorCode::bad_argument, "pass is inference, want forward or backward");
}

int tensors_read(Pass pass) noexcept { return pass == Pass::backward ? 2 : 1; }

Explanation explanation(const std::string& schedule, int threads, Pass pass, Walk walk, double share) {
  const int reads = walk == Walk::streamed ? 2 * tensors_read(pass) : tensors_read(pass);
  char text[48];
  std::snprintf(text, sizeof text, "; %dR + 1W; largest share %.2f", reads, share);
  return {walk, threads, reads, 1, share, schedule + text};
}

Explanation explanation(const cpu::Schedule& s, Pass pass) {
  const bool has_sums = pass != Pass::inference;
  return explanation(cpu::describe(s, has_sums), s.threads, pass, has_sums ? s.walk : Walk::resident,
                     cpu::largest_share(has_sums ? s : cpu::without_sums(s)));
}

}  // namespace

Explanation explain(const Extent& extent, std::int64_t bytes_per_element, Pass pass, const Options& options) {
  const core::Arguments check("explain");
  check_arguments(check, bytes_per_element, pass);
  check_extent(check.operation(), extent, bytes_per_element);
  cpu::check_options(check, options);
  const Options run = pass == Pass::inference ? cpu::in_one_pass(options) : ops::between_ranks(options);
  return explanation(cpu::make_schedule(extent, cpu::schedule_input(run, bytes_per_element, tensors_read(pass))), pass);
}

Explanation explain_groups(const Groups& groups, std::int64_t bytes_per_element, Pass pass, const Options& options) {
  const core::Arguments check("explain_groups");
  check_training_arguments(check, bytes_per_element, pass);
  check_groups(check.operation(), groups, bytes_per_element);
  cpu::check_options(check, options);
  const math::Partition p = ops::partition_of(groups);
  const cpu::ScheduleInput input = cpu::schedule_input(p, options, bytes_per_element, tensors_read(pass));
  return explanation(cpu::make_schedule(p.whole_sub_batch(), input), pass);
}

Explanation explain_rows(const RowExtent& extent, std::int64_t bytes_per_element, Pass pass, const Options& options) {
  const core::Arguments check("explain_rows");
  check_training_arguments(check, bytes_per_element, pass);
  check_extent(check.operation(), extent, bytes_per_element);
  cpu::check_options(check, options);
  const cpu::ScheduleInput input = cpu::schedule_input(options, bytes_per_element, tensors_read(pass));
  const cpu::RowSchedule s = cpu::make_row_schedule(extent, input, pass == Pass::backward);
  return explanation(cpu::describe(s), s.threads, pass, Walk::resident, cpu::largest_share(s));
}

}  // namespace unitvar
