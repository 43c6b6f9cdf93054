#include "bench/measure_groups.hpp"

#include <fmt/format.h>
#include <omp.h>

#include <memory>

#include "bench/contest.hpp"
#include "bench/dtypes.hpp"
#include "bench/group_problem.hpp"
#include "bench/onednn_groups.hpp"
#include "bench/roofline.hpp"

namespace unitvar::bench {
namespace {

/// Images, those who normalize their groups, and what should come out.
template <class T>
class GroupBench {
 public:
  GroupBench(const Plan& plan, const Shape& shape, Layout layout)
      : plan_(plan), problem_(shape, layout, plan.groups), expectation_(problem_) {
    const std::string_view dtype = DtypeTraits<T>::name;
    if (!plan.against_onednn || !onednn_supports_groups(dtype)) return;
    const Problem<T>& d = problem_.data;
    onednn_ = std::make_unique<OnednnGroups>(OnednnGroupProblem{shape,
                                                                layout,
                                                                problem_.groups.per_sample(),
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
      contestants.push_back({Role::onednn_same, {onednn_->name(pass), [this, pass] { onednn_->run(pass); }}});
      check(contestants.back(), pass, Expectation<T>::same_thing());
    }
    for (Rival& rival : roofline_rivals(traffic(pass, threads))) {
      contestants.push_back({Role::roofline, std::move(rival)});
    }
    Row row{.shape = problem_.data.shape,
            .layout = problem_.data.layout,
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
    Problem<T>& d = problem_.data;
    d.poison();
    contestant.rival.run();
    if (contestant.role != Role::ours && pass == Pass::backward) {
      std::ranges::copy(onednn_->dgamma(), d.dgamma.begin());
      std::ranges::copy(onednn_->dbeta(), d.dbeta.begin());
    }
    const std::string who =
        fmt::format("{}, {} of {} {} {} {}", contestant.rival.name, op_name(plan_.op), shape_text(d.shape),
                    layout_name(d.layout), DtypeTraits<T>::name, pass_name(pass));
    expectation_.check(pass, problem_, who, tolerance);
  }

  Traffic traffic(Pass pass, int threads) const {
    const auto bytes = [](const Buffer<T>& buffer) { return reinterpret_cast<std::byte*>(buffer.data()); };
    const Problem<T>& d = problem_.data;
    return {bytes(d.x), bytes(d.dy), bytes(d.out), d.x.bytes(), pass, Walk::resident, threads};
  }

  const Plan& plan_;
  GroupProblem<T> problem_;
  GroupExpectation<T> expectation_;
  std::unique_ptr<OnednnGroups> onednn_;
};

}  // namespace

void measure_groups(const Plan& plan, const Shape& shape, Layout layout, const std::string& dtype,
                    const std::function<void(const Row&)>& done) {
  with_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    GroupBench<T> bench(plan, shape, layout);
    for (const int threads : plan.threads) {
      for (const Pass pass : plan.passes) done(bench.measure(pass, threads));
    }
  });
}

}  // namespace unitvar::bench
