#include "unitvar/renorm.hpp"

#include <string>

#include "core/standard_arithmetic.hpp"
#include "core/text.hpp"
#include "cpu/runtime/check_options.hpp"
#include "ops/argument_checks.hpp"
#include "ops/batch_norm/training.hpp"

namespace unitvar {
namespace {

using core::Arguments;

void at_least(const Arguments& check, const char* name, double value, double least) {
  if (value >= least) return;
  check.fail(ErrorCode::bad_argument,
             std::string(name) + " is " + core::number(value) + ", want " + core::number(least) + " or more");
}

template <class T>
void check_arguments(const BatchNormRenormForward<T>& a, const Options& options) {
  Arguments check("batch_norm_renorm_forward");
  ops::check_forward_spans(check, a, ops::checked_lengths<T>(check, a.extent));
  check.no_overlap();
  at_least(check, "r_max", a.r_max, 1);
  at_least(check, "d_max", a.d_max, 0);
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  ops::check_variances(check, a.running_var, a.eps, "running_var");
  check.more_than_one_value(a.extent.count(), options);
  cpu::check_options(check, options);
}

template <class T>
void check_arguments(const BatchNormRenormBackward<T>& a, const Options& options) {
  Arguments check("batch_norm_renorm_backward");
  ops::check_backward_spans(check, a, ops::checked_lengths<T>(check, a.extent));
  check.more_than_one_value(a.extent.count(), options);
  cpu::check_options(check, options);
}

}  // namespace

template <class T>
void batch_norm_renorm_forward(const BatchNormRenormForward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  sync::prepare_together(options, [&] { check_arguments(args, options); });
  const auto arrays = sync::prepare_together(options, [&] { return cpu::ChannelArrays(2, args.extent.channels); });
  const math::Renorm<param_t<T>> channel{.gamma = core::data_or_null(args.gamma),
                                         .beta = core::data_or_null(args.beta),
                                         .eps = args.eps,
                                         .running_mean = args.running_mean.data(),
                                         .running_var = args.running_var.data(),
                                         .r_max = args.r_max,
                                         .d_max = args.d_max,
                                         .r = arrays[0],
                                         .d = arrays[1]};
  ops::training_forward<T>("batch_norm_renorm_forward", args, options, channel);
  cpu::store_if_wanted(channel.r, args.r);
  cpu::store_if_wanted(channel.d, args.d);
}

template <class T>
void batch_norm_renorm_backward(const BatchNormRenormBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  sync::prepare_together(options, [&] { check_arguments(args, options); });
  const math::RenormGradientFinish<param_t<T>> channel{
      .rstd = args.rstd.data(), .gamma = core::data_or_null(args.gamma), .r = args.r.data()};
  const math::RenormParameterGradients<param_t<T>> parameters{.rstd = args.rstd.data(),
                                                              .r = args.r.data(),
                                                              .d = args.d.data(),
                                                              .dgamma = core::data_or_null(args.dgamma),
                                                              .dbeta = core::data_or_null(args.dbeta)};
  ops::prepare_backward<T>("batch_norm_renorm_backward", args, options, channel, parameters).run();
}

#define UNITVAR_INSTANTIATE(T)                                                                  \
  template void batch_norm_renorm_forward<T>(const BatchNormRenormForward<T>&, const Options&); \
  template void batch_norm_renorm_backward<T>(const BatchNormRenormBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
