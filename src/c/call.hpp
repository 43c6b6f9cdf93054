#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "core/arguments.hpp"
#include "core/ranks.hpp"
#include "sync/exchange.hpp"
#include "unitvar/c/statistics.h"
#include "unitvar/unitvar.hpp"

/// What carries a call of the C interface into the library: arguments are taken, and no exception leaves.
namespace unitvar::c {

/// Remembers the message for unitvar_last_error.
void remember(std::string_view message) noexcept;
/// The same of what names no operation: "batch_norm_forward: out of memory".
void remember(const char* operation, const char* what) noexcept;

/// Runs `act` and returns its status: that of the error that it throws, if it does.
template <class Act>
unitvar_status guarded(const char* operation, const Act& act) noexcept {
  try {
    act();
    return UNITVAR_OK;
  } catch (const Error& error) {
    remember(error.what());
    return static_cast<unitvar_status>(error.code()) + 1;
  } catch (const std::bad_alloc&) {
    remember(operation, "out of memory");
    return UNITVAR_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    remember(operation, error.what());
    return UNITVAR_INTERNAL;
  } catch (...) {
    remember(operation, "an exception of an unknown type");
    return UNITVAR_INTERNAL;
  }
}

/// Throws Error (null_data) if the pointer is null.
void need_address(const char* operation, const char* what, const void* pointer);
/// The same, and bad_argument if it is misaligned.
template <class T>
void need(const char* operation, const char* what, const T* pointer) {
  need_address(operation, what, pointer);
  core::Arguments(operation).optional_value(what, pointer);
}

/// Throws Error (bad_argument, overlap) unless one value may be written at `pointer`: null is fine, an address within
/// another argument is not.
template <class T, class... Spans>
void need_apart(const char* operation, const char* what, const T* pointer, const Spans&... others) {
  core::Arguments(operation).optional_value(what, pointer);
  const auto at = reinterpret_cast<std::uintptr_t>(pointer);
  const auto meets = [=](const auto& span) {
    const auto begin = reinterpret_cast<std::uintptr_t>(span.data());
    return at < begin + span.size_bytes() && begin < at + sizeof(T);
  };
  if (pointer != nullptr && (meets(others) || ...)) {
    throw Error(ErrorCode::overlap,
                std::string(operation) + ": " + what + " lies within another argument, want memory of its own");
  }
}

/// Throws Error (bad_argument) unless a struct of `given` bytes is one that this library knows: `want` bytes, or more
/// that are all zero.
void check_struct_size(const char* operation, const char* what, std::size_t given, std::size_t want, const void* of);

/// The caller's struct, whose size is known.
template <class Struct>
const Struct& taken(const char* operation, const char* what, const Struct* given) {
  need(operation, what, given);
  check_struct_size(operation, what, given->struct_size, sizeof(Struct), given);
  return *given;
}

/// The library's options.
Options options_of(const char* operation, const unitvar_options* given);

/// Null for null.
Communicator* ranks_of(unitvar_communicator* communicator) noexcept;

RunningPolicy policy_of(const unitvar_running_policy& p) noexcept;
Extent extent_of(const unitvar_extent& e) noexcept;
unitvar_extent extent_of(const Extent& e) noexcept;

/// A storage type, and the operation for which it is wanted.
template <class T>
struct Typed {
  using type = T;
  const char* operation;
};

/// Calls act(Typed<T>) with the storage type. Throws Error (bad_argument) if there is none of this number.
template <class Act>
void with_dtype(const char* operation, unitvar_dtype dtype, const Act& act) {
  switch (dtype) {
    case UNITVAR_F32:
      return act(Typed<float>{operation});
    case UNITVAR_F64:
      return act(Typed<double>{operation});
    case UNITVAR_BF16:
      return act(Typed<bf16>{operation});
    case UNITVAR_F16:
      return act(Typed<f16>{operation});
    default:
      throw Error(ErrorCode::bad_argument, std::string(operation) + ": dtype is " + std::to_string(dtype) +
                                               ", want UNITVAR_F32, UNITVAR_F64, UNITVAR_BF16 or UNITVAR_F16");
  }
}

/// Whether an operation is a collective call where its options name a communicator.
enum class Ranks { alone, together };

/// Calls run(args, options, given) with the library's arguments, convert(Typed<T>, given). If these are refused here,
/// ranks that make a collective call are told, as the library tells them what it refuses itself.
template <class Given, class Convert, class Run>
unitvar_status call(const char* operation, Ranks ranks, const Given* given, const unitvar_options* options,
                    const Convert& convert, const Run& run) noexcept {
  return guarded(operation, [&] {
    const Options with = options_of(operation, options);
    bool refused_here = true;
    const auto tell = [&](const char* why) {
      if (refused_here && ranks == Ranks::together) sync::tell_refusal(core::ranks_of(with), why);
    };
    try {
      const Given& own = taken(operation, "the struct of arguments", given);
      with_dtype(operation, own.dtype, [&](auto type) {
        const auto args = convert(type, own);
        refused_here = false;
        run(args, with, own);
      });
    } catch (const std::bad_alloc&) {
      tell("out of memory");
      throw;
    } catch (const std::exception& error) {
      tell(error.what());
      throw;
    }
  });
}

}  // namespace unitvar::c
