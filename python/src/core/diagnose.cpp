#include "unitvar/diagnose.hpp"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "module.hpp"

// Whether somebody's own normalization is right.
namespace unitvar::python {
namespace {

nb::dict to_dict(const Mistake& m) {
  nb::dict d;
  d["id"] = m.id;
  d["what"] = m.what;
  d["equation"] = m.equation;
  d["code"] = m.code;
  d["telling"] = m.telling;
  return d;
}

nb::list to_list(const std::vector<Mistake>& mistakes) {
  nb::list list;
  for (const Mistake& m : mistakes) list.append(to_dict(m));
  return list;
}

nb::dict to_dict(const DiagnosedTensor& t) {
  nb::dict d;
  d["name"] = t.name;
  d["right"] = t.right;
  d["hidden"] = t.hidden;
  d["error"] = t.error;
  d["tolerance"] = t.tolerance;
  d["digits"] = t.digits;
  d["worst"] = nb::tuple(nb::cast(t.worst_index));
  d["given"] = t.given;
  d["wanted"] = t.wanted;
  d["place"] = t.place;
  return d;
}

nb::dict to_dict(const Diagnosis& found) {
  nb::list tensors, explanations;
  for (const DiagnosedTensor& t : found.tensors) tensors.append(to_dict(t));
  for (const DiagnosisExplanation& e : found.explanations) {
    nb::dict d;
    d["tensors"] = nb::tuple(nb::cast(e.tensors));
    d["mistakes"] = to_list(e.mistakes);
    d["error"] = e.error;
    explanations.append(d);
  }
  nb::dict d;
  d["right"] = found.right;
  d["hidden"] = found.hidden;
  d["tensors"] = tensors;
  d["explanations"] = explanations;
  d["untold"] = to_list(found.untold);
  d["text"] = to_string(found);
  return d;
}

/// Where the array of a name goes.
std::span<const double>& place(DiagnosisCase& c, std::string_view name) {
  const auto tensor = std::ranges::find(diagnosis_tensors(), name, &DiagnosisTensor::name);
  if (tensor == diagnosis_tensors().end())
    throw nb::value_error(("check: no tensor is called '" + std::string(name) + "'").c_str());
  return tensor->of(c);
}

DiagnosisDtype dtype_of(int code) {
  return with_dtype(code, []<class T>() {
    if constexpr (std::is_same_v<T, double>) return DiagnosisDtype::float64;
    if constexpr (std::is_same_v<T, bf16>) return DiagnosisDtype::bfloat16;
    if constexpr (std::is_same_v<T, f16>) return DiagnosisDtype::float16;
    return DiagnosisDtype::float32;
  });
}

}  // namespace

void define_diagnose(nb::module_& m) {
  m.def("diagnose", [](int operation, bool channels_last, std::vector<int64_t> shape, int64_t groups, double eps,
                       double momentum, bool relu, bool inference, int dtype, const std::vector<std::string>& names,
                       const std::vector<int>& stored, const std::vector<In>& arrays) {
    DiagnosisCase c;
    c.operation = static_cast<DiagnosisOperation>(operation);
    c.layout = channels_last ? DiagnosisLayout::channels_last : DiagnosisLayout::channels_first;
    c.shape = std::move(shape);
    c.groups = groups, c.eps = eps, c.momentum = momentum, c.relu = relu, c.inference = inference;
    c.dtype = dtype_of(dtype);
    for (std::size_t k = 0; k < names.size(); ++k) {
      place(c, names[k]) = arrays.at(k).of<double>(0);
      c.stored.emplace_back(names[k], dtype_of(stored.at(k)));
    }
    return to_dict(without_lock([&] { return diagnose(c); }));
  });
  m.def("diagnosed_mistakes", [] { return to_list(diagnosed_mistakes()); });
}

}  // namespace unitvar::python
