#include "bench/measure_groups.hpp"

#include "bench/group_problem.hpp"
#include "bench/measure_wanted.hpp"
#include "bench/onednn_groups.hpp"
#include "bench/training_bench.hpp"

namespace unitvar::bench {

void measure_groups(const Plan& plan, const Shape& shape, Layout layout, const std::string& dtype,
                    const std::function<void(const Row&)>& done) {
  with_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    TrainingBench<T, GroupProblem<T>, GroupExpectation<T>, OnednnGroups> bench(plan, shape, layout, plan.groups);
    if (plan.against_onednn && onednn_supports_groups(dtype)) {
      const GroupProblem<T>& p = bench.problem();
      bench.compete_with([&p, &shape, layout] {
        return std::make_unique<OnednnGroups>(
            OnednnGroupProblem{onednn_tensors(p.data), shape, layout, p.groups.per_sample()});
      });
    }
    measure_wanted(bench, plan, shape, layout, dtype, done);
  });
}

}  // namespace unitvar::bench
