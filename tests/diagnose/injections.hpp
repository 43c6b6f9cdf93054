#pragma once
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "diagnose/plain_layer.hpp"

namespace unitvar::test {

/// A mistake of the catalogue, made by hand in a plain layer.
struct Injection {
  const char* id;
  std::function<void(const Images& p, PlainLayer& layer)> make;
  std::set<std::string> same_as{};  ///< other mistakes that give the same results
};

/// One for each mistake that needs no other case than Images.
std::vector<Injection> injections();

/// The mistakes that are named, and the tensors that they explain.
inline std::set<std::string> named(const Diagnosis& found) {
  std::set<std::string> ids;
  for (const DiagnosisExplanation& e : found.explanations) {
    for (const Mistake& m : e.mistakes) ids.insert(m.id);
  }
  return ids;
}

inline std::set<std::string> explained(const Diagnosis& found) {
  std::set<std::string> tensors;
  for (const DiagnosisExplanation& e : found.explanations) tensors.insert(e.tensors.begin(), e.tensors.end());
  return tensors;
}

}  // namespace unitvar::test
