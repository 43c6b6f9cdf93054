#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <span>
#include <vector>

namespace unitvar::test {

enum class Fence { before, after };

/// Memory whose first byte follows, or whose last byte precedes, a page that may not be touched: reading or writing
/// one byte too far ends the test program.
template <class T>
class Fenced {
 public:
  Fenced(std::size_t size, Fence fence) : size_(size) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t bytes = size * sizeof(T), body = (bytes + page - 1) / page * page;
    mapped_ = body + 2 * page;
    void* at = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<std::byte*>(at);
    if (body != 0 && mprotect(base_ + page, body, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    data_ = base_ + page + (fence == Fence::after ? body - bytes : 0);
  }

  Fenced(const std::vector<T>& values, Fence fence) : Fenced(values.size(), fence) {
    if (!values.empty()) std::memcpy(data_, values.data(), values.size() * sizeof(T));
  }

  ~Fenced() { munmap(base_, mapped_); }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;

  [[nodiscard]] std::span<T> span() { return {reinterpret_cast<T*>(data_), size_}; }
  [[nodiscard]] std::vector<T> values() { return {span().begin(), span().end()}; }

  /// Takes away the right to read: shows that an argument is not looked at.
  void forbid() { mprotect(base_, mapped_, PROT_NONE); }

 private:
  std::byte* base_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t mapped_ = 0;
  std::size_t size_;
};

}  // namespace unitvar::test
