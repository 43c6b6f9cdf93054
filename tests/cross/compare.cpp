#include "compare.hpp"

#include <map>
#include <sstream>
#include <utility>

namespace unitvar::cross {
namespace {

/// Names and values, in their order.
using Entries = std::vector<std::pair<std::string, std::string>>;

Entries entries_of(const std::vector<std::string>& texts, char separator) {
  Entries entries;
  for (const std::string& text : texts) {
    const std::size_t end = text.find(separator);
    entries.emplace_back(text.substr(0, end), end == std::string::npos ? std::string() : text.substr(end + 1));
  }
  return entries;
}

Entries results_of(const std::string& line) {
  std::istringstream words(line);
  std::vector<std::string> results;
  for (std::string word; words >> word;) results.push_back(word);
  return entries_of(results, '=');
}

/// `describe` says how two values of one name differ.
template <class Describe>
Difference difference_of(const Entries& seen, const Entries& recorded, const Describe& describe) {
  std::map<std::string, std::string> unmatched(recorded.begin(), recorded.end());
  Difference d;
  for (const auto& [name, value] : seen) {
    const auto match = unmatched.find(name);
    if (match == unmatched.end()) {
      d.added.push_back(name);
      continue;
    }
    if (match->second != value) d.other.push_back(name + describe(value, match->second));
    unmatched.erase(match);
  }
  for (const auto& [name, value] : recorded) {
    if (unmatched.count(name) != 0) d.missing.push_back(name);
  }
  return d;
}

std::string differing_results(const std::string& seen, const std::string& recorded) {
  const Difference d = difference_of(results_of(seen), results_of(recorded),
                                     [](const std::string&, const std::string&) { return std::string(); });
  std::string text = ":";
  for (const std::string& name : d.other) text += " " + name;
  for (const std::string& name : d.added) text += " " + name + " (not recorded)";
  for (const std::string& name : d.missing) text += " " + name + " (missing)";
  return text;
}

}  // namespace

Difference difference(const std::vector<std::string>& seen, const std::vector<std::string>& recorded) {
  return difference_of(entries_of(seen, ':'), entries_of(recorded, ':'), differing_results);
}

}  // namespace unitvar::cross
