#include "unitvar/diagnose.hpp"

namespace unitvar {
namespace {

using Case = DiagnosisCase;
using Span = std::span<const double>;

constexpr DiagnosisTensor kTensors[] = {
    {"x", [](Case& c) -> Span& { return c.x; }, false},
    {"dy", [](Case& c) -> Span& { return c.dy; }, false},
    {"gamma", [](Case& c) -> Span& { return c.gamma; }, false},
    {"beta", [](Case& c) -> Span& { return c.beta; }, false},
    {"running_mean_before", [](Case& c) -> Span& { return c.running_mean; }, false},
    {"running_var_before", [](Case& c) -> Span& { return c.running_var; }, false},
    {"y", [](Case& c) -> Span& { return c.results.y; }, true},
    {"dx", [](Case& c) -> Span& { return c.results.dx; }, true},
    {"dgamma", [](Case& c) -> Span& { return c.results.dgamma; }, true},
    {"dbeta", [](Case& c) -> Span& { return c.results.dbeta; }, true},
    {"mean", [](Case& c) -> Span& { return c.results.mean; }, true},
    {"var", [](Case& c) -> Span& { return c.results.var; }, true},
    {"rstd", [](Case& c) -> Span& { return c.results.rstd; }, true},
    {"running_mean", [](Case& c) -> Span& { return c.results.running_mean; }, true},
    {"running_var", [](Case& c) -> Span& { return c.results.running_var; }, true},
};

}  // namespace

std::span<const DiagnosisTensor> diagnosis_tensors() noexcept { return kTensors; }

}  // namespace unitvar
