#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "fuzz/operations.hpp"
#include "unitvar/unitvar.hpp"

namespace unitvar::fuzz {

/// What values tensors have.
enum class Values { plain, large_mean, few, wild, kMaxValue = wild };

/// The bytes of an element.
inline std::size_t size_of(unitvar_dtype dtype) {
  switch (dtype) {
    case UNITVAR_F64:
      return 8;
    case UNITVAR_BF16:
    case UNITVAR_F16:
      return 2;
    default:
      return 4;
  }
}
/// The type of gamma, beta and their gradients.
inline unitvar_dtype parameter_of(unitvar_dtype dtype) { return dtype == UNITVAR_F64 ? UNITVAR_F64 : UNITVAR_F32; }

inline void store(unitvar_dtype dtype, double value, std::byte* to) {
  const auto put = [to](auto v) { std::memcpy(to, &v, sizeof v); };
  switch (dtype) {
    case UNITVAR_F64:
      return put(value);
    case UNITVAR_BF16:
      return put(static_cast<bf16>(static_cast<float>(value)));
    case UNITVAR_F16:
      return put(static_cast<f16>(static_cast<float>(value)));
    default:
      return put(static_cast<float>(value));
  }
}
inline double load(unitvar_dtype dtype, const std::byte* from) {
  const auto get = [from](auto v) {
    std::memcpy(&v, from, sizeof v);
    return v;
  };
  switch (dtype) {
    case UNITVAR_F64:
      return get(double());
    case UNITVAR_BF16:
      return static_cast<double>(static_cast<float>(get(bf16())));
    case UNITVAR_F16:
      return static_cast<double>(static_cast<float>(get(f16())));
    default:
      return static_cast<double>(get(float()));
  }
}

/// Memory of a field, as long as it must be: a byte before or behind it is the sanitizer's.
struct Buffer {
  std::unique_ptr<std::byte[]> bytes;
  std::vector<std::byte> first;  ///< what it held before any call
  std::size_t size = 0;
  unitvar_dtype dtype = UNITVAR_F32;
  bool is_output = false;

  void reset() { std::copy(first.begin(), first.end(), bytes.get()); }
};

/// Sizes beyond those that choices give.
struct Times {
  std::int64_t inner = 1;     ///< the inner extent, or the rows, is taken so many times
  std::int64_t channels = 1;  ///< the channels, or a row's length; where this is not 1, the rest is small
  std::int64_t outer = 1;     ///< the samples; 0: none
};

/// Arguments of an operation, filled with what the operation may well take. Choices come from a FuzzedDataProvider, or
/// from what has functions of the same names.
template <class Args, class Source>
class Filled {
 public:
  Filled(Source& in, unitvar_dtype dtype, const Times& times = {})
      : in_(in),
        times_(times),
        values_(in.template ConsumeEnum<Values>()),
        random_(in.template ConsumeIntegral<std::uint32_t>()),
        left_out_(in.template ConsumeIntegral<std::uint16_t>()) {
    activation_ = {in.template ConsumeIntegralInRange<std::int32_t>(UNITVAR_IDENTITY, UNITVAR_SILU), 0.125, -1, 3};
    args.struct_size = sizeof args;
    args.dtype = dtype;
    visit(args, *this);
  }

  void extent(unitvar_extent& e) {
    e = {in_.template ConsumeIntegralInRange<std::int64_t>(0, 9),
         in_.template ConsumeIntegralInRange<std::int64_t>(1, 40),
         in_.template ConsumeIntegralInRange<std::int64_t>(1, 70)};
    e.outer *= times_.outer;
    e.inner *= times_.inner;
    e.channels *= times_.channels;
    if (times_.channels != 1)
      e.outer = std::min<std::int64_t>(e.outer, 3), e.inner = std::min<std::int64_t>(e.inner, 2);
    sized(e.outer * e.channels * e.inner, e.channels, e.channels);
    weights_ = e.outer * e.inner;
    extent_ = e;
  }
  void extent(unitvar_groups& g) {
    extent(g.extent);
    g.groups = in_.template ConsumeIntegralInRange<std::int64_t>(0, 8);
    g.sample_rows = in_.template ConsumeIntegralInRange<std::int64_t>(1, 4);
    const std::int64_t groups = g.groups == 0 ? g.extent.channels : g.groups;
    statistics_ = g.extent.outer / g.sample_rows * groups;
  }
  void extent(unitvar_row_extent& e) {
    e = {in_.template ConsumeIntegralInRange<std::int64_t>(0, 70),
         in_.template ConsumeIntegralInRange<std::int64_t>(1, 300)};
    e.rows *= times_.inner;
    e.length *= times_.channels;
    if (times_.channels != 1) e.rows = std::min<std::int64_t>(e.rows, 3);
    sized(e.rows * e.length, e.length, e.rows);
  }
  void extent(unitvar_weight_extent& e) {
    e.groups = in_.template ConsumeIntegralInRange<std::int64_t>(1, 3);
    extent(e.block);
    sized(e.groups * elements_, e.groups * e.block.channels, e.groups * e.block.channels);
  }
  void number(double& n, double usual) { n = usual; }
  void number(int& n, double /*usual*/) { n = in_.ConsumeBool() ? 1 : 0; }
  void number(std::int64_t& ghost, double /*usual*/) {
    ghost = in_.template ConsumeIntegralInRange<std::int64_t>(1, 10);
    statistics_ = (extent_.outer + ghost - 1) / ghost * extent_.channels;
  }
  void activation(unitvar_activation& a) { a = activation_; }
  void count(double*& p) { p = reinterpret_cast<double*>(made(Kind::statistic, 1, true)); }
  template <class P>
  void in(P*& p, Kind kind, Need need) {
    p = static_cast<P*>(static_cast<void*>(is_left_out(need) ? nullptr : made(kind, number_of(kind), false)));
  }
  template <class P>
  void out(P*& p, Kind kind, Need need) {
    p = static_cast<P*>(static_cast<void*>(is_left_out(need) ? nullptr : made(kind, number_of(kind), true)));
  }

