#include "bench/json_field.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace unitvar::bench {
namespace {

// A whole tensor of rows is no message.
std::string shortened(std::string text) {
  constexpr std::size_t longest = 60;
  if (text.size() > longest) text = text.substr(0, longest) + "...";
  return text;
}

}  // namespace

void JsonField::refuse(std::string_view wanted) const {
  throw tool::Failure("{} is {}, want {}", place_, shortened(value_.dump()), wanted);
}

JsonField JsonField::member(const char* name) const {
  if (!value_.is_object()) refuse("an object");
  const auto found = value_.find(name);
  if (found == value_.end()) throw tool::Failure("{} has no {}, want what unitvar bench --json writes", place_, name);
  return {*found, fmt::format("{}: {}", place_, name)};
}

std::vector<JsonField> JsonField::elements() const {
  if (!value_.is_array()) refuse("an array");
  std::vector<JsonField> all;
  all.reserve(value_.size());
  for (const auto& element : value_) all.emplace_back(element, fmt::format("{}[{}]", place_, all.size()));
  return all;
}

std::string JsonField::text() const {
  if (!value_.is_string()) refuse("a text");
  return value_.get<std::string>();
}

std::int64_t JsonField::whole(std::int64_t least, std::int64_t most) const {
  // What is above every int64 is unsigned.
  const bool fits =
      value_.is_number_integer() && !(value_.is_number_unsigned() && value_.get<std::uint64_t>() >> 63 != 0);
  if (!fits || value_.get<std::int64_t>() < least || value_.get<std::int64_t>() > most) {
    refuse(fmt::format("a whole number from {} to {}", least, most));
  }
  return value_.get<std::int64_t>();
}

double JsonField::number() const {
  const double number = value_.is_number() ? value_.get<double>() : -1;
  if (!(std::isfinite(number) && number >= 0)) refuse("a number not below 0");
  return number;
}

std::size_t JsonField::choice(const std::vector<std::string>& names) const {
  const auto found = value_.is_string() ? std::ranges::find(names, value_.get<std::string>()) : names.end();
  if (found == names.end()) refuse(fmt::format("{}", fmt::join(names, ", ")));
  return static_cast<std::size_t>(found - names.begin());
}

}  // namespace unitvar::bench
