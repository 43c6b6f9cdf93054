#include "check/npz.hpp"
#include "check/case_file.hpp"
#include "common/failure.hpp"
#include "fuzz/memory_file.hpp"
#include "unitvar/diagnose.hpp"
#include "unitvar/error.hpp"

/// `unitvar check CASE.npz` up to its verdict: the container, the arrays, what they are, the diagnosis of small ones.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kMostElements = 256;
  const unitvar::fuzz::MemoryFile file(data, size);
  try {
    const auto arrays = unitvar::check::read_npz(file.path());
    const unitvar::DiagnosisCase given = unitvar::check::case_of(arrays, {});
    if (given.x.size() <= kMostElements) static_cast<void>(to_string(diagnose(given)));
  } catch (const unitvar::tool::Failure&) {
  } catch (const unitvar::Error&) {
  }
  return 0;
}
