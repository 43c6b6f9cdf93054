#include "check/npy.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <optional>

#include "common/failure.hpp"
#include "unitvar/dtype.hpp"

namespace unitvar::check {
namespace {

using std::int64_t;

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr int64_t kMostElements = int64_t{1} << 32;

/// The dict in front of the values: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
class Header {
 public:
  Header(std::string_view text, std::string_view name) : text_(text), name_(name) { read(); }

  std::string descr;
  bool fortran_order = false;
  std::vector<int64_t> shape;

 private:
  [[noreturn]] void fail(std::string_view wanted) const {
    throw tool::UsageError("{}: the header of the array has no {} at byte {}", name_, wanted, at_);
  }
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  bool take(std::string_view token) {
    skip_blanks();
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  void want(std::string_view token) {
    if (!take(token)) fail(fmt::format("'{}'", token));
  }
  std::string quoted() {
    skip_blanks();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) fail("string");
    const std::size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) fail("end of a string");
    std::string found(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return found;
  }
  int64_t number() {
    skip_blanks();
    int64_t value = -1;
    const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error != std::errc() || value < 0) fail("size of an axis");
    at_ = static_cast<std::size_t>(end - text_.data());
    return value;
  }
  void read_shape() {
    want("(");
    while (!take(")")) {
      shape.push_back(number());
      if (take(",")) continue;
      want(")");
      return;
    }
  }
  void read_entry(bool (&seen)[3]) {
    const std::string key = quoted();
    want(":");
    const int which = key == "descr" ? 0 : key == "fortran_order" ? 1 : key == "shape" ? 2 : -1;
    if (which < 0 || seen[which])
      throw tool::UsageError("{}: the header of the array has '{}' once too often", name_, key);
    seen[which] = true;
    if (which == 0) descr = quoted();
    if (which == 2) read_shape();
    if (which != 1) return;
    fortran_order = take("True");
    if (!fortran_order) want("False");
  }
  void read() {
    bool seen[3] = {};
    want("{");
    while (!take("}")) {
      read_entry(seen);
      if (take(",")) continue;
      want("}");
      break;
    }
    skip_blanks();
    if (at_ != text_.size()) fail("end behind the dict");
    if (!seen[0] || !seen[1] || !seen[2]) fail("'descr', 'fortran_order' and 'shape'");
  }

  std::string_view text_, name_;
  std::size_t at_ = 0;
};

struct Format {
  std::string dtype;
  std::size_t bytes;
  bool swapped;
};

Format format_of(const std::string& descr, std::string_view name) {
  constexpr bool kLittle = std::endian::native == std::endian::little;
  const char order = descr.empty() ? ' ' : descr[0];
  const bool swapped = kLittle ? order == '>' : order == '<';
  const std::string type = order == '<' || order == '>' || order == '=' || order == '|' ? descr.substr(1) : descr;
  if (type == "f2" || type == "f4" || type == "f8") return {type, static_cast<std::size_t>(type[1] - '0'), swapped};
  if (type == "V2" || type == "bfloat16") return {"bf16", 2, swapped};
  throw tool::UsageError("{}: an array of '{}', want f2, f4, f8 or bfloat16", name, descr);
}

template <class Bits>
Bits bits_at(const std::byte* at, bool swapped) {
  std::byte bytes[sizeof(Bits)];
  std::copy_n(at, sizeof(Bits), bytes);
  if (swapped) std::reverse(bytes, bytes + sizeof(Bits));
  Bits bits;
  std::memcpy(&bits, bytes, sizeof bits);
  return bits;
}

double value_at(const std::byte* at, const Format& format) {
  if (format.bytes == 8) return std::bit_cast<double>(bits_at<std::uint64_t>(at, format.swapped));
  if (format.bytes == 4) return std::bit_cast<float>(bits_at<std::uint32_t>(at, format.swapped));
  const auto bits = bits_at<std::uint16_t>(at, format.swapped);
  return format.dtype == "bf16" ? static_cast<double>(bf16::from_bits(bits))
                                : static_cast<double>(f16::from_bits(bits));
}

/// Element by element from Fortran order, in which the first axis runs fastest.
std::vector<double> in_c_order(const std::vector<double>& values, const std::vector<int64_t>& shape) {
  std::vector<double> out(values.size());
  std::vector<int64_t> index(shape.size(), 0);
  for (double& v : out) {
    int64_t from = 0;
    for (std::size_t axis = shape.size(); axis-- > 0;) from = from * shape[axis] + index[axis];
    v = values[static_cast<std::size_t>(from)];
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      if (++index[axis] < shape[axis]) break;
      index[axis] = 0;
    }
  }
  return out;
}

std::span<const std::byte> split_header(std::span<const std::byte> bytes, std::string_view name,
                                        std::string_view& text) {
  const auto* const letters = reinterpret_cast<const char*>(bytes.data());
  if (bytes.size() < 10 || std::string_view(letters, kMagic.size()) != kMagic)
    throw tool::UsageError("{}: no array of NumPy, the first bytes are not \\x93NUMPY", name);
  const int major = std::to_integer<int>(bytes[6]);
  if (major < 1 || major > 3) throw tool::UsageError("{}: .npy format {}, want 1 to 3", name, major);
  const std::size_t width = major == 1 ? 2 : 4, begin = 8 + width;
  std::size_t length = 0;
  for (std::size_t k = 0; k < width && 8 + k < bytes.size(); ++k)
    length |= std::to_integer<std::size_t>(bytes[8 + k]) << (8 * k);
  if (bytes.size() < begin || bytes.size() - begin < length)
    throw tool::UsageError("{}: truncated, the header of the array ends behind the file", name);
  text = std::string_view(letters + begin, length);
  return bytes.subspan(begin + length);
}

}  // namespace

Array read_npy(std::span<const std::byte> bytes, std::string_view name) {
  std::string_view text;
  const std::span<const std::byte> data = split_header(bytes, name, text);
  const Header header(text, name);
  const Format format = format_of(header.descr, name);
  int64_t elements = 1;
  for (const int64_t n : header.shape) {
    if (n > 0 && elements > kMostElements / n)
      throw tool::UsageError("{}: an array of more than {} elements", name, kMostElements);
    elements *= n;
  }
  if (data.size() != static_cast<std::size_t>(elements) * format.bytes) {
    throw tool::UsageError("{}: {} bytes of values, want {} as its header says", name, data.size(),
                           static_cast<std::size_t>(elements) * format.bytes);
  }
  Array array{format.dtype, header.shape, {}};
  array.values.reserve(static_cast<std::size_t>(elements));
  for (std::size_t at = 0; at < data.size(); at += format.bytes)
    array.values.push_back(value_at(data.data() + at, format));
  if (header.fortran_order && header.shape.size() > 1) array.values = in_c_order(array.values, header.shape);
  return array;
}

}  // namespace unitvar::check
