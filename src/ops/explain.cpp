#include "core/arguments.hpp"
#include "cpu/runtime/check_options.hpp"
#include "ops/batch_norm/training.hpp"
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

}  // namespace

Explanation explain(const Extent& extent, std::int64_t bytes_per_element, Pass pass, const Options& options) {
  const core::Arguments check("explain");
  check_arguments(check, bytes_per_element, pass);
  check_extent(check.operation(), extent, bytes_per_element);
  cpu::check_options(check, options);
  const int tensors = pass == Pass::backward ? 2 : 1;
  const Options run = pass == Pass::inference ? cpu::in_one_pass(options) : ops::between_ranks(options);
  const cpu::Schedule schedule = cpu::make_schedule(extent, cpu::schedule_input(run, bytes_per_element, tensors));
  const bool twice = pass != Pass::inference && schedule.walk == Walk::streamed;
  const int reads = twice ? 2 * tensors : tensors;
  return {twice ? Walk::streamed : Walk::resident, schedule.threads, reads, 1,
          cpu::describe(schedule) + "; " + std::to_string(reads) + "R + 1W"};
}

}  // namespace unitvar
