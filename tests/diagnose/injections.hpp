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

}  // namespace unitvar::test
