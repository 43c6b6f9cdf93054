#include <gtest/gtest.h>

#include <functional>
#include <initializer_list>
#include <string>

#include "support/arena.hpp"
#include "support/expect_error.hpp"
#include "support/problem.hpp"
#include "unitvar/derivatives.hpp"

/// What the derivatives refuse: a legal call on {3, 4, 5} with one argument spoilt, and nothing may have been written.
namespace unitvar::test {
namespace {

class DerivativesRefuse : public ::testing::Test {
 protected:
  using Operation = std::function<void(const Options&)>;

  struct Named {
    const char* name;
    Operation run;
  };

  /// Every operation with these arguments.
  std::vector<Named> operations() {
    return {{"batch_norm_statistics_backward", [&](auto& o) { batch_norm_statistics_backward(first, o); }},
            {"batch_norm_double_backward", [&](auto& o) { batch_norm_double_backward(second, o); }},
            {"batch_norm_frozen_double_backward", [&](auto& o) { batch_norm_frozen_double_backward(second, o); }},
            {"batch_norm_jvp", [&](auto& o) { batch_norm_jvp(forwards, o); }},
            {"batch_norm_frozen_jvp", [&](auto& o) { batch_norm_frozen_jvp(forwards, o); }}};
  }

  void all_refuse(ErrorCode code, std::initializer_list<std::string> parts, const Options& options = {}) {
    for (const auto& [name, run] : operations()) {
      SCOPED_TRACE(name);
      expect_error(code, {std::string(name) + ": "}, [&, &call = run] { call(options); });
      expect_error(code, parts, [&, &call = run] { call(options); });
    }
    EXPECT_TRUE(outputs.untouched());
  }

  template <class Args>
  void refused(void (*run)(const Args&, const Options&), const Args& args, ErrorCode code,
               std::initializer_list<std::string> parts) {
    expect_error(code, parts, [&] { run(args, {}); });
    EXPECT_TRUE(outputs.untouched());
  }

  Problem<float> p = make_problem<float>(Extent{3, 4, 5});
  std::vector<double> mean = {0, 0.1, 0.2, 0.3}, rstd = {1, 1, 1, 1};
  Arena outputs;
  std::span<float> tensor[2] = {outputs.view<float>(0, 60), outputs.view<float>(240, 60)};
  std::span<float> channels[2] = {outputs.view<float>(480, 4), outputs.view<float>(496, 4)};
  std::span<double> statistics[2] = {outputs.view<double>(512, 4), outputs.view<double>(544, 4)};

