#include "unitvar/batch_norm.hpp"

#include "core/standard_arithmetic.hpp"
#include "cpu/runtime/check_options.hpp"
#include "ops/argument_checks.hpp"
#include "ops/batch_norm/inference.hpp"
#include "ops/batch_norm/training.hpp"

namespace unitvar {
namespace {

using core::Arguments;

template <class T>
void check_arguments(const BatchNormForward<T>& a, const Options& options) {
  Arguments check("batch_norm_forward");
  ops::check_forward_spans(check, a, ops::checked_lengths<T>(check, a.extent));
  check.no_overlap();
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  check.more_than_one_value(a.extent.count(), options);
  cpu::check_options(check, options);
}

template <class T>
void check_arguments(const BatchNormInference<T>& a, const Options& options) {
  Arguments check("batch_norm_inference");
  ops::check_inference_spans(check, a, ops::checked_lengths<T>(check, a.extent));
  check.finite("eps", a.eps, ErrorCode::bad_epsilon);
  ops::check_variances(check, a.var, a.eps);
  cpu::check_options(check, options);
}

template <class T>
void check_arguments(const BatchNormBackward<T>& a, const Options& options) {
  Arguments check("batch_norm_backward");
  ops::check_backward_spans(check, a, ops::checked_lengths<T>(check, a.extent));
  check.more_than_one_value(a.extent.count(), options);
  cpu::check_options(check, options);
}

}  // namespace

template <class T>
double batch_norm_forward(const BatchNormForward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  sync::prepare_together(options, [&] { check_arguments(args, options); });
  return ops::training_forward<T>("batch_norm_forward", args, options, ops::affine<T>(args));
}

template <class T>
void batch_norm_inference(const BatchNormInference<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  check_arguments(args, options);
  ops::normalize_by_variance<T>(args, options);
}

template <class T>
void batch_norm_backward(const BatchNormBackward<T>& args, const Options& options) {
  const core::StandardArithmetic arithmetic;
  sync::prepare_together(options, [&] { check_arguments(args, options); });
  ops::prepare_backward<T>("batch_norm_backward", args, options, ops::gradient_finish<T>(args),
                           ops::parameter_gradients<T>(args))
      .run();
}

#define UNITVAR_INSTANTIATE(T)                                                         \
  template double batch_norm_forward<T>(const BatchNormForward<T>&, const Options&);   \
  template void batch_norm_inference<T>(const BatchNormInference<T>&, const Options&); \
  template void batch_norm_backward<T>(const BatchNormBackward<T>&, const Options&);
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
