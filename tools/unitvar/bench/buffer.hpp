#pragma once
#include <sys/mman.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <span>

namespace unitvar::bench {

/// Memory of a tensor, on a boundary of 64 bytes. From 2 MiB on, it is on huge pages where the system has them,
/// whichever library uses it. Not yet touched.
template <class T>
class Buffer {
 public:
  explicit Buffer(std::size_t size) : size_(size), memory_(allocate(size * sizeof(T))) {}

  [[nodiscard]] T* data() const noexcept { return memory_.get(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return size_ * sizeof(T); }
  [[nodiscard]] std::span<T> span() const noexcept { return {data(), size_}; }

 private:
  struct Free {
    void operator()(T* memory) const noexcept { std::free(memory); }
  };

  static T* allocate(std::size_t bytes) {
    constexpr std::size_t huge = std::size_t{2} << 20;
    const std::size_t unit = bytes >= huge ? huge : 64;
    const std::size_t whole = (bytes + unit - 1) / unit * unit;
    void* memory = whole < bytes ? nullptr : std::aligned_alloc(unit, whole);
    if (memory == nullptr) throw std::bad_alloc();
    if (unit == huge) ::madvise(memory, whole, MADV_HUGEPAGE);  // May be refused: then pages are small for all.
    return static_cast<T*>(memory);
  }

  std::size_t size_;
  std::unique_ptr<T, Free> memory_;
};

}  // namespace unitvar::bench
