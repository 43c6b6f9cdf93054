#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace unitvar::test {

/// One block of memory out of which views of any type are cut at byte offsets: for arguments that overlap.
class Arena {
 public:
  template <class T>
  [[nodiscard]] std::span<T> view(std::int64_t byte_offset, std::int64_t elements) {
    auto* bytes = reinterpret_cast<unsigned char*>(memory_.data());
    return {reinterpret_cast<T*>(bytes + byte_offset), static_cast<std::size_t>(elements)};
  }

  [[nodiscard]] bool untouched() const {
    return std::all_of(memory_.begin(), memory_.end(), [](double v) { return v == filling; });
  }

 private:
  static constexpr double filling = 0.75;
  std::vector<double> memory_ = std::vector<double>(2048, filling);
};

/// A span of n elements that points nowhere.
template <class T>
std::span<T> nowhere(std::int64_t n) {
  return {static_cast<T*>(nullptr), static_cast<std::size_t>(n)};
}

}  // namespace unitvar::test
