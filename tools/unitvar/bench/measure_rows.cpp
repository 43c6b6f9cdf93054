#include "bench/measure_rows.hpp"

#include <fmt/format.h>
#include <omp.h>

#include <memory>

#include "bench/contest.hpp"
#include "bench/dtypes.hpp"
#include "bench/onednn.hpp"
#include "bench/onednn_rows.hpp"
#include "bench/roofline.hpp"
#include "bench/row_problem.hpp"

namespace unitvar::bench {
namespace {

/// Rows, those who normalize them, and what should come out.
template <class T>
class RowBench {
 public:
  RowBench(const Plan& plan, const Shape& shape)
      : plan_(plan), shape_(shape), problem_(plan.op, shape), expectation_(problem_) {
    const std::string_view dtype = DtypeTraits<T>::name;
    if (!plan.against_onednn || plan.op != Op::layer_norm || !onednn_supports(dtype)) return;
    const Problem<T>& d = problem_.data;
    onednn_ = std::make_unique<OnednnRows>(OnednnRowProblem{problem_.extent,
                                                            dtype,
                                                            d.x.data(),
                                                            d.dy.data(),
                                                            d.out.data(),
                                                            {d.gamma.begin(), d.gamma.end()},
                                                            {d.beta.begin(), d.beta.end()}});
  }

  Row measure(Pass pass, int threads) {
    omp_set_num_threads(threads);  // Where oneDNN looks.
    const Options options{.threads = threads, .isa = plan_.requested_isa};
    run_library(problem_, Pass::forward, options);
    expectation_.check_statistics(problem_);
    std::vector<Contestant> contestants;
    contestants.push_back({Role::ours, {"unitvar", [this, pass, options] { run_library(problem_, pass, options); }}});
    check(contestants.back(), pass, Expectation<T>::promised());
    if (onednn_) {
      onednn_->run(Pass::forward);  // what its backward reads
      contestants.push_back({Role::onednn_same, {"rows", [this, pass] { onednn_->run(pass); }}});
      check(contestants.back(), pass, Expectation<T>::same_thing());
    }
    for (Rival& rival : roofline_rivals(traffic(pass, threads))) {
      contestants.push_back({Role::roofline, std::move(rival)});
    }
    Row row{.shape = shape_,
            .layout = Layout::channels_last,
            .dtype = std::string(DtypeTraits<T>::name),
            .pass = pass,
            .threads = threads,
            .isa = plan_.isa,
            .walk = Walk::resident,
            .bytes = static_cast<double>(problem_.data.x.bytes()) * (pass == Pass::backward ? 3 : 2)};
    take_results(row, hold_contest(contestants, plan_.repeat));
    return row;
  }

 private:
  void check(const Contestant& contestant, Pass pass, const Tolerance& tolerance) {
    problem_.data.poison();
    contestant.rival.run();
    if (contestant.role != Role::ours && pass == Pass::backward) {
      std::ranges::copy(onednn_->dgamma(), problem_.data.dgamma.begin());
    }
    const std::string who = fmt::format("{}, {} of {} {} {}", contestant.rival.name, op_name(plan_.op),
                                        shape_text(shape_), DtypeTraits<T>::name, pass_name(pass));
    expectation_.check(pass, problem_, who, tolerance);
  }

  Traffic traffic(Pass pass, int threads) const {
    const auto bytes = [](const Buffer<T>& buffer) { return reinterpret_cast<std::byte*>(buffer.data()); };
    const Problem<T>& d = problem_.data;
    return {bytes(d.x), bytes(d.dy), bytes(d.out), d.x.bytes(), pass, Walk::resident, threads};
  }

  const Plan& plan_;
  Shape shape_;
  RowProblem<T> problem_;
  RowExpectation<T> expectation_;
  std::unique_ptr<OnednnRows> onednn_;
};

}  // namespace

void measure_rows(const Plan& plan, const Shape& shape, const std::string& dtype,
                  const std::function<void(const Row&)>& done) {
  with_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    RowBench<T> bench(plan, shape);
    for (const int threads : plan.threads) {
      for (const Pass pass : plan.passes) done(bench.measure(pass, threads));
    }
  });
}

}  // namespace unitvar::bench
