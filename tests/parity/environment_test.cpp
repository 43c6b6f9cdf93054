// Results do not depend on the floating-point settings of the caller's thread, which a call leaves as they are.
#include <gtest/gtest.h>
#include <omp.h>

#include <array>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "support/dtypes.hpp"
#include "support/expect_error.hpp"
#include "support/float_settings.hpp"
#include "support/measure.hpp"
#include "support/phases.hpp"
#include "support/rows.hpp"
#include "support/run.hpp"
#include "unitvar/unitvar.hpp"

namespace unitvar::test {
namespace {

#if UNITVAR_HAS_FLOAT_SETTINGS

/// Changes the settings of both threads of parallel regions of two, until restore().
class ChangedTeam {
 public:
  explicit ChangedTeam(Settings (*change)(Settings)) {
#pragma omp parallel num_threads(2) default(none) shared(change)
    {
      Member& m = members_.at(static_cast<std::size_t>(omp_get_thread_num()));
      m.own = settings();
      m.changed = change(m.own);
      set(m.changed);
    }
  }
  /// Not if the OpenMP runtime gives all threads the caller's settings at the start of a region, as clang's does.
  [[nodiscard]] bool stays() const {
    std::array<Settings, 2> now{};
#pragma omp parallel num_threads(2) default(none) shared(now)
    now.at(static_cast<std::size_t>(omp_get_thread_num())) = settings();
    return now[0] == changed(0) && now[1] == changed(1);
  }
  void restore() {
#pragma omp parallel num_threads(2) default(none)
    {
      Member& m = members_.at(static_cast<std::size_t>(omp_get_thread_num()));
      m.after = settings();
      set(m.own);
    }
  }
  [[nodiscard]] Settings changed(int thread) const { return members_.at(static_cast<std::size_t>(thread)).changed; }
  [[nodiscard]] Settings after(int thread) const { return members_.at(static_cast<std::size_t>(thread)).after; }

 private:
  struct Member {
    Settings own, changed, after;
  };
  std::array<Member, 2> members_{};
};

/// The bytes of all that an operation gives.
class Bytes {
 public:
  template <class T>
  void add(const std::vector<T>& values) {
    const auto* const begin = reinterpret_cast<const char*>(values.data());
    bytes_.insert(bytes_.end(), begin, begin + values.size() * sizeof(T));
  }
  friend bool operator==(const Bytes&, const Bytes&) = default;

 private:
  std::vector<char> bytes_;
};

struct Operation {
  std::string name;
  std::function<void(Bytes&, const Options&)> run;
};

constexpr Extent kExtent{48, 24, 196};
constexpr RowExtent kRows{300, 700};

template <class T>
class Environment : public ::testing::Test {
 protected:
  using P = param_t<T>;

  Environment() {
    add(1, 1e-5);
    const double tiny = std::is_same_v<T, f16> ? 1e-6 : 4.0 * static_cast<double>(std::numeric_limits<P>::min());
    add(tiny / 8, std::max(tiny * tiny, 1e-300));
    scalars();
  }

  [[nodiscard]] Bytes run(const Operation& operation, const Options& options) const {
    Bytes bytes;
    operation.run(bytes, options);
    return bytes;
  }

  std::vector<Operation> operations_;

 private:
  /// The operations on x and dy of this size, most of them denormal if it is small.
  void add(double scale, double eps) {
    auto p = make_problem<T>({.extent = kExtent, .mean_over_std = 1, .scale = scale});
    p.eps = eps;
    for (T& v : p.dy) v = static_cast<T>(static_cast<double>(v) * scale);
    const std::string suffix = " at " + std::to_string(scale);
    batch_operations(p, suffix);
    relatives(p, suffix);
    for (const RowNorm norm : both_row_norms) {
      auto rows = make_row_problem<T>(norm, kRows, 1, scale);
      rows.eps = eps;
      operations_.push_back({describe(norm, kRows) + suffix,
                             [rows, cotangents = make_cotangents<T>(kRows)](Bytes& to, const Options& options) {
                               const auto f = run_forward(rows, options);
                               const auto b = run_backward(rows, f, options);
                               to.add(f.y), to.add(f.mean), to.add(f.rstd);
                               to.add(b.dx), to.add(b.dgamma), to.add(b.dbeta);
                               const auto second = run_double_backward(rows, f, cotangents, options);
                               to.add(second.x), to.add(second.dy), to.add(second.gamma);
                             }});
    }
  }

