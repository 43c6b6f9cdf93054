#pragma once
#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "common/number.hpp"

/// Options that several commands add.
namespace unitvar::cli {

/// CLI11 alone would take 010 for 8 and turn -1 into a huge seed.
template <class Number>
void add_number(CLI::App& command, const std::string& name, Number& value, const std::string& help) {
  const auto assign = [&value, name](const std::string& text) { value = tool::parse_number<Number>(name, text); };
  command.add_option_function<std::string>(name, assign, help)
      ->type_name("NUMBER")
      ->default_str(fmt::format("{}", value));
}

/// What is given is kept as it is, so that an empty text is seen and refused.
inline void add_text(CLI::App& command, const std::string& name, std::optional<std::string>& value,
                     const std::string& type, const std::string& help) {
  command
      .add_option_function<std::string>(
          name, [&value](const std::string& text) { value = text; }, help)
      ->type_name(type);
}

}  // namespace unitvar::cli
