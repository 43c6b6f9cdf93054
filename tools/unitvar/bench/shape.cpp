#include "bench/shape.hpp"

#include <fmt/format.h>

#include <vector>

#include "common/number.hpp"

namespace unitvar::bench {
namespace {

std::vector<std::int64_t> numbers_of(std::string_view text) {
  std::vector<std::int64_t> numbers;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const auto number =
        tool::parse_number<std::int64_t>(fmt::format("--shape '{}': an axis", text), text.substr(begin, end - begin));
    if (number < 1) throw tool::UsageError("--shape '{}': an axis is {}, want at least 1", text, number);
    numbers.push_back(number);
    begin = end + 1;
  }
  return numbers;
}

}  // namespace

std::string_view layout_name(Layout layout) {
  return layout == Layout::channels_first ? "channels_first" : "channels_last";
}

std::string shape_text(const Shape& s) {
  if (s.d == 1) return fmt::format("{}x{}x{}x{}", s.n, s.c, s.h, s.w);
  return fmt::format("{}x{}x{}x{}x{}", s.n, s.c, s.d, s.h, s.w);
}

Shape parse_shape(std::string_view text) {
  const std::vector<std::int64_t> axes = numbers_of(text);
  if (axes.size() < 2 || axes.size() > 5) {
    throw tool::UsageError("--shape '{}' has {} axes, want 2 to 5: N,C and up to three more", text, axes.size());
  }
  Shape shape{.n = axes[0], .c = axes[1]};
  if (axes.size() == 5) shape.d = axes[2];
  if (axes.size() >= 4) shape.h = axes[axes.size() - 2];
  if (axes.size() >= 3) shape.w = axes.back();
  return shape;
}

Extent extent_of(const Shape& s, Layout layout) {
  if (layout == Layout::channels_first) return Extent::ncdhw(s.n, s.c, s.d, s.h, s.w);
  return Extent::ndhwc(s.n, s.d, s.h, s.w, s.c);
}

Groups sample_groups(const Shape& shape, Layout layout, std::int64_t groups) {
  return {extent_of(shape, layout), layout == Layout::channels_first ? 1 : shape.points(), groups};
}

}  // namespace unitvar::bench
