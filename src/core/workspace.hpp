#pragma once
#include <cstddef>
#include <memory>

namespace unitvar::core {

/// Uninitialized memory for the time of one call. Those of up to 2 MiB are kept for the thread's next call, four of
/// them: asking the system for pages and giving them back costs as much as normalizing a small tensor, and a third of
/// the time of 32 x 1024 planes of 14 x 14.
class Workspace {
 public:
  explicit Workspace(std::size_t bytes);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  /// Aligned to a line of memory.
  template <class T>
  [[nodiscard]] T* as() const noexcept {
    return reinterpret_cast<T*>(block_.memory.get());
  }

  struct Free {
    void operator()(std::byte* memory) const noexcept;
  };
  struct Block {
    std::unique_ptr<std::byte, Free> memory;
    std::size_t bytes = 0;
  };

 private:
  Block block_;
};

}  // namespace unitvar::core
