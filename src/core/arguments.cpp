#include "core/arguments.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "core/ranks.hpp"
#include "core/text.hpp"

namespace unitvar::core {

void Arguments::fail(ErrorCode code, const std::string& what) const {
  throw Error(code, std::string(operation_) + ": " + what);
}

void Arguments::add(const Argument& argument, const Length& length) {
  const std::string name = argument.name;
  if (argument.length != static_cast<std::size_t>(length.elements)) {
    fail(ErrorCode::wrong_length, name + " has " + std::to_string(argument.length) + " elements, want " +
                                      length.meaning + " = " + std::to_string(length.elements));
  }
  if (argument.data == nullptr && length.elements > 0) {
    fail(ErrorCode::null_data, name + " is null, want " + std::to_string(length.elements) + " elements");
  }
  aligned(argument);
  arguments_.at(size_++) = argument;
}

void Arguments::add_value(const Argument& value) const {
  aligned(value);
  for (std::size_t i = 0; i < size_; ++i) {
    if (!meet(value, arguments_[i])) continue;
    fail(ErrorCode::overlap, std::string(value.name) + " overlaps " + arguments_[i].name + ", want separate memory");
  }
}

void Arguments::aligned(const Argument& argument) const {
  const auto past = reinterpret_cast<std::uintptr_t>(argument.data) % argument.alignment;
  if (past == 0) return;
  fail(ErrorCode::bad_argument, std::string(argument.name) + " is misaligned: its address is a multiple of " +
                                    std::to_string(argument.alignment) + " plus " + std::to_string(past) +
                                    ", want a multiple of " + std::to_string(argument.alignment));
}

bool Arguments::meet(const Argument& a, const Argument& b) noexcept {
  const auto begin = [](const Argument& of) { return reinterpret_cast<std::uintptr_t>(of.data); };
  const auto end = [&](const Argument& of) { return begin(of) + of.length * of.bytes_per_element; };
  return a.length > 0 && b.length > 0 && begin(a) < end(b) && begin(b) < end(a);
}

void Arguments::no_overlap(std::initializer_list<Same> allowed) const {
  const auto may_be_same = [&](const Argument& a, const Argument& b) {
    return std::any_of(allowed.begin(), allowed.end(), [&](const Same& same) {
      return std::strcmp(a.name, same.output) == 0 && std::strcmp(b.name, same.input) == 0;
    });
  };
  for (std::size_t i = 0; i < size_; ++i) {
    const Argument& a = arguments_[i];
    if (!a.is_output) continue;
    for (std::size_t j = 0; j < size_; ++j) {
      const Argument& b = arguments_[j];
      if (i == j || (b.is_output && j < i) || !meet(a, b)) continue;
      const bool same = may_be_same(a, b);
      if (same && a.data == b.data) continue;
      fail(ErrorCode::overlap, std::string(a.name) + " overlaps " + b.name + ", want " +
                                   (same ? "exactly the same or separate memory" : "separate memory"));
    }
  }
}

void Arguments::finite(const char* name, double value, ErrorCode code) const {
  if (!std::isfinite(value)) fail(code, std::string(name) + " is " + number(value) + ", want a finite number");
}

void Arguments::not_negative(const char* name, double value) const {
  if (value >= 0 && std::isfinite(value)) return;
  fail(ErrorCode::bad_argument, std::string(name) + " is " + number(value) + ", want a finite number >= 0");
}

void Arguments::may_be_incremented(const char* name, std::int64_t value) const {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() - 1;
  if (value >= 0 && value <= kMost) return;
  fail(ErrorCode::bad_argument,
       std::string(name) + " is " + std::to_string(value) + ", want 0 to " + std::to_string(kMost));
}

void Arguments::more_than_one_value(std::int64_t count, const Options& options) const {
  if (count == 1 && ranks_of(options) == nullptr) {
    fail(ErrorCode::too_few_values, "extent has 1 value per channel, want 2 or more (or an empty batch)");
  }
}

void Arguments::fail_variance(double var, double eps, std::int64_t channel, const char* name) const {
  fail(ErrorCode::bad_epsilon, std::string(name) + " + eps is " + number(var) + " + " + number(eps) + " in channel " +
                                   std::to_string(channel) + ", want > 0");
}

}  // namespace unitvar::core
