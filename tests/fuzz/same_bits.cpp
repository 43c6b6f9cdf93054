#include <fuzzer/FuzzedDataProvider.h>

#include <cstdio>

#include "fuzz/filled.hpp"

/// Every operation gives the same bits, or the same refusal, on all instruction sets, for all numbers of threads and by
/// all walks. The sign and payload of a NaN are not part of that.
namespace unitvar::fuzz {
namespace {

struct Way {
  unitvar_isa isa;
  std::int32_t threads;
  unitvar_walk walk;
};

std::vector<Way> ways(FuzzedDataProvider& in) {
  static const std::vector<Isa> isas = supported_isas();
  std::vector<Way> result = {{UNITVAR_ISA_PORTABLE, 1, UNITVAR_WALK_STREAMED}};
  for (const Isa isa : isas) {
    result.push_back({static_cast<unitvar_isa>(isa), in.ConsumeIntegralInRange<std::int32_t>(1, 4),
                      in.ConsumeIntegralInRange<std::int32_t>(0, 2)});
  }
  return result;
}

/// The outputs' bytes, where NaN is NaN.
template <class Args>
std::vector<std::byte> results(const Filled<Args, FuzzedDataProvider>& filled) {
  std::vector<std::byte> all;
  for (const Buffer& b : filled.buffers) {
    if (!b.is_output) continue;
    const std::size_t begin = all.size();
    all.insert(all.end(), b.bytes.get(), b.bytes.get() + b.size);
    if (b.dtype < 0) continue;  // a mask
    for (std::size_t k = begin; k < all.size(); k += size_of(b.dtype)) {
      if (std::isnan(load(b.dtype, &all[k]))) store(b.dtype, std::numeric_limits<double>::quiet_NaN(), &all[k]);
    }
  }
  return all;
}

template <class Operation>
void compare(const Operation& operation, FuzzedDataProvider& in, unitvar_dtype dtype) {
  const std::vector<Way> all = ways(in);
  Filled<typename Operation::Arguments, FuzzedDataProvider> filled(in, dtype);
  std::vector<std::byte> want;
  unitvar_status wanted = UNITVAR_OK;
  for (const Way& way : all) {
    for (Buffer& b : filled.buffers) b.reset();
    const unitvar_options options{
        .struct_size = sizeof options, .threads = way.threads, .isa = way.isa, .walk = way.walk};
    const unitvar_status status = operation.call(&filled.args, &options);
    if (status == UNITVAR_INTERNAL || status == UNITVAR_OUT_OF_MEMORY) __builtin_trap();
    std::vector<std::byte> got = results(filled);
    if (&way == all.data()) {
      want = std::move(got);
      wanted = status;
    } else if (got != want || status != wanted) {
      std::fprintf(stderr, "%s of dtype %d: %s, %d threads, walk %d differ from portable, one thread, streamed\n",
                   operation.name, dtype, unitvar_isa_name(way.isa), way.threads, way.walk);
      __builtin_trap();
    }
  }
}

}  // namespace
}  // namespace unitvar::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace unitvar::fuzz;
  FuzzedDataProvider in(data, size);
  const auto number = in.ConsumeIntegralInRange<std::size_t>(0, kOperationCount - 1);
  const auto dtype = in.ConsumeIntegralInRange<std::int32_t>(UNITVAR_F32, UNITVAR_F16);
  with_operation(number, [&](const auto& operation) { compare(operation, in, dtype); });
  return 0;
}
