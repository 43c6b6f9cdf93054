#pragma once
#include <cstddef>

namespace unitvar::test {

/// Bytes that operator new of a program with allocated.cpp has given so far, the library's among them.
std::size_t allocated_bytes() noexcept;

}  // namespace unitvar::test
