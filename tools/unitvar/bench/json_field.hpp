#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/failure.hpp"

namespace unitvar::bench {

/// A value of a JSON file, with its place for messages. Each reader throws a Failure with place, value seen and value
/// wanted.
class JsonField {
 public:
  JsonField(const nlohmann::json& value, std::string place) : value_(value), place_(std::move(place)) {}

  [[nodiscard]] bool is_null() const { return value_.is_null(); }
  [[nodiscard]] bool has(const char* name) const { return value_.is_object() && value_.contains(name); }
  /// Members, of which `name` must be one.
  [[nodiscard]] JsonField member(const char* name) const;
  [[nodiscard]] std::vector<JsonField> elements() const;
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::int64_t whole(std::int64_t least, std::int64_t most) const;
  /// Finite, and not below 0.
  [[nodiscard]] double number() const;
  /// The place of a text in `names`.
  [[nodiscard]] std::size_t choice(const std::vector<std::string>& names) const;

  /// Throws the Failure of this value.
  [[noreturn]] void refuse(std::string_view wanted) const;

 private:
  const nlohmann::json& value_;
  std::string place_;
};

}  // namespace unitvar::bench
