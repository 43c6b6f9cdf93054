#include <fuzzer/FuzzedDataProvider.h>

#include <cstdio>

#include "fuzz/filled.hpp"
#include "unitvar/diagnose.hpp"

/// Forward and backward of the five families beside their definition in double, within the rounding of the dtype: what
/// unitvar::diagnose calls right.
namespace unitvar::fuzz {
namespace {

constexpr DiagnosisDtype kDtypes[] = {DiagnosisDtype::float32, DiagnosisDtype::float64, DiagnosisDtype::bfloat16,
                                      DiagnosisDtype::float16};

class Layer {
 public:
  explicit Layer(FuzzedDataProvider& in)
      : dtype_(in.ConsumeIntegralInRange<std::int32_t>(UNITVAR_F32, UNITVAR_F16)),
        n_(in.ConsumeIntegralInRange<std::int64_t>(1, 6)),
        c_(4 * in.ConsumeIntegralInRange<std::int64_t>(1, 5)),
        s_(in.ConsumeIntegralInRange<std::int64_t>(2, 40)),
        offset_(in.ConsumeBool() ? 20 : 0),
        random_(in.ConsumeIntegral<std::uint32_t>()) {
    given_.dtype = kDtypes[dtype_];
    given_.shape = {n_, c_, s_};
    const auto size = static_cast<std::size_t>(n_ * c_ * s_);
    make(x_, dtype_, size, offset_);
    make(dy_, dtype_, size, 0);
    y_.resize(size * size_of(dtype_));
    dx_.resize(y_.size());
  }

  void run(DiagnosisOperation operation) {
    given_.operation = operation;
    const bool rows = operation == DiagnosisOperation::layer_norm || operation == DiagnosisOperation::rms_norm;
    const auto parameters = static_cast<std::size_t>(rows ? s_ : c_);
    make(gamma_, parameter_of(dtype_), parameters, 1.5);
    make(beta_, parameter_of(dtype_), parameters, 0);
    dgamma_.resize(gamma_.size());
    dbeta_.resize(gamma_.size());
    const auto statistics = static_cast<std::size_t>(operation == DiagnosisOperation::batch_norm ? c_ : n_ * c_);
    mean_.assign(statistics, 0);
    rstd_.assign(statistics, 0);
    switch (operation) {
      case DiagnosisOperation::batch_norm:
        batch();
        break;
      case DiagnosisOperation::layer_norm:
        row<unitvar_layer_norm_forward_args>();
        break;
      case DiagnosisOperation::rms_norm:
        row<unitvar_rms_norm_forward_args>();
        break;
      case DiagnosisOperation::group_norm:
        group(given_.groups = 4);
        break;
      case DiagnosisOperation::instance_norm:
        group(0);
        break;
    }
    judge();
  }

 private:
  void make(std::vector<std::byte>& to, unitvar_dtype dtype, std::size_t n, double mean) {
    to.resize(n * size_of(dtype));
    for (std::size_t k = 0; k < n; ++k) {
      store(dtype, mean + std::normal_distribution<double>()(random_), &to[k * size_of(dtype)]);
    }
  }
  template <class Args>
  Args args() {
    Args a{};
    a.struct_size = sizeof a;
    a.dtype = dtype_;
    return a;
  }
  template <class Args>
  void forward_of(Args& a) {
    a.x = x_.data(), a.gamma = gamma_.data(), a.beta = beta_.data(), a.y = y_.data(), a.rstd = rstd_.data();
    a.eps = given_.eps;
    if constexpr (requires { a.mean; }) a.mean = mean_.data();
  }
  template <class Args>
  void backward_of(Args& a) {
    a.x = x_.data(), a.dy = dy_.data(), a.rstd = rstd_.data(), a.gamma = gamma_.data();
    a.dx = dx_.data(), a.dgamma = dgamma_.data(), a.dbeta = dbeta_.data();
    if constexpr (requires { a.mean; }) a.mean = mean_.data();
  }
  static void must(unitvar_status status) {
    if (status == UNITVAR_OK) return;
    std::fprintf(stderr, "%s\n", unitvar_last_error());
    __builtin_trap();
  }

  void batch() {
    auto forward = args<unitvar_batch_norm_forward_args>();
    auto backward = args<unitvar_batch_norm_backward_args>();
    forward.extent = backward.extent = {n_, c_, s_};
    forward_of(forward);
    backward_of(backward);
    must(unitvar_batch_norm_forward(&forward, nullptr));
    must(unitvar_batch_norm_backward(&backward, nullptr));
  }
  void group(std::int64_t groups) {
    auto forward = args<unitvar_group_norm_forward_args>();
    auto backward = args<unitvar_group_norm_backward_args>();
    forward.groups = backward.groups = {{n_, c_, s_}, 1, groups};
    forward_of(forward);
    backward_of(backward);
    must(unitvar_group_norm_forward(&forward, nullptr));
    must(unitvar_group_norm_backward(&backward, nullptr));
  }
  template <class Forward>
  void row() {
    constexpr bool kLayer = std::is_same_v<Forward, unitvar_layer_norm_forward_args>;
    auto forward = args<Forward>();
    auto backward =
        args<std::conditional_t<kLayer, unitvar_layer_norm_backward_args, unitvar_rms_norm_backward_args>>();
    forward.extent = backward.extent = {n_ * c_, s_};
    forward_of(forward);
    backward_of(backward);
    if constexpr (kLayer) {
      must(unitvar_layer_norm_forward(&forward, nullptr));
      must(unitvar_layer_norm_backward(&backward, nullptr));
    } else {
      must(unitvar_rms_norm_forward(&forward, nullptr));
      must(unitvar_rms_norm_backward(&backward, nullptr));
    }
  }

  static std::vector<double> widened(const std::vector<std::byte>& from, unitvar_dtype dtype) {
    std::vector<double> to;
    for (std::size_t k = 0; k < from.size(); k += size_of(dtype)) to.push_back(load(dtype, &from[k]));
    return to;
  }
  void judge() {
    const unitvar_dtype of_parameters = parameter_of(dtype_);
    const auto x = widened(x_, dtype_), dy = widened(dy_, dtype_), y = widened(y_, dtype_), dx = widened(dx_, dtype_);
    const auto gamma = widened(gamma_, of_parameters), beta = widened(beta_, of_parameters);
    const auto dgamma = widened(dgamma_, of_parameters), dbeta = widened(dbeta_, of_parameters);
    given_.x = x, given_.dy = dy, given_.gamma = gamma, given_.beta = beta;
    given_.results = {.y = y, .dx = dx, .dgamma = dgamma, .dbeta = dbeta};
    const Diagnosis found = diagnose(given_);
    if (found.right) return;
    std::fprintf(stderr, "dtype %d, shape %lld x %lld x %lld\n%s\n", dtype_, static_cast<long long>(n_),
                 static_cast<long long>(c_), static_cast<long long>(s_), to_string(found).c_str());
    __builtin_trap();
  }

  unitvar_dtype dtype_;
  std::int64_t n_, c_, s_;
  double offset_;
  std::minstd_rand random_;
  DiagnosisCase given_;
  std::vector<std::byte> x_, dy_, y_, dx_, gamma_, beta_, dgamma_, dbeta_;
  std::vector<double> mean_, rstd_;
};

}  // namespace
}  // namespace unitvar::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider in(data, size);
  const auto operation = static_cast<unitvar::DiagnosisOperation>(in.ConsumeIntegralInRange<int>(0, 4));
  unitvar::fuzz::Layer(in).run(operation);
  return 0;
}
