#include "check/case_file.hpp"

#include <fmt/ranges.h>

#include <algorithm>

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

DiagnosisDtype dtype_of(const Array& array) {
  const std::string& name = array.dtype;
  return name == "f8"   ? DiagnosisDtype::float64
         : name == "f4" ? DiagnosisDtype::float32
         : name == "f2" ? DiagnosisDtype::float16
                        : DiagnosisDtype::bfloat16;
}

/// The least precise type of the file: rounding to it may have happened anywhere.
DiagnosisDtype dtype_of(const std::map<std::string, Array>& arrays) {
  constexpr DiagnosisDtype by_digits[] = {DiagnosisDtype::bfloat16, DiagnosisDtype::float16, DiagnosisDtype::float32};
  for (const DiagnosisDtype dtype : by_digits) {
    if (std::ranges::any_of(arrays, [&](const auto& entry) { return dtype_of(entry.second) == dtype; })) return dtype;
  }
  return DiagnosisDtype::float64;
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
  for (const DiagnosisTensor& tensor : diagnosis_tensors()) names.emplace_back(tensor.name);
  for (const auto& [name, array] : arrays) {
    const auto tensor = std::ranges::find(diagnosis_tensors(), name, &DiagnosisTensor::name);
    if (tensor == diagnosis_tensors().end()) {
      throw tool::UsageError("{}: an array named '{}', want {}{}", options.file, name, fmt::join(names, ", "),
                             tool::suggestion(name, names));
    }
    tensor->of(c) = array.values;
    c.stored.emplace_back(name, dtype_of(array));
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
