#include <algorithm>
#include <array>
#include <cstdio>
#include <span>
#include <vector>

#include "c/call.hpp"
#include "unitvar/unitvar.h"

namespace unitvar::c {
namespace {

using std::int32_t;
using std::int64_t;

constexpr std::size_t kLongestMessage = 1024;
thread_local char last_error[kLongestMessage] = "";

constexpr std::array kStatusNames = {
    "ok",      "null_data",    "wrong_length", "bad_extent",      "overflow",     "too_few_values", "bad_epsilon",
    "overlap", "bad_argument", "bad_state",    "unsupported_isa", "disagreement", "communication",  "out_of_memory",
    "internal"};

std::string text(const char* operation, const std::string& problem) { return operation + (": " + problem); }

std::span<const int64_t> shape_of(const char* operation, const int64_t* shape, int32_t rank) {
  if (rank < 0)
    throw Error(ErrorCode::bad_argument, text(operation, "rank is " + std::to_string(rank) + ", want >= 0"));
  if (rank > 0) need(operation, "shape", shape);
  return {shape, static_cast<std::size_t>(rank)};
}

/// *out = make(shape), if nothing is thrown.
template <class Out, class Make>
unitvar_status make_extent(const char* operation, const int64_t* shape, int32_t rank, Out* out, const Make& make) {
  return guarded(operation, [&] {
    const std::span<const int64_t> axes = shape_of(operation, shape, rank);
    need(operation, "the result", out);
    need_apart(operation, "the result", out, axes);
    *out = make(axes);
  });
}

unitvar_groups groups_of(const Groups& g) noexcept { return {extent_of(g.extent), g.sample_rows, g.groups}; }
unitvar_weight_extent weights_of(const WeightExtent& e) noexcept { return {e.groups, extent_of(e.block)}; }

}  // namespace

void remember(std::string_view message) noexcept {
  const std::size_t n = std::min(message.size(), kLongestMessage - 1);
  std::copy_n(message.data(), n, last_error);
  last_error[n] = '\0';
}

void remember(const char* operation, const char* what) noexcept {
  std::snprintf(last_error, sizeof last_error, "%s: %s", operation, what);
}

void need_address(const char* operation, const char* what, const void* pointer) {
  if (pointer != nullptr) return;
  throw Error(ErrorCode::null_data, text(operation, std::string(what) + " is at address 0, want an address"));
}

void check_struct_size(const char* operation, const char* what, std::size_t given, std::size_t want, const void* of) {
  bool known = given >= want;
  const auto* const bytes = static_cast<const unsigned char*>(of);
  // What a later header added is fine as long as it is not used. No struct of this library comes near 4096 bytes.
  if (known && given <= 4096) {
    known = std::all_of(bytes + want, bytes + given, [](unsigned char byte) { return byte == 0; });
  } else {
    known = false;
  }
  if (known) return;
  throw Error(ErrorCode::bad_argument,
              text(operation, std::string(what) + ": struct_size is " + std::to_string(given) +
                                  ", want the size of the struct, " + std::to_string(want) +
                                  " in this library, and zeros in fields that it does not have"));
}

Extent extent_of(const unitvar_extent& e) noexcept { return {e.outer, e.channels, e.inner}; }
unitvar_extent extent_of(const Extent& e) noexcept { return {e.outer, e.channels, e.inner}; }

Options options_of(const char* operation, const unitvar_options* given) {
  if (given == nullptr) return {};
  const unitvar_options& o = taken(operation, "the options", given);
  static_assert(sizeof(unitvar_precision_counts) == sizeof(PrecisionCounts));
  return {.cpu = {.threads = o.threads,
                  .isa = static_cast<Isa>(o.isa),
                  .walk = static_cast<Walk>(o.walk),
                  .counts = reinterpret_cast<PrecisionCounts*>(o.counts)},
          .communicator = ranks_of(o.communicator)};
}

}  // namespace unitvar::c

using namespace unitvar;
using unitvar::c::guarded;
using unitvar::c::make_extent;
using unitvar::c::need;

