// Memory that calls use again.
#include "core/workspace.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace unitvar::core {
namespace {

void fill(const Workspace& workspace, std::size_t bytes, char value) {
  std::fill_n(workspace.as<char>(), bytes, value);
}

bool holds(const Workspace& workspace, std::size_t bytes, char value) {
  const char* const begin = workspace.as<char>();
  return std::all_of(begin, begin + bytes, [value](char c) { return c == value; });
}

TEST(Workspace, IsAlignedToALineOfMemory) {
  for (const std::size_t bytes : {0U, 1U, 100U, 5000U, 1000000U}) {
    const Workspace workspace(bytes);
    EXPECT_EQ(0U, reinterpret_cast<std::uintptr_t>(workspace.as<char>()) % 64) << bytes;
  }
}

TEST(Workspace, OfOneCallIsNotAnothersAtTheSameTime) {
  for (int call = 0; call < 3; ++call) {
    const std::vector<std::size_t> sizes{100, 10000, 100, 300000, 4096, 1};
    std::vector<std::unique_ptr<Workspace>> held;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      held.push_back(std::make_unique<Workspace>(sizes[i]));
      fill(*held[i], sizes[i], static_cast<char>('a' + i));
    }
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      EXPECT_TRUE(holds(*held[i], sizes[i], static_cast<char>('a' + i))) << sizes[i];
    }
  }
}

TEST(Workspace, HoldsTheSizeAskedForAfterSmallerAndLargerCalls) {
  for (const std::size_t bytes : {10U, 100000U, 20U, 200000U, 3000000U, 5000U, 100000U}) {
    const Workspace workspace(bytes);
    fill(workspace, bytes, 'x');
    EXPECT_TRUE(holds(workspace, bytes, 'x')) << bytes;
  }
}

TEST(Workspace, IsAThreadsOwn) {
  const auto work = [](char value, bool& right) {
    right = true;
    for (std::size_t call = 0; call < 200; ++call) {
      const std::size_t bytes = call * 97 % 20000;
      const Workspace workspace(bytes);
      fill(workspace, bytes, value);
      std::this_thread::yield();
      right = right && holds(workspace, bytes, value);
    }
  };
  bool a = false, b = false;
  std::thread first(work, 'a', std::ref(a));
  std::thread second(work, 'b', std::ref(b));
  first.join();
  second.join();
  EXPECT_TRUE(a);
  EXPECT_TRUE(b);
}

}  // namespace
}  // namespace unitvar::core
