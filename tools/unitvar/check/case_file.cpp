#include "check/case_file.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "common/failure.hpp"
#include "common/suggestion.hpp"

namespace unitvar::check {
namespace {

using Case = DiagnosisCase;

const std::map<std::string, DiagnosisOperation> kOperations = {{"batch_norm", DiagnosisOperation::batch_norm},
                                                               {"layer_norm", DiagnosisOperation::layer_norm},
                                                               {"rms_norm", DiagnosisOperation::rms_norm},
                                                               {"group_norm", DiagnosisOperation::group_norm},
                                                               {"instance_norm", DiagnosisOperation::instance_norm}};
const std::map<std::string, DiagnosisLayout> kLayouts = {{"channels_first", DiagnosisLayout::channels_first},
                                                         {"channels_last", DiagnosisLayout::channels_last}};
const std::map<std::string, DiagnosisDtype> kDtypes = {{"f32", DiagnosisDtype::float32},
                                                       {"f64", DiagnosisDtype::float64},
                                                       {"bf16", DiagnosisDtype::bfloat16},
                                                       {"f16", DiagnosisDtype::float16}};

struct Place {
  const char* name;
  std::span<const double>& (*of)(Case& c);
};
using Span = std::span<const double>;

const std::array kPlaces = {
    Place{"x", [](Case& c) -> Span& { return c.x; }},
    Place{"dy", [](Case& c) -> Span& { return c.dy; }},
    Place{"gamma", [](Case& c) -> Span& { return c.gamma; }},
    Place{"beta", [](Case& c) -> Span& { return c.beta; }},
    Place{"running_mean_before", [](Case& c) -> Span& { return c.running_mean; }},
    Place{"running_var_before", [](Case& c) -> Span& { return c.running_var; }},
    Place{"y", [](Case& c) -> Span& { return c.results.y; }},
    Place{"dx", [](Case& c) -> Span& { return c.results.dx; }},
    Place{"dgamma", [](Case& c) -> Span& { return c.results.dgamma; }},
    Place{"dbeta", [](Case& c) -> Span& { return c.results.dbeta; }},
    Place{"mean", [](Case& c) -> Span& { return c.results.mean; }},
    Place{"var", [](Case& c) -> Span& { return c.results.var; }},
    Place{"rstd", [](Case& c) -> Span& { return c.results.rstd; }},
    Place{"running_mean", [](Case& c) -> Span& { return c.results.running_mean; }},
    Place{"running_var", [](Case& c) -> Span& { return c.results.running_var; }},
};

template <class Value>
Value chosen(const char* option, const std::string& text, const std::map<std::string, Value>& table) {
  std::vector<std::string> names;
  for (const auto& entry : table) names.push_back(entry.first);
  const auto found = table.find(text);
  if (found == table.end()) {
    throw tool::UsageError("{} is '{}', want {}{}", option, text, fmt::join(names, ", "),
                           tool::suggestion(text, names));
  }
  return found->second;
}

/// The least precise type of the file: rounding to it may have happened anywhere.
DiagnosisDtype dtype_of(const std::map<std::string, Array>& arrays) {
  const auto rank = [](const std::string& dtype) {
    return dtype == "f8" ? 0 : dtype == "f4" ? 1 : dtype == "f2" ? 2 : 3;
  };
  int coarsest = 0;
  for (const auto& entry : arrays) coarsest = std::max(coarsest, rank(entry.second.dtype));
  constexpr DiagnosisDtype of[] = {DiagnosisDtype::float64, DiagnosisDtype::float32, DiagnosisDtype::float16,
                                   DiagnosisDtype::bfloat16};
  return of[coarsest];
}

}  // namespace

DiagnosisCase case_of(const std::map<std::string, Array>& arrays, const Options& options) {
  Case c;
  c.operation = chosen("--op", options.op, kOperations);
  c.layout = chosen("--layout", options.layout, kLayouts);
  c.groups = options.groups, c.eps = options.eps, c.momentum = options.momentum;
  c.relu = options.relu, c.inference = options.inference;
  c.dtype = options.dtype ? chosen("--dtype", *options.dtype, kDtypes) : dtype_of(arrays);
  std::vector<std::string> names;
  for (const Place& place : kPlaces) names.emplace_back(place.name);
  for (const auto& [name, array] : arrays) {
    const auto place = std::ranges::find(kPlaces, name, [](const Place& p) { return std::string(p.name); });
    if (place == kPlaces.end()) {
      throw tool::UsageError("{}: an array named '{}', want {}{}", options.file, name, fmt::join(names, ", "),
                             tool::suggestion(name, names));
    }
    place->of(c) = array.values;
    const bool like_x = name == "y" || name == "dx" || name == "dy";
    if (like_x && arrays.contains("x") && array.shape != arrays.at("x").shape) {
      throw tool::UsageError("{}: {} has shape ({}), want that of x, ({})", options.file, name,
                             fmt::join(array.shape, ", "), fmt::join(arrays.at("x").shape, ", "));
    }
  }
  if (!arrays.contains("x")) throw tool::UsageError("{}: no array named 'x'", options.file);
  c.shape = arrays.at("x").shape;
  return c;
}

}  // namespace unitvar::check
