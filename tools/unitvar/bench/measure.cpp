#include "bench/measure.hpp"

#include <fmt/format.h>
#include <omp.h>

#include <memory>

#include "bench/bare_loop.hpp"
#include "bench/contest.hpp"
#include "bench/dtypes.hpp"
#include "bench/expectation.hpp"
#include "bench/library.hpp"
#include "bench/measure_groups.hpp"
#include "bench/measure_rows.hpp"
#include "bench/measure_wanted.hpp"
#include "bench/onednn.hpp"
#include "bench/roofline.hpp"

namespace unitvar::bench {
namespace {

// Below this, a call is more start-up than work, and a bare loop shows how much.
constexpr std::size_t small_bytes = std::size_t{16} << 10;

template <class Value>
std::vector<float> floats(const std::vector<Value>& values) {
  std::vector<float> result;
  result.reserve(values.size());
  for (const Value value : values) result.push_back(static_cast<float>(value));
  return result;
}

/// One tensor, those who normalize it, and what should come out.
template <class T>
class Bench {
 public:
  Bench(const Plan& plan, const Shape& shape, Layout layout)
      : plan_(plan), problem_(shape, layout), expectation_(problem_) {
    if (plan.against_onednn && onednn_supports(DtypeTraits<T>::name)) onednn_ = std::make_unique<Onednn>(for_onednn());
  }

  Row measure(Pass pass, int threads) {
    omp_set_num_threads(threads);  // Where oneDNN looks.
    const Options options{.cpu = {.threads = threads, .isa = plan_.requested_isa}};
    const Explanation how = explain(problem_.extent, sizeof(T), pass, options);
    if (pass == Pass::backward) save_statistics(options);

    std::vector<Contestant> contestants;
    const PrecisionCounts counts = add_library(contestants, pass, options);
    add_bare_loop(contestants, pass);
    add_onednn(contestants, pass);
    for (Rival& rival : roofline_rivals(traffic_of(problem_, pass, how.walk, threads))) {
      contestants.push_back({Role::roofline, std::move(rival)});
    }
    Row row = row_of(hold_contest(contestants, plan_.repeat), pass, threads, how.walk);
    row.in_double = share_in_double(counts, row.dtype);
    return row;
  }

 private:
  [[nodiscard]] std::string who(const std::string& name, Pass pass) const {
    return fmt::format("{}, {} {} {} {}", name, shape_text(problem_.shape), layout_name(problem_.layout),
                       DtypeTraits<T>::name, pass_name(pass));
  }

  OnednnProblem for_onednn() {
    const std::vector<float> zeros(problem_.mean.size());
    return {onednn_tensors(problem_),
            problem_.shape,
            problem_.layout,
            floats(problem_.running_mean),
            floats(problem_.running_var),
            zeros,
            zeros};
  }

  // The backward pass starts from what the library's forward leaves.
  void save_statistics(const Options& options) {
    run_library(problem_, Pass::forward, options);
    expectation_.check_statistics(problem_);
    if (onednn_) onednn_->set_statistics(problem_.mean, problem_.var);
  }

  // Counts are those of the call that is checked; the calls that are timed count nothing.
  PrecisionCounts add_library(std::vector<Contestant>& to, Pass pass, const Options& options) {
    problem_.poison();
    const PrecisionCounts counts = run_and_count(problem_, pass, options);
    expectation_.check(pass, problem_, who("unitvar", pass), Expectation<T>::promised());
    if (pass == Pass::forward) expectation_.check_statistics(problem_);
    to.push_back({Role::ours, {"unitvar", [this, pass, options] { run_library(problem_, pass, options); }}});
    return counts;
  }

  void add_bare_loop(std::vector<Contestant>& to, Pass pass) {
    if (problem_.x.bytes() > small_bytes) return;
    const Work run = [this, pass] { run_bare_loop(problem_, pass); };
    problem_.poison();
    run();
    expectation_.check(pass, problem_, who("the bare loop", pass), Expectation<T>::same_thing());
    to.push_back({Role::bare_loop, {"bare loop", run}});
  }

  void add_onednn(std::vector<Contestant>& to, Pass pass) {
    if (!onednn_) return;
    for (OnednnRival& rival : onednn_->rivals(pass)) {
      problem_.poison();
      rival.rival.run();
      rival.fetch();
      for (std::size_t c = 0; pass == Pass::backward && c < problem_.dgamma.size(); ++c) {
        problem_.dgamma[c] = rival.dgamma[c];
        problem_.dbeta[c] = rival.dbeta[c];
      }
      expectation_.check(pass, problem_, who("oneDNN " + rival.rival.name, pass), Expectation<T>::same_thing());
      to.push_back({rival.same_layout ? Role::onednn_same : Role::onednn_other, std::move(rival.rival)});
    }
  }

  Row row_of(const Results& results, Pass pass, int threads, Walk walk) const {
    Row row{.op = plan_.op,
            .groups = plan_.groups,
            .suite = plan_.suite.name,
            .shape = problem_.shape,
            .layout = problem_.layout,
            .dtype = std::string(DtypeTraits<T>::name),
            .pass = pass,
            .threads = threads,
            .isa = plan_.isa,
            .walk = walk,
            .bytes = static_cast<double>(problem_.x.bytes()) * (pass == Pass::backward ? 3 : 2)};
    take_results(row, results);
    return row;
  }

  const Plan& plan_;
  Problem<T> problem_;
  Expectation<T> expectation_;
  std::unique_ptr<Onednn> onednn_;
};

}  // namespace

bool measurable(Op op, const Shape& shape, Pass pass) {
  return op != Op::batch_norm || pass == Pass::inference || shape.n * shape.points() > 1;
}

std::vector<RowKey> wanted_rows(const Plan& plan, const Shape& shape, Layout layout, const std::string& dtype) {
  std::vector<RowKey> wanted;
  for (const int threads : plan.threads) {
    for (const Pass pass : plan.passes) {
      const RowKey key = make_key(plan.op, plan.groups, shape, layout, dtype, pass, threads);
      if (measurable(plan.op, shape, pass) && (!plan.only || plan.only->contains(key))) wanted.push_back(key);
    }
  }
  return wanted;
}

void measure_shape(const Plan& plan, const Shape& shape, Layout layout, const std::string& dtype,
                   const std::function<void(const Row&)>& done) {
  if (is_of_rows(plan.op)) return measure_rows(plan, shape, dtype, done);
  if (is_of_groups(plan.op)) return measure_groups(plan, shape, layout, dtype, done);
  with_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    Bench<T> bench(plan, shape, layout);
    measure_wanted(bench, plan, shape, layout, dtype, done);
  });
}

}  // namespace unitvar::bench
