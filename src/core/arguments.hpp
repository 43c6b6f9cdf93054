#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "unitvar/error.hpp"
#include "unitvar/extent.hpp"
#include "unitvar/options.hpp"

namespace unitvar::core {

/// How many elements a span must have, and what messages call that number.
struct Length {
  std::int64_t elements;
  const char* meaning;
};

/// The elements of an optional argument; null if it is absent.
template <class T>
T* data_or_null(std::span<T> span) noexcept {
  return span.empty() ? nullptr : span.data();
}

/// The checks at the API's edge: each argument is named once, with the length wanted, before anything is written.
///
///   Arguments check("batch_norm_forward");
///   check.input("x", x, {extent.size(), "N*C*S"});
///   check.output("y", y, {extent.size(), "N*C*S"});
///   check.no_overlap();
///
/// A failed check throws Error with a message that names operation, argument, value seen and value wanted.
class Arguments {
 public:
  explicit Arguments(const char* operation) noexcept : operation_(operation) {}

  template <class T>
  void input(const char* name, std::span<T> span, const Length& length) {
    add({name, span.data(), span.size(), sizeof(T), alignof(T), false}, length);
  }
  template <class T>
  void output(const char* name, std::span<T> span, const Length& length) {
    add({name, span.data(), span.size(), sizeof(T), alignof(T), true}, length);
  }
  template <class T>
  void optional_input(const char* name, std::span<T> span, const Length& length) {
    if (!span.empty()) input(name, span, length);
  }
  template <class T>
  void optional_output(const char* name, std::span<T> span, const Length& length) {
    if (!span.empty()) output(name, span, length);
  }

  /// One value at `at`, which is written beside the arguments above: aligned, and within none of them. May be null.
  template <class T>
  void optional_value(const char* name, T* at) const {
    if (at != nullptr) add_value({name, at, 1, sizeof(T), alignof(T), true});
  }

  /// `output` may be exactly `input`.
  struct Same {
    const char* output;
    const char* input;
  };
  /// No output may overlap another argument, but for those allowed to be the same.
  void no_overlap(std::initializer_list<Same> allowed = {}) const;
  void no_overlap(const char* output, const char* input) const { no_overlap({{output, input}}); }

  void finite(const char* name, double value, ErrorCode code = ErrorCode::bad_argument) const;
  void not_negative(const char* name, double value) const;
  /// A counter: 0 to the largest number but one.
  void may_be_incremented(const char* name, std::int64_t value) const;
  /// Throws bad_epsilon if var + eps <= 0. NaN passes. `name` is that of var.
  void positive_variance(double var, double eps, std::int64_t channel, const char* name = "var") const {
    if (var + eps <= 0) fail_variance(var, eps, channel, name);
  }
  /// A batch variance needs two values per channel, or none at all. With a communicator, all ranks together need them:
  /// the exchange checks that.
  void more_than_one_value(std::int64_t count, const Options& options) const;

  [[noreturn]] void fail(ErrorCode code, const std::string& what) const;
  [[nodiscard]] const char* operation() const noexcept { return operation_; }

 private:
  [[noreturn]] void fail_variance(double var, double eps, std::int64_t channel, const char* name) const;

  struct Argument {
    const char* name;
    const void* data;
    std::size_t length;
    std::size_t bytes_per_element, alignment;
    bool is_output;
  };

  void add(const Argument& argument, const Length& length);
  void add_value(const Argument& value) const;
  void aligned(const Argument& argument) const;
  static bool meet(const Argument& a, const Argument& b) noexcept;

  const char* operation_;
  std::array<Argument, 20> arguments_{};
  std::size_t size_ = 0;
};

}  // namespace unitvar::core
