// Built where oneDNN 3.3 or later was found; in other programs nobody makes one.
#include "bench/onednn_groups.hpp"

#include "bench/problem.hpp"

#if UNITVAR_ONEDNN
#include <oneapi/dnnl/dnnl.hpp>
#endif

#if UNITVAR_ONEDNN && (DNNL_VERSION_MAJOR > 3 || (DNNL_VERSION_MAJOR == 3 && DNNL_VERSION_MINOR >= 3))
#include <unordered_map>

#include "bench/onednn_types.hpp"

namespace unitvar::bench {
namespace {

using dnnl::memory;
using Forward = dnnl::group_normalization_forward;
using Backward = dnnl::group_normalization_backward;

dnnl::normalization_flags parameters() {
  return dnnl::normalization_flags::use_scale | dnnl::normalization_flags::use_shift;
}

Forward::primitive_desc describe_forward(const memory::desc& tensor, std::int64_t groups, const dnnl::engine& engine) {
  const auto kind = dnnl::prop_kind::forward_training;
  return {engine, kind, tensor, tensor, groups, static_cast<float>(eps), parameters()};
}

Backward::primitive_desc describe_backward(const memory::desc& tensor, std::int64_t groups,
                                           const dnnl::engine& engine) {
  const auto kind = dnnl::prop_kind::backward;
  return {engine,
          kind,
          tensor,
          tensor,
          tensor,
          groups,
          static_cast<float>(eps),
          parameters(),
          describe_forward(tensor, groups, engine)};
}

// Depth counts as height: normalization does not care.
memory::desc tensor_of(const OnednnGroupProblem& problem) {
  const Shape& s = problem.shape;
  const bool first = problem.layout == Layout::channels_first;
  return {{s.n, s.c, s.d * s.h, s.w},
          *onednn_type(problem.dtype),
          first ? memory::format_tag::nchw : memory::format_tag::nhwc};
}

}  // namespace

bool onednn_supports_groups(std::string_view dtype) {
  if (!onednn_type(dtype)) return false;
  try {
    const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    (void)describe_backward({{2, 16, 2, 2}, *onednn_type(dtype), memory::format_tag::nchw}, 4, engine);
    return true;
  } catch (const dnnl::error&) {
    return false;  // bf16 and f16 need instructions that not every machine has.
  }
}

struct OnednnGroups::Implementation {
  explicit Implementation(OnednnGroupProblem of)
      : problem(std::move(of)),
        dgamma(problem.gamma.size()),
        dbeta(problem.gamma.size()),
        mean(static_cast<std::size_t>(problem.shape.n * problem.groups)),
        var(mean) {
    const memory::desc statistics({problem.shape.n, problem.groups}, memory::data_type::f32, memory::format_tag::ab);
    const memory::desc channels({problem.shape.c}, memory::data_type::f32, memory::format_tag::a);
    const auto of_tensor = [&](void* data) { return memory(tensor, engine, data); };
    const auto of_channels = [&](std::vector<float>& values) { return memory(channels, engine, values.data()); };
    outputs = {{DNNL_ARG_SRC, of_tensor(problem.x)},
               {DNNL_ARG_MEAN, memory(statistics, engine, mean.data())},
               {DNNL_ARG_VARIANCE, memory(statistics, engine, var.data())},
               {DNNL_ARG_SCALE, of_channels(problem.gamma)}};
    gradients = outputs;
    outputs[DNNL_ARG_SHIFT] = of_channels(problem.beta);
    outputs[DNNL_ARG_DST] = of_tensor(problem.out);
    gradients[DNNL_ARG_DIFF_DST] = of_tensor(problem.dy);
    gradients[DNNL_ARG_DIFF_SRC] = of_tensor(problem.out);
    gradients[DNNL_ARG_DIFF_SCALE] = of_channels(dgamma);
    gradients[DNNL_ARG_DIFF_SHIFT] = of_channels(dbeta);
  }

  OnednnGroupProblem problem;
  std::vector<float> dgamma, dbeta, mean, var;
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  memory::desc tensor = tensor_of(problem);
  Forward::primitive_desc forward_desc = describe_forward(tensor, problem.groups, engine);
  Backward::primitive_desc backward_desc = describe_backward(tensor, problem.groups, engine);
  Forward forward{forward_desc};
  Backward backward{backward_desc};
  std::unordered_map<int, memory> outputs, gradients;
};

OnednnGroups::OnednnGroups(OnednnGroupProblem problem)
    : implementation_(std::make_unique<Implementation>(std::move(problem))) {}

void OnednnGroups::run(Pass pass) {
  Implementation& all = *implementation_;
  if (pass == Pass::backward) {
    all.backward.execute(all.stream, all.gradients);
  } else {
    all.forward.execute(all.stream, all.outputs);
  }
  all.stream.wait();
}

std::string OnednnGroups::name(Pass pass) const {
  const Implementation& all = *implementation_;
  const std::string format = all.problem.layout == Layout::channels_first ? "nchw " : "nhwc ";
  return format + (pass == Pass::backward ? all.backward_desc.impl_info_str() : all.forward_desc.impl_info_str());
}

std::span<const float> OnednnGroups::dgamma() const { return implementation_->dgamma; }
std::span<const float> OnednnGroups::dbeta() const { return implementation_->dbeta; }

}  // namespace unitvar::bench
#else
namespace unitvar::bench {

struct OnednnGroups::Implementation {};

bool onednn_supports_groups(std::string_view) { return false; }
OnednnGroups::OnednnGroups(OnednnGroupProblem) {}  // NOLINT(performance-unnecessary-value-param): as where oneDNN is
void OnednnGroups::run(Pass) {}
std::string OnednnGroups::name(Pass) const { return {}; }
std::span<const float> OnednnGroups::dgamma() const { return {}; }
std::span<const float> OnednnGroups::dbeta() const { return {}; }

}  // namespace unitvar::bench
#endif

namespace unitvar::bench {

OnednnGroups::~OnednnGroups() = default;

}  // namespace unitvar::bench
