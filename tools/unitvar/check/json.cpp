#include "check/json.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

namespace unitvar::check {
namespace {

using nlohmann::ordered_json;

ordered_json number(double value) { return std::isfinite(value) ? ordered_json(value) : ordered_json(nullptr); }

ordered_json of(const Mistake& m) {
  return {{"id", m.id}, {"what", m.what}, {"equation", m.equation}, {"code", m.code}, {"telling", m.telling}};
}

ordered_json of(const DiagnosedTensor& t) {
  return {{"name", t.name},
          {"right", t.right},
          {"hidden", t.hidden},
          {"error", number(t.error)},
          {"tolerance", number(t.tolerance)},
          {"digits", number(t.digits)},
          {"worst_index", t.worst_index},
          {"given", number(t.given)},
          {"wanted", number(t.wanted)},
          {"place", t.place}};
}

ordered_json of(const DiagnosisExplanation& e) {
  ordered_json mistakes = ordered_json::array();
  for (const Mistake& m : e.mistakes) mistakes.push_back(of(m));
  return {{"tensors", e.tensors}, {"mistakes", mistakes}, {"error", number(e.error)}};
}

}  // namespace

std::string json_text(const Diagnosis& diagnosis) {
  ordered_json object = {{"right", diagnosis.right}, {"hidden", diagnosis.hidden}};
  object["tensors"] = ordered_json::array();
  object["explanations"] = ordered_json::array();
  object["untold"] = ordered_json::array();
  for (const DiagnosedTensor& t : diagnosis.tensors) object["tensors"].push_back(of(t));
  for (const DiagnosisExplanation& e : diagnosis.explanations) object["explanations"].push_back(of(e));
  for (const Mistake& m : diagnosis.untold) object["untold"].push_back(of(m));
  return object.dump(2) + "\n";
}

}  // namespace unitvar::check
