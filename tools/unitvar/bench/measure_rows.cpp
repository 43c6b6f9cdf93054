#include "bench/measure_rows.hpp"

#include "bench/measure_wanted.hpp"
#include "bench/onednn.hpp"
#include "bench/onednn_rows.hpp"
#include "bench/row_problem.hpp"
#include "bench/training_bench.hpp"

namespace unitvar::bench {

void measure_rows(const Plan& plan, const Shape& shape, const std::string& dtype,
                  const std::function<void(const Row&)>& done) {
  with_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    TrainingBench<T, RowProblem<T>, RowExpectation<T>, OnednnRows> bench(plan, plan.op, shape);
    if (plan.against_onednn && plan.op == Op::layer_norm && onednn_supports(dtype)) {
      const RowProblem<T>& p = bench.problem();
      bench.compete_with([&p] {
        return std::make_unique<OnednnRows>(OnednnRowProblem{onednn_tensors(p.data), p.extent});
      });
    }
    measure_wanted(bench, plan, shape, bench.problem().data.layout, dtype, done);
  });
}

}  // namespace unitvar::bench