unitvar_status unitvar_channels_first(const int64_t* shape, int32_t rank, unitvar_extent* extent) noexcept {
  return make_extent("channels_first", shape, rank, extent,
                     [](auto axes) { return c::extent_of(Extent::channels_first(axes)); });
}
unitvar_status unitvar_channels_last(const int64_t* shape, int32_t rank, unitvar_extent* extent) noexcept {
  return make_extent("channels_last", shape, rank, extent,
                     [](auto axes) { return c::extent_of(Extent::channels_last(axes)); });
}
unitvar_status unitvar_groups_channels_first(const int64_t* shape, int32_t rank, int64_t groups,
                                             unitvar_groups* out) noexcept {
  return make_extent("groups_channels_first", shape, rank, out,
                     [=](auto axes) { return c::groups_of(Groups::channels_first(axes, groups)); });
}
unitvar_status unitvar_groups_channels_last(const int64_t* shape, int32_t rank, int64_t groups,
                                            unitvar_groups* out) noexcept {
  return make_extent("groups_channels_last", shape, rank, out,
                     [=](auto axes) { return c::groups_of(Groups::channels_last(axes, groups)); });
}
unitvar_status unitvar_rows_from_axis(const int64_t* shape, int32_t rank, int64_t axis,
                                      unitvar_row_extent* extent) noexcept {
  return make_extent("rows_from_axis", shape, rank, extent, [=](auto axes) {
    const RowExtent rows = RowExtent::from_axis(axes, axis);
    return unitvar_row_extent{rows.rows, rows.length};
  });
}
unitvar_status unitvar_convolution_weights(const int64_t* shape, int32_t rank, unitvar_weight_extent* extent) noexcept {
  return make_extent("convolution_weights", shape, rank, extent,
                     [](auto axes) { return c::weights_of(WeightExtent::convolution(axes)); });
}
unitvar_status unitvar_convolution_output_last_weights(const int64_t* shape, int32_t rank,
                                                       unitvar_weight_extent* extent) noexcept {
  return make_extent("convolution_output_last_weights", shape, rank, extent,
                     [](auto axes) { return c::weights_of(WeightExtent::convolution_output_last(axes)); });
}
unitvar_status unitvar_transposed_convolution_weights(const int64_t* shape, int32_t rank, int64_t groups,
                                                      unitvar_weight_extent* extent) noexcept {
  return make_extent("transposed_convolution_weights", shape, rank, extent,
                     [=](auto axes) { return c::weights_of(WeightExtent::transposed_convolution(axes, groups)); });
}

const char* unitvar_version(void) noexcept { return version.data(); }
int32_t unitvar_abi_version(void) noexcept { return UNITVAR_ABI_VERSION; }
const char* unitvar_last_error(void) noexcept { return c::last_error; }
const char* unitvar_status_name(unitvar_status status) noexcept {
  const auto known = static_cast<int32_t>(c::kStatusNames.size());
  return status >= 0 && status < known ? c::kStatusNames[static_cast<std::size_t>(status)] : "unknown";
}

const char* unitvar_isa_name(unitvar_isa isa) noexcept {
  return isa < UNITVAR_ISA_AUTOMATIC || isa > UNITVAR_ISA_NEON ? nullptr : isa_name(static_cast<Isa>(isa)).data();
}
int32_t unitvar_supported_isas(unitvar_isa* isas, int32_t capacity) noexcept {
  int32_t count = 0;
  guarded("supported_isas", [&] {
    for (const Isa isa : supported_isas()) {
      if (isas != nullptr && count < capacity) isas[count] = static_cast<unitvar_isa>(isa);
      ++count;
    }
  });
  return count;
}
unitvar_status unitvar_selected_isa(unitvar_isa requested, unitvar_isa* selected) noexcept {
  return guarded("selected_isa", [&] {
    need("selected_isa", "selected", selected);
    *selected = static_cast<unitvar_isa>(selected_isa(static_cast<Isa>(requested)));
  });
}