  void batch_operations(const Problem<T>& p, const std::string& suffix) {
    operations_.push_back({"batch norm" + suffix, [p](Bytes& to, const Options& options) {
                             const auto f = run_forward(p, options);
                             const auto b = run_backward(p, f.mean, f.rstd, options);
                             to.add(f.y), to.add(f.mean), to.add(f.var), to.add(f.rstd);
                             to.add(b.dx), to.add(b.dgamma), to.add(b.dbeta);
                             to.add(run_inference(p, f.mean, f.var, options));
                           }});
    operations_.push_back({"phases" + suffix, [p](Bytes& to, const Options& options) {
                             const auto r = run_phases(p, options);
                             to.add(r.mean), to.add(r.m2), to.add(r.var), to.add(r.rstd);
                             to.add(r.sum_dy), to.add(r.sum_dy_xmu), to.add(r.y), to.add(r.dx);
                           }});
    operations_.push_back({"accumulator" + suffix, [p](Bytes& to, const Options& options) {
                             MomentsAccumulator<T> accumulator(p.extent, options);
                             const std::int64_t C = p.extent.channels;
                             for (std::int64_t t = 0; t < accumulator.tiles(); ++t) accumulator.add(t, 0, C, p.x);
                             std::vector<double> mean(to_size(C)), m2(mean);
                             accumulator.finish(mean, m2);
                             to.add(mean), to.add(m2);
                           }});
    operations_.push_back({"layer" + suffix, [p](Bytes& to, const Options& options) {
                             BatchNorm<T> layer(p.extent.channels, {.eps = p.eps, .options = options});
                             std::vector<T> y(p.x.size()), dx(y);
                             layer.forward(p.extent, p.x, y);
                             layer.backward(p.extent, p.x, p.dy, dx);
                             to.add(y), to.add(dx);
                             const auto mean = layer.running_mean(), var = layer.running_var();
                             to.add(std::vector<double>(mean.begin(), mean.end()));
                             to.add(std::vector<double>(var.begin(), var.end()));
                           }});
  }

  void relatives(const Problem<T>& p, const std::string& suffix) {
    operations_.push_back(
        {"group norm" + suffix, [p](Bytes& to, const Options& options) {
           const Groups groups{p.extent, 1, 4};
           std::vector<T> y(p.x.size()), dx(y);
           std::vector<double> mean(to_size(groups.size())), rstd(mean);
           std::vector<P> dgamma(p.gamma.size()), dbeta(dgamma);
           group_norm_forward<T>({groups, p.x, p.gamma, p.beta, y, mean, rstd, p.eps}, options);
           group_norm_backward<T>({groups, p.x, p.dy, mean, rstd, p.gamma, dx, dgamma, dbeta}, options);
           to.add(y), to.add(mean), to.add(rstd), to.add(dx), to.add(dgamma), to.add(dbeta);
         }});
    operations_.push_back({"leaky activation" + suffix, [p](Bytes& to, const Options& options) {
                             std::vector<T> y(p.x.size()), dx(y);
                             std::vector<std::uint8_t> mask(to_size(batch_norm_act_mask_bytes(p.extent)));
                             constexpr auto leaky = Activation::leaky_relu(0.3);
                             std::vector<double> mean(p.gamma.size()), rstd(mean);
                             batch_norm_act_forward<T>(
                                 {p.extent, p.x, {}, p.gamma, p.beta, y, mask, mean, {}, rstd, p.eps, leaky}, options);
                             batch_norm_act_backward<T>(
                                 {p.extent, p.x, p.dy, mask, {}, mean, rstd, p.gamma, {}, dx, {}, {}, {}, leaky},
                                 options);
                             to.add(y), to.add(mask), to.add(dx);
                           }});
    operations_.push_back(
        {"weighted" + suffix,
         [p, weight = std::vector<P>(to_size(p.extent.count()), P(0.7))](Bytes& to, const Options& options) {
           std::vector<T> y(p.x.size());
           std::vector<double> mean(p.gamma.size()), var(mean);
           batch_norm_weighted_forward<T>({p.extent, p.x, weight, p.gamma, p.beta, y, mean, var, {}, p.eps}, options);
           to.add(y), to.add(mean), to.add(var);
         }});
    operations_.push_back(
        {"frozen backward" + suffix, [p](Bytes& to, const Options& options) {
           const std::vector<double> mean(p.gamma.size(), 0.1), var(mean.size(), 0.3);
           std::vector<T> dx(p.x.size());
           std::vector<P> dgamma(p.gamma.size()), dbeta(dgamma);
           batch_norm_frozen_backward<T>({p.extent, p.x, p.dy, mean, var, p.gamma, dx, dgamma, dbeta, p.eps}, options);
           to.add(dx), to.add(dgamma), to.add(dbeta);
         }});
    operations_.push_back({"double backward" + suffix, [p](Bytes& to, const Options& options) {
                             const auto f = run_forward(p, options);
                             std::vector<T> x(p.x.size()), dy(x);
                             batch_norm_double_backward<T>({.extent = p.extent,
                                                            .x = p.x,
                                                            .dy = p.dy,
                                                            .mean = f.mean,
                                                            .rstd = f.rstd,
                                                            .gamma = p.gamma,
                                                            .grad_dx = p.dy,
                                                            .grad_x = x,
                                                            .grad_dy = dy},
                                                           options);
                             to.add(x), to.add(dy);
                           }});
  }

