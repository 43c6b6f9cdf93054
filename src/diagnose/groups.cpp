#include "diagnose/groups.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "unitvar/error.hpp"

namespace unitvar::diagnosis {
namespace {

using Operation = DiagnosisOperation;
using std::int64_t;

std::string text_of(std::span<const int64_t> shape) {
  std::string text = "(";
  for (const int64_t n : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(n);
  return text + ")";
}

int64_t product(std::span<const int64_t> shape) {
  int64_t all = 1;
  for (const int64_t n : shape) {
    if (n < 0) throw Error(ErrorCode::bad_argument, "diagnose: shape is " + text_of(shape) + ", want no axis below 0");
    if (n > 0 && all > (int64_t{1} << 40) / n)
      throw Error(ErrorCode::overflow, "diagnose: shape is " + text_of(shape) + ", want at most 2^40 elements");
    all *= n;
  }
  return all;
}

/// The columns of a row: as many of the last axes as gamma or beta has elements, or the last axis.
int64_t columns_of(const DiagnosisCase& given, std::span<const int64_t> shape) {
  const auto& r = given.results;
  const std::size_t elements = std::max({given.gamma.size(), given.beta.size(), r.dgamma.size(), r.dbeta.size()});
  int64_t columns = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    columns *= shape[axis];
    if (elements == 0 || columns == static_cast<int64_t>(elements)) return columns;
  }
  throw Error(ErrorCode::wrong_length, "diagnose: parameters have " + std::to_string(elements) +
                                           " elements, want those of the last axes of x, whose shape is " +
                                           text_of(shape));
}

Grouping by(const Extent& s, int64_t groups, int64_t parameters, const auto& group, const auto& parameter) {
  Grouping made{groups, parameters, {}, {}};
  made.group.reserve(static_cast<std::size_t>(s.size()));
  made.parameter.reserve(static_cast<std::size_t>(s.size()));
  for (int64_t o = 0; o < s.outer; ++o) {
    for (int64_t c = 0; c < s.channels; ++c) {
      for (int64_t i = 0; i < s.inner; ++i) {
        made.group.push_back(group(o, c, i));
        made.parameter.push_back(parameter(o, c, i));
      }
    }
  }
  return made;
}

/// Samples, and the pixels of one: with channels last `outer` counts both.
struct Pixels {
  int64_t samples, pixels;
};
Pixels pixels_of(const DiagnosisCase& given, const Extent& s) noexcept {
  const int64_t samples = given.shape.size() > 1 ? given.shape[0] : s.outer;
  return {samples, samples == 0 ? 0 : s.outer * s.inner / samples};
}

bool is_first(const DiagnosisCase& given) noexcept { return given.layout == DiagnosisLayout::channels_first; }
/// Of two axes or more: the channels, and where they are taken from if axis 1 and the last one are exchanged.
int64_t channels_of(const DiagnosisCase& given) noexcept {
  return is_first(given) ? given.shape[1] : given.shape.back();
}
int64_t exchanged_of(const DiagnosisCase& given) noexcept {
  return is_first(given) ? given.shape.back() : given.shape[1];
}

}  // namespace

Extent extent_of(const DiagnosisCase& given) {
  const std::span<const int64_t> shape = given.shape;
  const auto bad = [](const std::string& text) { return Error(ErrorCode::bad_argument, "diagnose: " + text); };
  if (shape.empty()) throw bad("shape has no axis, want 1 or more");
  const int64_t all = product(shape);
  if (all == 0) throw bad("shape is " + text_of(shape) + ", want no axis of 0");
  if (is_of_rows(given)) {
    const int64_t columns = columns_of(given, shape);
    return {all / columns, columns, 1};
  }
  if (shape.size() == 1) {
    if (given.operation != Operation::batch_norm)
      throw bad("shape is " + text_of(shape) + ", want an axis of samples and one of channels");
    return {all, 1, 1};
  }
  const int64_t channels = channels_of(given);
  if (given.operation == Operation::group_norm && (given.groups < 1 || channels % given.groups != 0))
    throw bad("groups is " + std::to_string(given.groups) + ", want a divisor of C = " + std::to_string(channels));
  return is_first(given) ? Extent{shape[0], channels, all / (shape[0] * channels)}
                         : Extent{all / channels, channels, 1};
}

Grouping grouping_of(const DiagnosisCase& given, const Recipe& recipe) {
  const Extent s = extent_of(given);
  const Pixels of = pixels_of(given, s);
  const int64_t samples = of.samples, pixels = of.pixels;
  const int64_t C = s.channels, in_sample = samples == 0 ? 1 : s.outer / samples, S = s.inner;
  const bool rows = is_of_rows(given), batch = given.operation == Operation::batch_norm;
  const int64_t groups = given.operation == Operation::instance_norm ? C : given.groups, per = rows ? 1 : C / groups;
  const auto channel = [](int64_t, int64_t c, int64_t) { return c; };
  // The channel of the element at the same place of memory that has the other layout.
  const auto misread = [=](int64_t o, int64_t c, int64_t i) {
    const int64_t place = (o * C + c) * S + i;
    return S > 1 || in_sample == 1 ? place % C : place % (in_sample * C) / in_sample;
  };
  switch (recipe.groups) {
    case Recipe::Groups::wrong_axis:
      if (rows) return by(s, C, C, channel, channel);
      if (batch)
        return by(
            s, samples, C, [=](int64_t o, int64_t, int64_t) { return o / in_sample; }, channel);
      return by(s, C, C, channel, channel);
    case Recipe::Groups::samples_only:
      if (rows || (S == 1 && in_sample == 1)) break;
      return by(
          s, C * pixels, C, [=](int64_t o, int64_t c, int64_t i) { return c * pixels + o % in_sample * S + i; },
          channel);
    case Recipe::Groups::pixels_only:
      if (rows) break;
      return by(
          s, samples * C, C, [=](int64_t o, int64_t c, int64_t) { return o / in_sample * C + c; }, channel);
    case Recipe::Groups::other_axis: {
      if (!has_other_axis(given)) break;
      const bool first = is_first(given);
      const int64_t n = exchanged_of(given);
      const auto index = [=](int64_t o, int64_t, int64_t i) { return first ? i % n : o % in_sample / (in_sample / n); };
      return by(s, n, n, index, index);
    }
    case Recipe::Groups::misread:
      if (rows) break;
      if (batch) return by(s, C, C, misread, misread);
      return by(
          s, samples * groups, C,
          [=](int64_t o, int64_t c, int64_t i) { return o / in_sample * groups + misread(o, c, i) / per; }, misread);
    case Recipe::Groups::usual:
      break;
  }
  if (rows)
    return by(
        s, s.outer, C, [](int64_t o, int64_t, int64_t) { return o; }, channel);
  if (batch) return by(s, C, C, channel, channel);
  return by(
      s, samples * groups, C, [=](int64_t o, int64_t c, int64_t) { return o / in_sample * groups + c / per; }, channel);
}

bool has_other_axis(const DiagnosisCase& given) noexcept {
  if (given.operation != Operation::batch_norm || given.shape.size() < 3) return false;
  const bool has_parameters = !given.gamma.empty() || !given.beta.empty();
  return !has_parameters || channels_of(given) == exchanged_of(given);
}

bool has_pixels(const DiagnosisCase& given) {
  return !is_of_rows(given) && given.shape.size() >= 3 && pixels_of(given, extent_of(given)).pixels > 1;
}

std::vector<int64_t> shape_of(const DiagnosisCase& given, bool like_x, int64_t elements) {
  return like_x ? given.shape : std::vector<int64_t>{elements};
}

}  // namespace unitvar::diagnosis
