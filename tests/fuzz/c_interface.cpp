
#include <fuzzer/FuzzedDataProvider.h>

#include "fuzz/filled.hpp"

/// The C interface with arguments that nobody should give: it returns a status, and what it refuses it leaves alone.
/// Memory is as long as the extent says. An extent is good, or one that must be refused.
namespace unitvar::fuzz {
namespace {

/// Spoils arguments: some pointers become null, misaligned or another argument's, some numbers anything.
class Spoiler {
 public:
  Spoiler(FuzzedDataProvider& in, std::vector<Buffer>& buffers) : in_(in), buffers_(buffers) {}

  void extent(unitvar_extent& e) {
    constexpr std::int64_t kWrong[] = {0, -1, std::numeric_limits<std::int64_t>::min(),
                                       std::numeric_limits<std::int64_t>::max()};
    if (!spoils()) return;
    const std::int64_t wrong = in_.PickValueInArray(kWrong);
    std::int64_t* const fields[] = {&e.outer, &e.channels, &e.inner};
    std::int64_t& field = *in_.PickValueInArray(fields);
    // The largest number is too large only if something multiplies it.
    if (wrong == std::numeric_limits<std::int64_t>::max()) e.outer = e.channels = e.inner = 3;
    field = wrong;
  }
  void extent(unitvar_groups& g) {
    extent(g.extent);
    if (spoils()) g.groups = -in_.ConsumeIntegralInRange<std::int64_t>(1, 9);
    if (spoils()) g.sample_rows = -in_.ConsumeIntegralInRange<std::int64_t>(0, 9);
  }
  void extent(unitvar_row_extent& e) {
    if (spoils()) e.length = in_.PickValueInArray<std::int64_t>({0, -1, std::numeric_limits<std::int64_t>::max()});
    if (spoils()) e.rows = in_.PickValueInArray<std::int64_t>({-1, std::numeric_limits<std::int64_t>::min()});
  }
  void extent(unitvar_weight_extent& e) {
    if (spoils()) e.groups = in_.PickValueInArray<std::int64_t>({0, -1, std::numeric_limits<std::int64_t>::max()});
  }
  void number(double& n, double /*usual*/) {
    if (spoils()) n = in_.ConsumeFloatingPoint<double>();
  }
  void number(int& n, double /*usual*/) {
    if (spoils()) n = in_.ConsumeIntegral<int>();
  }
  void number(std::int64_t& ghost, double /*usual*/) {
    if (spoils()) ghost = -in_.ConsumeIntegralInRange<std::int64_t>(0, 9);
  }
  void activation(unitvar_activation& a) {
    if (spoils()) a.kind = in_.PickValueInArray({-1, 5, 256, std::numeric_limits<int>::max()});
    if (spoils()) a.negative_slope = in_.ConsumeFloatingPoint<double>();
    if (spoils()) a.low = in_.ConsumeFloatingPoint<double>();
  }
  void count(double*& p) { pointer(p, 2, sizeof(double)); }
  template <class P>
  void in(P*& p, Kind kind, Need /*need*/) {
    pointer(p, kind == Kind::mask ? 1 : 2, size_at(p));
  }
  template <class P>
  void out(P*& p, Kind kind, Need /*need*/) {
    pointer(p, kind == Kind::mask ? 1 : 2, size_at(p));
  }

 private:
  bool spoils() { return in_.ConsumeIntegralInRange<int>(0, 15) == 15; }
  [[nodiscard]] std::size_t size_at(const void* p) const {
    for (const Buffer& b : buffers_) {
      if (b.bytes.get() == p) return b.size;
    }
    return 0;
  }
  template <class P>
  void pointer(P*& p, std::size_t alignment, std::size_t size) {
    if (!spoils() || p == nullptr) return;
    switch (in_.ConsumeIntegralInRange<int>(0, 2)) {
      case 0:
        p = nullptr;
        break;
      case 1:
        p = reinterpret_cast<P*>((alignment - 1) | reinterpret_cast<std::uintptr_t>(p));
        break;
      default:  // another argument's memory, if there is enough of it
        for (const Buffer& b : buffers_) {
          if (b.size >= size && in_.ConsumeBool()) p = reinterpret_cast<P*>(b.bytes.get());
        }
    }
  }

  FuzzedDataProvider& in_;
  std::vector<Buffer>& buffers_;
};

template <class Operation>
void call(const Operation& operation, FuzzedDataProvider& in) {
  Filled<typename Operation::Arguments, FuzzedDataProvider> filled(
      in, in.ConsumeIntegralInRange<std::int32_t>(UNITVAR_F32, UNITVAR_F16));
  Spoiler spoiler(in, filled.buffers);
  visit(filled.args, spoiler);
  unitvar_options options{.struct_size = sizeof options, .threads = in.ConsumeIntegralInRange<std::int32_t>(-1, 3)};
  if (in.ConsumeIntegralInRange<int>(0, 7) == 7) {
    options.isa = in.ConsumeIntegralInRange<std::int32_t>(-2, 8);
    options.walk = in.ConsumeIntegralInRange<std::int32_t>(-2, 5);
    options.struct_size -= in.ConsumeIntegralInRange<std::size_t>(0, 8);
    filled.args.dtype += in.ConsumeIntegralInRange<std::int32_t>(0, 1) * 100;
    filled.args.struct_size -= in.ConsumeIntegralInRange<std::size_t>(0, 1);
  }
  const unitvar_status status = operation.call(&filled.args, &options);
  if (status == UNITVAR_OK) return;
  if (status < 0 || status >= UNITVAR_OUT_OF_MEMORY || std::strlen(unitvar_last_error()) == 0) __builtin_trap();
  for (const Buffer& b : filled.buffers) {
    if (!std::equal(b.first.begin(), b.first.end(), b.bytes.get())) __builtin_trap();  // refused, and yet written
  }
}

}  // namespace
}  // namespace unitvar::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unitvar::fuzz;
  FuzzedDataProvider in(data, size);
  const auto number = in.ConsumeIntegralInRange<std::size_t>(0, kOperationCount - 1);
  with_operation(number, [&](const auto& operation) { call(operation, in); });
  return 0;
}