  /// What is computed of a few doubles, some of them passed in registers.
  void scalars() {
    operations_.push_back({"merge_moments", [](Bytes& to, const Options&) {
                             std::vector<double> mean{0.1, 5e-320}, m2{0.3, 0};
                             const double count = merge_moments(0.1, mean, m2, 0.2, std::vector<double>{0.7, 7e-320},
                                                                std::vector{.1, .2});
                             to.add(mean), to.add(m2), to.add(std::vector{count});
                           }});
    operations_.push_back({"update_running_statistics", [](Bytes& to, const Options&) {
                             std::vector<double> mean{0.1, 5e-320}, var{0.3, 1};
                             update_running_statistics({mean, var}, 7, std::vector<double>{0.7, 7e-320},
                                                       std::vector<double>{0.9, 0.1},
                                                       {.momentum = 0.3, .sense = MomentumSense::weight_of_old});
                             to.add(mean), to.add(var);
                           }});
    const std::vector<T> weight{T(0.1), T(0.7), T(0.9), T(1e-40)};
    operations_.push_back({"fold", [weight](Bytes& to, const Options&) {
                             const std::vector<double> mean{0.1, 5e-320}, var{0.3, 0.7};
                             std::vector<T> folded(4);
                             std::vector<P> bias(2);
                             batch_norm_fold<T>({.extent = WeightExtent::linear(2, 2),
                                                 .weight = weight,
                                                 .mean = mean,
                                                 .var = var,
                                                 .folded_weight = folded,
                                                 .folded_bias = bias});
                             to.add(folded), to.add(bias);
                           }});
  }
};

TYPED_TEST_SUITE(Environment, AllDtypes);

/// Or two threads below would be one.
TYPED_TEST(Environment, IsThatOfTwoThreads) {
  for (const Pass pass : {Pass::forward, Pass::backward}) {
    EXPECT_EQ(explain(kExtent, sizeof(TypeParam), pass, {.cpu = {.threads = 2}}).threads, 2);
  }
}

TYPED_TEST(Environment, OfTheCallerChangesNoBitAndStays) {
  for (const Operation& operation : this->operations_) {
    SCOPED_TRACE(operation.name);
    const Bytes want = this->run(operation, {.cpu = {.threads = 2}});  // which makes the threads
    for (const auto change : {flushing, upward, trapping}) {
      for (const int threads : {1, 2}) {
        for (const Isa isa : {Isa::automatic, Isa::portable}) {
          const Settings changed = change(settings());
          Bytes seen;
          Settings after{};
          {
            const Changed hostile(changed);
            seen = this->run(operation, {.cpu = {.threads = threads, .isa = isa}});
            after = settings();
          }
          EXPECT_TRUE(seen == want) << "settings " << std::hex << changed << ", " << threads << " threads";
          EXPECT_EQ(after, changed);
        }
      }
    }
  }
}

/// The threads of a region are the caller's as well: any of them may have been made or left with other settings.
TYPED_TEST(Environment, OfAllThreadsChangesNoBitAndStays) {
  for (const Operation& operation : this->operations_) {
    SCOPED_TRACE(operation.name);
    const Bytes want = this->run(operation, {.cpu = {.threads = 2}});
    for (const auto change : {flushing, upward, trapping}) {
      ChangedTeam hostile(change);
#if defined(__clang__)
      if (!hostile.stays()) GTEST_SKIP() << "threads have the caller's settings, which the test above changes";
#endif
      ASSERT_TRUE(hostile.stays());
      const Bytes seen = this->run(operation, {.cpu = {.threads = 2}});
      hostile.restore();
      EXPECT_TRUE(seen == want) << "settings " << std::hex << hostile.changed(1);
      for (const int thread : {0, 1}) EXPECT_EQ(hostile.after(thread), hostile.changed(thread));
    }
  }
}

TEST(EnvironmentOfOneCall, StaysWhenTheCallThrows) {
  const std::vector<float> x(5);
  std::vector<float> y(6);
  const Settings changed = flushing(upward(settings()));
  Settings after{};
  ErrorCode code{};
  {
    const Changed hostile(changed);
    try {
      batch_norm_forward<float>({.extent = Extent::nc(3, 2), .x = x, .y = y});
    } catch (const Error& error) {
      code = error.code();
    }
    after = settings();
  }
  EXPECT_EQ(code, ErrorCode::wrong_length);
  EXPECT_EQ(after, changed);
}

#endif

}  // namespace
}  // namespace unitvar::test
