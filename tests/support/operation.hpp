#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/text.hpp"
#include "unitvar/error.hpp"
#include "unitvar/options.hpp"

/// A legal call of any operation, told by its spans and by what it refuses.
namespace unitvar::test {

/// The elements that an argument must have, and the name of that number in messages.
struct Length {
  std::string meaning;
  std::int64_t elements;
};

enum class Role { input, output, both };

/// A span of any element type: what must be known of its type, and the functions that do.
struct AnySpan {
  void* span;
  std::size_t element_bytes, alignment;
  bool is_const;
  void (*point)(void* span, std::byte* at, std::int64_t elements);
  void (*store)(std::byte* at, double value);

  template <class E>
  static AnySpan of(std::span<E>& span) {
    return {&span,
            sizeof(E),
            alignof(E),
            std::is_const_v<E>,
            [](void* of, std::byte* at, std::int64_t elements) {
              *static_cast<std::span<E>*>(of) = {reinterpret_cast<E*>(at), static_cast<std::size_t>(elements)};
            },
            [](std::byte* at, double value) {
              const auto stored = static_cast<std::remove_const_t<E>>(value);
              std::memcpy(at, &stored, sizeof(E));
            }};
  }
};

/// One span of the arguments, and the place that the legal call gives it.
struct Argument {
  std::string name;
  Length length;
  Role role;
  bool optional;
  std::size_t element_bytes, alignment;
  std::byte* place;
  std::function<void(std::byte* place, std::int64_t elements)> point;
  std::function<void(std::int64_t k, double value)> set;

  [[nodiscard]] std::size_t bytes() const { return static_cast<std::size_t>(length.elements) * element_bytes; }
  [[nodiscard]] bool is_written() const { return role != Role::input; }
  [[nodiscard]] std::vector<std::byte> values(const std::byte* at) const { return {at, at + bytes()}; }
  void point_back() const { point(length.elements == 0 ? nullptr : place, length.elements); }
  void point_nowhere() const { point(nullptr, 0); }
};

/// One way to spoil the call, and the error that it gives.
struct Refusal {
  ErrorCode code;
  std::string message;
  std::function<void()> spoil = [] {};
  Options options = {};
};

/// All arguments lie in one block of memory. Each is aligned for its type and no further, with room on both sides for
/// another. Inputs are 1 to 2.5, outputs a pattern.
class Operation {
 public:
  explicit Operation(std::string given) : name(std::move(given)) {}

  /// Sets the function to call. Gives its arguments, for the description to fill.
  template <class Result, class Args>
  Args& calls(Result (*function)(const Args&, const Options&)) {
    return keep<Args>(reinterpret_cast<Function>(function), [](Function f, const void* args, const Options& options) {
      reinterpret_cast<Result (*)(const Args&, const Options&)>(f)(*static_cast<const Args*>(args), options);
    });
  }
  template <class Result, class Args>
  Args& calls(Result (*function)(const Args&)) {
    return keep<Args>(reinterpret_cast<Function>(function), [](Function f, const void* args, const Options&) {
      reinterpret_cast<Result (*)(const Args&)>(f)(*static_cast<const Args*>(args));
    });
  }

  void add(const std::string& argument, const AnySpan& span, const Length& length, Role role, bool optional) {
    const std::size_t index = arguments.size(), bytes = span.element_bytes;
    std::byte* const place = memory() + index * kSlotBytes + kPlace + bytes;
    const auto point = [span](std::byte* at, std::int64_t elements) { span.point(span.span, at, elements); };
    const auto set = [=, store = span.store](std::int64_t k, double value) {
      store(place + k * static_cast<std::int64_t>(bytes), value);
    };
    arguments.push_back({argument, length, role, optional, bytes, span.alignment, place, point, set});
    const Argument& a = arguments.back();
    a.point_back();
    std::memset(place, 0xA5, a.bytes());
    for (std::int64_t k = 0; k < length.elements && role != Role::output; ++k) {
      set(k, 1 + 0.25 * static_cast<double>((static_cast<std::size_t>(k) + 3 * index) % 7));
    }
  }

  void refuses(ErrorCode code, const std::string& message, std::function<void()> spoil, const Options& options = {}) {
    refusals.push_back({code, name + ": " + message, std::move(spoil), options});
  }
  /// Each of the bad values is refused.
  template <class Value>
  void wants(const std::string& argument, Value& value, const std::vector<Value>& bad, const std::string& wanted,
             ErrorCode code = ErrorCode::bad_argument) {
    for (const Value v : bad) {
      refuses(code, argument + " is " + core::number(static_cast<double>(v)) + ", want " + wanted,
              [&value, v] { value = v; });
    }
  }

  void call(const Options& options = {}) const { call_(function_, args_.get(), options); }
  /// Null if there is none.
  [[nodiscard]] const Argument* find(const std::string& argument) const {
    const auto found = std::ranges::find(arguments, argument, &Argument::name);
    return found == arguments.end() ? nullptr : &*found;
  }
  [[nodiscard]] bool reads(const std::string& argument) const {
    return find(argument) != nullptr && find(argument)->role == Role::input;
  }

  [[nodiscard]] std::byte* memory() { return reinterpret_cast<std::byte*>(memory_.data()); }
  [[nodiscard]] std::vector<std::byte> snapshot() { return {memory(), memory() + kSlots * kSlotBytes}; }
  void restore(const std::vector<std::byte>& snapshot) { std::ranges::copy(snapshot, memory()); }

  std::string name;
  std::vector<Argument> arguments;
  std::vector<std::pair<std::string, std::string>> same;  ///< outputs that may be exactly this input
  std::vector<Refusal> refusals;
  std::string few;           ///< the message about one value per channel, if that is refused
  bool first_tells = false;  ///< the others must be as long as the first argument

 private:
  static constexpr std::size_t kSlots = 18, kSlotBytes = 2048, kPlace = 768;

  using Function = void (*)();
  using Call = void (*)(Function, const void* args, const Options&);

  template <class Args>
  Args& keep(Function function, Call caller) {
    auto* const args = new Args;
    args_ = {args, [](void* p) { delete static_cast<Args*>(p); }};
    function_ = function;
    call_ = caller;
    return *args;
  }

  std::unique_ptr<void, void (*)(void*)> args_{nullptr, nullptr};
  Function function_ = nullptr;
  Call call_ = nullptr;
  std::vector<std::max_align_t> memory_{kSlots * kSlotBytes / sizeof(std::max_align_t)};
};

}  // namespace unitvar::test