  Args args{};
  std::vector<Buffer> buffers;

 private:
  [[nodiscard]] std::int64_t mask_bytes() const {
    std::int64_t bytes = 0;
    if (unitvar_batch_norm_act_mask_bytes(&extent_, &activation_, &bytes) != UNITVAR_OK) __builtin_trap();
    return bytes;
  }
  void sized(std::int64_t elements, std::int64_t parameters, std::int64_t statistics) {
    elements_ = elements;
    parameters_ = parameters;
    statistics_ = statistics;
  }
  bool is_left_out(Need need) {
    const bool is = need == Need::optional && (left_out_ & 1) != 0;
    if (need == Need::optional) left_out_ >>= 1;
    return is;
  }
  [[nodiscard]] std::int64_t number_of(Kind kind) const {
    switch (kind) {
      case Kind::tensor:
        return elements_;
      case Kind::parameter:
        return parameters_;
      case Kind::statistic:
        return statistics_;
      case Kind::weight:
        return weights_;
      case Kind::mask:
        return mask_bytes();
    }
    __builtin_trap();
  }

  double value() {
    constexpr double kWild[] = {0,
                                -0.0,
                                1e-42,
                                -3e38,
                                1e300,
                                std::numeric_limits<double>::infinity(),
                                std::numeric_limits<double>::quiet_NaN(),
                                65504};
    const double plain = std::normal_distribution<double>()(random_);
    switch (values_) {
      case Values::plain:
        return plain;
      case Values::large_mean:
        return 1e4 + plain;
      case Values::few:
        return std::round(plain);
      case Values::wild:
        return random_() % 8 == 0 ? kWild[random_() % std::size(kWild)] : plain;
    }
    __builtin_trap();
  }

  std::byte* made(Kind kind, std::int64_t n, bool is_output) {
    Buffer b;
    b.dtype = kind == Kind::tensor ? args.dtype : kind == Kind::statistic ? UNITVAR_F64 : parameter_of(args.dtype);
    const std::size_t width = kind == Kind::mask ? 1 : size_of(b.dtype);
    b.size = static_cast<std::size_t>(n) * width;
    b.bytes = std::make_unique<std::byte[]>(b.size);
    b.is_output = is_output;
    for (std::size_t k = 0; k < b.size; k += width) {
      if (kind == Kind::mask) {
        b.bytes[k] = static_cast<std::byte>(random_());
      } else {
        const bool positive = kind == Kind::statistic || kind == Kind::weight;
        store(b.dtype, positive ? 0.1 + std::abs(std::normal_distribution<double>()(random_)) : value(),
              b.bytes.get() + k);
      }
    }
    b.first.assign(b.bytes.get(), b.bytes.get() + b.size);
    std::byte* const at = b.bytes.get();
    if (kind == Kind::mask) b.dtype = -1;
    buffers.push_back(std::move(b));
    return at;
  }

  Source& in_;
  Times times_;
  Values values_;
  std::minstd_rand random_;
  std::uint16_t left_out_;
  unitvar_activation activation_{};
  unitvar_extent extent_{};
  std::int64_t elements_ = 0, parameters_ = 0, statistics_ = 0, weights_ = 0;
};

/// Calls act(operation) with the operation of this number.
template <class Act>
void with_operation(std::size_t number, const Act& act) {
  std::apply(
      [&](const auto&... all) {
        std::size_t k = 0;
        ((k++ == number ? act(all) : void()), ...);
      },
      kOperations);
}
inline constexpr std::size_t kOperationCount = std::tuple_size_v<std::remove_const_t<decltype(kOperations)>>;

}  // namespace unitvar::fuzz
