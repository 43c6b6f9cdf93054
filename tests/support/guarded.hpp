#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace unitvar::test {

/// An output buffer between guard bytes. The whole of it starts as one byte pattern, so that what was written, inside
/// or outside, shows. The data stand `offset` elements after a boundary of so many bytes.
template <class T, std::size_t alignment = 64>
class Guarded {
 public:
  explicit Guarded(std::int64_t size, std::int64_t offset = 0)
      : bytes_(static_cast<std::size_t>(size + offset) * sizeof(T) + 2 * margin + alignment, pattern),
        size_(static_cast<std::size_t>(size)) {
    const auto address = reinterpret_cast<std::uintptr_t>(bytes_.data()) + margin;
    const std::size_t to_boundary = (alignment - address % alignment) % alignment;
    begin_ = margin + to_boundary + static_cast<std::size_t>(offset) * sizeof(T);
  }

  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  [[nodiscard]] std::span<T> span() { return {reinterpret_cast<T*>(bytes_.data() + begin_), size_}; }
  [[nodiscard]] std::vector<T> values() { return {span().begin(), span().end()}; }

  void fill_with(const std::vector<T>& from) { std::memcpy(bytes_.data() + begin_, from.data(), size_ * sizeof(T)); }

  /// True while no byte before or after the data was written.
  [[nodiscard]] bool guards_intact() const {
    const auto first = bytes_.begin(), end = bytes_.end();
    const auto data = first + static_cast<std::ptrdiff_t>(begin_);
    const auto behind = data + static_cast<std::ptrdiff_t>(size_ * sizeof(T));
    return std::all_of(first, data, is_pattern) && std::all_of(behind, end, is_pattern);
  }

  /// True while nothing at all was written.
  [[nodiscard]] bool untouched() const { return std::all_of(bytes_.begin(), bytes_.end(), is_pattern); }

 private:
  static constexpr std::size_t margin = 1024;
  static constexpr unsigned char pattern = 0xA5;
  static bool is_pattern(unsigned char byte) { return byte == pattern; }

  std::vector<unsigned char> bytes_;
  std::size_t size_;
  std::size_t begin_;
};

}  // namespace unitvar::test
