#pragma once
#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "bench/contest.hpp"
#include "bench/dtypes.hpp"
#include "bench/expectation.hpp"
#include "bench/library.hpp"
#include "bench/measure.hpp"
#include "bench/roofline.hpp"

namespace unitvar::bench {

/// Forward and backward of an operation: its tensors, those who run it, and what should come out. Its rivals are the
/// roofline and perhaps one of oneDNN's primitives.
template <class T, class Case, class Expected, class Primitive>
class TrainingBench {
 public:
  template <class... ProblemArgs>
  explicit TrainingBench(const Plan& plan, const ProblemArgs&... args)
      : plan_(plan), problem_(args...), expectation_(problem_) {}

  [[nodiscard]] Case& problem() { return problem_; }
  /// `make` makes oneDNN's primitive, anew for each measurement: some primitives keep the number of threads that OpenMP
  /// was set to when they were made.
  void compete_with(std::function<std::unique_ptr<Primitive>()> make) { make_onednn_ = std::move(make); }

  Row measure(Pass pass, int threads) {
    omp_set_num_threads(threads);  // Where oneDNN looks.
    const Options options{.cpu = {.threads = threads, .isa = plan_.requested_isa}};
    run_library(problem_, Pass::forward, options);
    expectation_.check_statistics(problem_);
    std::vector<Contestant> contestants;
    contestants.push_back({Role::ours, {"unitvar", [this, pass, options] { run_library(problem_, pass, options); }}});
    check(contestants.back(), pass, Expectation<T>::promised());
    const PrecisionCounts counts = run_and_count(problem_, pass, options);
    if (make_onednn_) {
      onednn_ = make_onednn_();
      onednn_->run(Pass::forward);  // what its backward reads
      contestants.push_back({Role::onednn_same, {onednn_->name(pass), [this, pass] { onednn_->run(pass); }}});
      check(contestants.back(), pass, Expectation<T>::same_thing());
    }
    for (Rival& rival : roofline_rivals(traffic_of(problem_.data, pass, Walk::resident, threads))) {
      contestants.push_back({Role::roofline, std::move(rival)});
    }
    Row row{.op = plan_.op,
            .groups = plan_.groups,
            .suite = plan_.suite.name,
            .shape = problem_.data.shape,
            .layout = problem_.data.layout,
            .dtype = std::string(DtypeTraits<T>::name),
            .pass = pass,
            .threads = threads,
            .isa = plan_.isa,
            .walk = Walk::resident,
            .bytes = static_cast<double>(problem_.data.x.bytes()) * (pass == Pass::backward ? 3 : 2)};
    row.in_double = share_in_double(counts, row.dtype);
    take_results(row, hold_contest(contestants, plan_.repeat));
    return row;
  }

 private:
  void check(const Contestant& contestant, Pass pass, const Tolerance& tolerance) {
    auto& d = problem_.data;
    d.poison();
    contestant.rival.run();
    if (contestant.role != Role::ours && pass == Pass::backward) {
      std::ranges::copy(onednn_->dgamma(), d.dgamma.begin());
      std::ranges::copy(onednn_->dbeta(), d.dbeta.begin());
    }
    const std::string who = fmt::format("{}, {} of {} {} {}", contestant.rival.name, op_name(plan_.op), problem_.text(),
                                        DtypeTraits<T>::name, pass_name(pass));
    expectation_.check(pass, problem_, who, tolerance);
  }

  const Plan& plan_;
  Case problem_;
  Expected expectation_;
  std::function<std::unique_ptr<Primitive>()> make_onednn_;
  std::unique_ptr<Primitive> onednn_;
};

}  // namespace unitvar::bench
