#include "train/safetensors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "cli/files.hpp"
#include "common/failure.hpp"

namespace unitvar::testing {
namespace {

using ::testing::HasSubstr;
using train::make_scalar;
using train::make_tensor;
using train::SafetensorsReader;
using train::Tensor;

// What the tests write and read back.
struct Values {
  std::vector<float> floats = {1.5F, -2, 3e-30F};
  std::vector<double> doubles = {0.1, -1e300};
  std::int64_t count = -7;
  std::uint64_t seed = ~std::uint64_t{0};

  std::vector<Tensor> tensors() {
    return {make_tensor("floats", {3, 1}, std::span(floats)), make_tensor("doubles", {2}, std::span(doubles)),
            make_scalar("count", count), make_scalar("seed", seed)};
  }
  bool operator==(const Values&) const = default;
};

Values blank() { return {{0, 0, 0}, {0, 0}, 0, 0}; }

// A file around a header written by hand.
std::string file_with_header(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t size = header.size();
  std::string bytes(sizeof(size), '\0');
  std::memcpy(bytes.data(), &size, sizeof(size));
  return bytes + header + std::string(data_bytes, '\0');
}

class Safetensors : public ::testing::Test {
 protected:
  Safetensors() { train::write_safetensors(path_, Values().tensors(), {{"who", "me"}}); }

  std::string message_after(const std::string& bytes) {
    write_bytes(path_, bytes);
    Values target = blank();
    try {
      SafetensorsReader reader(path_);
      reader.read(target.tensors());
    } catch (const tool::Failure& failure) {
      EXPECT_EQ(target, blank()) << "filled in spite of: " << failure.what();
      return failure.what();
    }
    return "no failure";
  }
  std::string message_for_header(const std::string& header, std::size_t data_bytes) {
    return message_after(file_with_header(header, data_bytes));
  }

  TemporaryFolder folder_;
  fs::path path_ = folder_ / "values.safetensors";
};

TEST_F(Safetensors, ComeBackAsTheyWereWritten) {
  Values back = blank();
  SafetensorsReader reader(path_);
  EXPECT_EQ(reader.metadata().at("who"), "me");
  reader.read(back.tensors());
  EXPECT_EQ(back, Values());
}

TEST_F(Safetensors, StandAlignedToTheirTypes) {
  const SafetensorsReader reader(path_);
  for (const auto& [name, entry] : reader.entries()) EXPECT_EQ(entry.begin % (name == "floats" ? 4 : 8), 0U) << name;
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, read_bytes(path_).data(), sizeof(header_size));
  EXPECT_EQ(header_size % 8, 0U);
}

TEST_F(Safetensors, LeaveNoTemporaryFile) { EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), {}), 1); }

TEST_F(Safetensors, ThatAreCutAnywhereAreRefused) {
  const std::string whole = read_bytes(path_);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_NE(message_after(whole.substr(0, size)), "no failure") << size;
  }
}

TEST_F(Safetensors, WithAByteTooManyAreRefused) {
  EXPECT_THAT(message_after(read_bytes(path_) + '\0'), HasSubstr("truncated or corrupt"));
}

TEST_F(Safetensors, WithAnyByteChangedAreRefused) {
  const std::string whole = read_bytes(path_);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string bytes = whole;
    bytes[i] = static_cast<char>(bytes[i] ^ 4);
    EXPECT_NE(message_after(bytes), "no failure") << "byte " << i;
  }
}

TEST_F(Safetensors, WithALyingHeaderLengthAreRefused) {
  for (std::uint64_t size : {std::uint64_t{1} << 40, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
    std::string bytes = read_bytes(path_);
    std::memcpy(bytes.data(), &size, sizeof(size));
    EXPECT_THAT(message_after(bytes), HasSubstr("the header claims"));
  }
}

TEST_F(Safetensors, WithNoJsonAreRefused) {
  for (const char* header :
       {"", "{", "[1]", "7", "\"x\"", "{\"__metadata__\":{\"a\":1}}", "{\"a\":null}", "{\"a\":{}}"}) {
    EXPECT_THAT(message_for_header(header, 0), HasSubstr("malformed")) << header;
  }
  EXPECT_THAT(message_for_header(std::string(1'000'000, '['), 0), HasSubstr("malformed"));
}

TEST_F(Safetensors, WithImpossibleTensorsAreRefused) {
  const auto message = [&](const std::string& shape, const std::string& offsets, const std::string& dtype = "F32") {
    return message_for_header(
        R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}", 8);
  };
  EXPECT_THAT(message("[2]", "[0,8]", "F13"), HasSubstr("dtype F13 is unknown"));
  EXPECT_THAT(message("[-2]", "[0,8]"), HasSubstr("no list of counts"));
  EXPECT_THAT(message("[1.5]", "[0,8]"), HasSubstr("no list of counts"));
  EXPECT_THAT(message("[4611686018427387904,4]", "[0,0]"), HasSubstr("is impossible"));
  EXPECT_THAT(message("[3]", "[0,8]"), HasSubstr("do not fit"));
  EXPECT_THAT(message("[2]", "[8,0]"), HasSubstr("do not fit"));
  EXPECT_THAT(message("[2]", "[0,8,9]"), HasSubstr("no two counts"));
  EXPECT_THAT(message("[2]", "[-8,0]"), HasSubstr("no two counts"));
  EXPECT_THAT(message("[1000000000000]", "[0,4000000000000]"), HasSubstr("truncated or corrupt"));
}

TEST_F(Safetensors, ThatOverlapOrLeaveGapsAreRefused) {
  const auto message = [&](const std::string& first, const std::string& second) {
    return message_for_header(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":)" + first +
                                  R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":)" + second + "}}",
                              8);
  };
  EXPECT_THAT(message("[0,4]", "[0,4]"), HasSubstr("overlap or leave a gap"));
  EXPECT_THAT(message("[0,4]", "[2,6]"), HasSubstr("overlap or leave a gap"));
  EXPECT_THAT(message("[4,8]", "[8,12]"), HasSubstr("overlap or leave a gap"));
}

TEST_F(Safetensors, WithANameGivenTwiceAreRefused) {
  const std::string entry = R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  EXPECT_THAT(message_for_header("{" + entry + "," + entry + "}", 4), HasSubstr("a is there twice"));
}

TEST_F(Safetensors, ThatAreNotTheOnesWantedAreRefused) {
  Values values;
  std::vector<Tensor> tensors = values.tensors();
  const auto message = [&](const std::vector<Tensor>& wanted) -> std::string {
    try {
      SafetensorsReader(path_).read(wanted);
    } catch (const tool::Failure& failure) {
      return failure.what();
    }
    return "no failure";
  };
  tensors[0].shape = {1, 3};
  EXPECT_THAT(message(tensors), HasSubstr("tensor floats is F32 [3, 1], want F32 [1, 3]"));
  tensors = values.tensors();
  tensors[2].name = "other";
  EXPECT_THAT(message(tensors), HasSubstr("tensor other is missing"));
  tensors.pop_back();
  tensors[2].name = "count";
  EXPECT_THAT(message(tensors), HasSubstr("4 tensors, want 3"));
}

}  // namespace
}  // namespace unitvar::testing
