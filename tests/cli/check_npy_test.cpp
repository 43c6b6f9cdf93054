#include "check/npy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "check/npz.hpp"
#include "cli/npz.hpp"
#include "common/failure.hpp"
#include "unitvar/half.hpp"

namespace unitvar::testing {
namespace {

using check::Array;
using check::read_npy;
using ::testing::HasSubstr;
using Doubles = std::vector<double>;
using Shape = std::vector<std::int64_t>;

Array read(const std::string& bytes) { return read_npy(std::as_bytes(std::span(bytes)), "file"); }

std::string refusal(const std::string& bytes) {
  try {
    (void)read(bytes);
  } catch (const tool::UsageError& error) {
    return error.what();
  }
  return "read";
}

TEST(Npy, HasEveryTypeInBothByteOrders) {
  const auto swapped = [](std::string bytes, std::size_t size) {
    for (std::size_t at = 0; at < bytes.size(); at += size)
      std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                   bytes.begin() + static_cast<std::ptrdiff_t>(at + size));
    return bytes;
  };
  const Doubles values = {1.5, -0.25, 3};
  const std::string f4 = raw(std::vector<float>(values.begin(), values.end())), f8 = raw(values);
  std::vector<std::uint16_t> halves, brains;
  for (const double v : values) halves.push_back(f16(v).bits), brains.push_back(bf16(v).bits);
  EXPECT_EQ(values, read(npy_bytes(header_of("<f4", "(3,)"), f4)).values);
  EXPECT_EQ(values, read(npy_bytes(header_of(">f4", "(3,)"), swapped(f4, 4))).values);
  EXPECT_EQ(values, read(npy_bytes(header_of("<f8", "(3,)"), f8)).values);
  EXPECT_EQ(values, read(npy_bytes(header_of(">f8", "(3,)"), swapped(f8, 8))).values);
  EXPECT_EQ(values, read(npy_bytes(header_of("<f2", "(3,)"), raw(halves))).values);
  EXPECT_EQ(values, read(npy_bytes(header_of(">f2", "(3,)"), swapped(raw(halves), 2))).values);
  EXPECT_EQ(values, read(npy_bytes(header_of("<V2", "(3,)"), raw(brains))).values);
  EXPECT_EQ(values, read(npy_bytes(header_of("|V2", "(3,)"), raw(brains))).values);
  EXPECT_EQ("bf16", read(npy_bytes(header_of("|V2", "(3,)"), raw(brains))).dtype);
}

TEST(Npy, HasEveryRankAndBothOrders) {
  EXPECT_EQ(Shape{}, read(npy_bytes(header_of("<f8", "()"), raw(Doubles{7}))).shape);
  EXPECT_EQ((Shape{0, 3}), read(npy_bytes(header_of("<f8", "(0, 3)"), "")).shape);
  const Array rows = read(npy_bytes(header_of("<f8", "(2, 3)"), raw(Doubles{1, 2, 3, 4, 5, 6})));
  const Array columns = read(npy_bytes(header_of("<f8", "(2, 3)", true), raw(Doubles{1, 4, 2, 5, 3, 6})));
  EXPECT_EQ(rows.values, columns.values);
  const Array deep = read(npy_bytes(header_of("<f8", "(2, 2, 2)", true), raw(Doubles{0, 4, 2, 6, 1, 5, 3, 7})));
  EXPECT_EQ((Doubles{0, 1, 2, 3, 4, 5, 6, 7}), deep.values);
}

TEST(Npy, HasTheLongHeaderOfFormat2) {
  std::string bytes = npy_bytes(header_of("<f8", "(1,)"), raw(Doubles{7}));
  bytes[6] = 2;
  bytes.insert(10, 2, '\0');
  EXPECT_EQ(Doubles{7}, read(bytes).values);
}

TEST(Npy, RefusesWhatIsBroken) {
  const std::string right = npy_bytes(header_of("<f4", "(2,)"), std::string(8, 'x'));
  EXPECT_THAT(refusal(""), HasSubstr("file: no array of NumPy"));
  EXPECT_THAT(refusal(right.substr(0, 40)), HasSubstr("truncated, the header"));
  EXPECT_THAT(refusal(right.substr(0, right.size() - 1)), HasSubstr("7 bytes of values, want 8"));
  EXPECT_THAT(refusal(right + "x"), HasSubstr("9 bytes of values, want 8"));
  EXPECT_THAT(refusal(npy_bytes(header_of("<i4", "(2,)"), "")), HasSubstr("an array of '<i4', want f2, f4, f8"));
  EXPECT_THAT(refusal(npy_bytes(header_of("<f4", "(-2,)"), "")), HasSubstr("no size of an axis"));
  EXPECT_THAT(refusal(npy_bytes(header_of("<f4", "(99999999999999999999,)"), "")), HasSubstr("no size of an axis"));
  EXPECT_THAT(refusal(npy_bytes(header_of("<f4", "(4294967296, 4294967296)"), "")), HasSubstr("more than"));
  EXPECT_THAT(refusal(npy_bytes("{'descr': '<f4', 'shape': (2,)}", "")), HasSubstr("'fortran_order'"));
  EXPECT_THAT(refusal(npy_bytes("{'descr': '<f4', 'descr': '<f4'}", "")), HasSubstr("once too often"));
  EXPECT_THAT(refusal(npy_bytes("{'descr': '<f4", "")), HasSubstr("end of a string"));
  std::string future = right;
  future[6] = 4;
  EXPECT_THAT(refusal(future), HasSubstr("format 4, want 1 to 3"));
  // Every prefix of a right file, and every byte of its front changed: read or refused.
  for (std::size_t n = 0; n < right.size(); ++n) EXPECT_NE("read", refusal(right.substr(0, n)));
  for (std::size_t n = 0; n < right.size(); ++n) {
    std::string changed = right;
    changed[n] = static_cast<char>(changed[n] ^ 0x15);
    (void)refusal(changed);
  }
}

TEST(Npz, HasArraysByNameAndRefusesOthers) {
  const TemporaryFolder folder;
  write_npz(folder / "case.npz", {{"x.npy", floats("(2,)", {1, 2})}, {"dy.npy", floats("(1,)", {3})}});
  const auto arrays = check::read_npz(folder / "case.npz");
  EXPECT_EQ((Doubles{1, 2}), arrays.at("x").values);
  EXPECT_EQ(Doubles{3}, arrays.at("dy").values);
  const auto message = [&](const fs::path& path) -> std::string {
    try {
      (void)check::read_npz(path);
    } catch (const tool::UsageError& error) {
      return error.what();
    }
    return "read";
  };
  EXPECT_THAT(message(folder / "absent.npz"), HasSubstr("no .npz file: No such file"));
  write_bytes(folder / "text.npz", "hello");
  EXPECT_THAT(message(folder / "text.npz"), HasSubstr("no .npz file: Not a zip archive"));
  write_npz(folder / "other.npz", {{"notes.txt", "hello"}});
  EXPECT_THAT(message(folder / "other.npz"), HasSubstr("notes.txt: no .npy file"));
  std::string bytes = read_bytes(folder / "case.npz");
  write_bytes(folder / "short.npz", bytes.substr(0, bytes.size() / 2));
  EXPECT_NE("read", message(folder / "short.npz"));
}

}  // namespace
}  // namespace unitvar::testing