  BatchNormStatisticsBackward<float> first{p.extent, p.x,  p.dy,      mean,        rstd,       p.gamma,
                                           mean,     mean, tensor[0], channels[0], channels[1]};
  BatchNormDoubleBackward<float> second{p.extent, p.x,     p.dy,   mean,      rstd,      p.gamma,
                                        p.dy,     p.gamma, p.beta, tensor[0], tensor[1], channels[0]};
  BatchNormJvp<float> forwards{p.extent, p.x,    mean,      rstd,          p.gamma,      p.dy,
                               p.gamma,  p.beta, tensor[0], statistics[0], statistics[1]};
};

TEST_F(DerivativesRefuse, NothingAboutTheLegalCalls) {
  for (const auto& [name, run] : operations()) EXPECT_NO_THROW(run({})) << name;
  EXPECT_FALSE(outputs.untouched());
}

TEST_F(DerivativesRefuse, NullData) {
  first.x = second.x = forwards.x = nowhere<const float>(60);
  all_refuse(ErrorCode::null_data, {"x is null, want 60 elements"});
}

TEST_F(DerivativesRefuse, InputsOfAWrongLength) {
  first.rstd = second.rstd = forwards.rstd = std::span(rstd).first(3);
  all_refuse(ErrorCode::wrong_length, {"rstd has 3 elements, want C = 4"});
  first.mean = second.mean = forwards.mean = {};
  all_refuse(ErrorCode::wrong_length, {"mean has 0 elements, want C = 4"});
}

TEST_F(DerivativesRefuse, CotangentsAndTangentsOfAWrongLength) {
  const auto wrong = ErrorCode::wrong_length;
  auto statistics_args = first;
  statistics_args.dvar = std::span<const double>(mean).first(3);
  refused(batch_norm_statistics_backward<float>, statistics_args, wrong, {"dvar has 3 elements, want C = 4"});
  auto twice = second;
  twice.grad_dx = twice.grad_dx.first(59);
  refused(batch_norm_double_backward<float>, twice, wrong, {"grad_dx has 59 elements, want N*C*S = 60"});
  refused(batch_norm_frozen_double_backward<float>, twice, wrong, {"grad_dx has 59"});
  twice = second, twice.grad_dgamma = twice.grad_dgamma.first(3);
  refused(batch_norm_double_backward<float>, twice, wrong, {"grad_dgamma has 3 elements, want C = 4"});
  twice = second, twice.grad_dbeta = twice.grad_dbeta.first(3);
  refused(batch_norm_double_backward<float>, twice, wrong, {"grad_dbeta has 3"});
  auto tangents = forwards;
  tangents.x_dot = tangents.x_dot.first(59);
  refused(batch_norm_jvp<float>, tangents, wrong, {"x_dot has 59"});
  tangents = forwards, tangents.gamma_dot = tangents.gamma_dot.first(3);
  refused(batch_norm_jvp<float>, tangents, wrong, {"gamma_dot has 3"});
  tangents = forwards, tangents.beta_dot = tangents.beta_dot.first(3);
  refused(batch_norm_frozen_jvp<float>, tangents, wrong, {"beta_dot has 3"});
}

TEST_F(DerivativesRefuse, OutputsOfAWrongLength) {
  const auto wrong = ErrorCode::wrong_length;
  auto statistics_args = first;
  statistics_args.dx = statistics_args.dx.first(59);
  refused(batch_norm_statistics_backward<float>, statistics_args, wrong, {"dx has 59"});
  auto twice = second;
  twice.grad_x = twice.grad_x.first(59);
  refused(batch_norm_double_backward<float>, twice, wrong, {"grad_x has 59"});
  twice = second, twice.grad_dy = twice.grad_dy.first(59);
  refused(batch_norm_double_backward<float>, twice, wrong, {"grad_dy has 59"});
  twice = second, twice.grad_gamma = twice.grad_gamma.first(3);
  refused(batch_norm_frozen_double_backward<float>, twice, wrong, {"grad_gamma has 3"});
  auto tangents = forwards;
  tangents.y_dot = tangents.y_dot.first(59);
  refused(batch_norm_jvp<float>, tangents, wrong, {"y_dot has 59"});
  tangents = forwards, tangents.var_dot = tangents.var_dot.first(3);
  refused(batch_norm_frozen_jvp<float>, tangents, wrong, {"var_dot has 3"});
}

TEST_F(DerivativesRefuse, OutputsOnInputsAndOnOneAnother) {
  const auto overlap = ErrorCode::overlap;
  auto statistics_args = first;
  statistics_args.x = tensor[0];
  refused(batch_norm_statistics_backward<float>, statistics_args, overlap, {"dx overlaps x"});
  auto twice = second;
  twice.dy = tensor[0];
  refused(batch_norm_double_backward<float>, twice, overlap, {"grad_x overlaps dy"});
  refused(batch_norm_frozen_double_backward<float>, twice, overlap, {"grad_x overlaps dy"});
  twice = second, twice.grad_dy = twice.grad_x;
  refused(batch_norm_double_backward<float>, twice, overlap, {"grad_x overlaps grad_dy"});
  auto tangents = forwards;
  tangents.x_dot = tensor[0];
  refused(batch_norm_jvp<float>, tangents, overlap, {"y_dot overlaps x_dot"});
  refused(batch_norm_frozen_jvp<float>, tangents, overlap, {"y_dot overlaps x_dot"});
}

TEST_F(DerivativesRefuse, ExtentsThatAreNone) {
  first.extent = second.extent = forwards.extent = {3, 0, 5};
  all_refuse(ErrorCode::bad_extent, {"channels"});
}

TEST_F(DerivativesRefuse, OptionsOutsideTheirRange) {
  all_refuse(ErrorCode::bad_argument, {"threads"}, {.cpu = {.threads = -1}});
}

TEST_F(DerivativesRefuse, OneValuePerChannelUnlessTheStatisticsAreFrozen) {
  const std::vector<double> ones(60, 1);
  const std::span<float> parameters = outputs.view<float>(1000, 60);
  const BatchNormStatisticsBackward<float> once{
      .extent = {1, 60, 1}, .x = p.x, .dy = p.dy, .mean = ones, .rstd = ones, .dx = tensor[0]};
  const BatchNormDoubleBackward<float> twice{.extent = {1, 60, 1},
                                             .x = p.x,
                                             .dy = p.dy,
                                             .mean = ones,
                                             .rstd = ones,
                                             .grad_dx = p.dy,
                                             .grad_gamma = parameters};
  const BatchNormJvp<float> tangents{
      .extent = {1, 60, 1}, .x = p.x, .mean = ones, .rstd = ones, .x_dot = p.dy, .y_dot = tensor[0]};
  const auto few = ErrorCode::too_few_values;
  refused(batch_norm_statistics_backward<float>, once, few, {"1 value per channel"});
  refused(batch_norm_double_backward<float>, twice, few, {"1 value per channel"});
  refused(batch_norm_jvp<float>, tangents, few, {"1 value per channel"});
  EXPECT_NO_THROW(batch_norm_frozen_double_backward(twice));
  EXPECT_NO_THROW(batch_norm_frozen_jvp(tangents));
  EXPECT_EQ(tensor[0][7], p.dy[7]);
  EXPECT_EQ(parameters[7], p.dy[7] * p.dy[7]);
}

}  // namespace
}  // namespace unitvar::test
