#include "unitvar/diagnose.hpp"

namespace unitvar {
namespace {

using Case = DiagnosisCase;
using Span = std::span<const double>;

constexpr DiagnosisTensor kTensors[] = {
    {"x", [](Case& c) -> Span& { return c.x; }},
    {"dy", [](Case& c) -> Span& { return c.dy; }},
    {"gamma", [](Case& c) -> Span& { return c.gamma; }},
    {"beta", [](Case& c) -> Span& { return c.beta; }},
    {"running_mean_before", [](Case& c) -> Span& { return c.running_mean; }},
    {"running_var_before", [](Case& c) -> Span& { return c.running_var; }},
    {"y", [](Case& c) -> Span& { return c.results.y; }},
    {"dx", [](Case& c) -> Span& { return c.results.dx; }},
    {"dgamma", [](Case& c) -> Span& { return c.results.dgamma; }},
    {"dbeta", [](Case& c) -> Span& { return c.results.dbeta; }},
    {"mean", [](Case& c) -> Span& { return c.results.mean; }},
    {"var", [](Case& c) -> Span& { return c.results.var; }},
    {"rstd", [](Case& c) -> Span& { return c.results.rstd; }},
    {"running_mean", [](Case& c) -> Span& { return c.results.running_mean; }},
    {"running_var", [](Case& c) -> Span& { return c.results.running_var; }},
};

}  // namespace

std::span<const DiagnosisTensor> diagnosis_tensors() noexcept { return kTensors; }

}  // namespace unitvar
