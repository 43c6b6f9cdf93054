#include "bench/baseline.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "bench/file_plans.hpp"
#include "cli/files.hpp"
#include "common/failure.hpp"

namespace unitvar::testing {
namespace {

using bench::Baseline;
using bench::Machine;
using bench::Op;
using bench::Plan;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Machine here{"this one", Isa::portable, 32 << 10, 512 << 10, 2};

json row_json(const std::string& op, const std::vector<int>& shape, const std::string& layout, int threads) {
  return {{"op", op},          {"suite", "small"},   {"shape", shape},
          {"count", 3},        {"layout", layout},   {"dtype", "f32"},
          {"pass", "forward"}, {"threads", threads}, {"roofline_fraction", 0.5}};
}

json file_json() {
  return {
      {"date", "2026-11-01T10:00:00Z"},
      {"machine", {{"processor", "another"}, {"isa", "portable"}, {"l1", 32768}, {"l2", 524288}, {"processors", 2}}},
      {"onednn", nullptr},
      {"rows", {row_json("batch_norm", {2, 3, 1, 4, 5}, "channels_first", 1)}}};
}

class BenchBaseline : public ::testing::Test {
 protected:
  Baseline read(const std::string& text) {
    write_bytes(folder_ / "old.json", text);
    return bench::read_baseline(folder_ / "old.json");
  }
  Baseline read(const json& file) { return read(file.dump()); }

  std::string refusal(const std::string& text) {
    try {
      (void)read(text);
    } catch (const tool::UsageError& error) {
      ADD_FAILURE() << "a broken file is no usage error: " << error.what();
    } catch (const tool::Failure& failure) {
      EXPECT_EQ(std::string(failure.what()).find('\n'), std::string::npos) << failure.what();
      return failure.what();
    }
    return "nothing refused";
  }
  /// Of a file whose first row has another value.
  std::string row_refusal(const char* name, const json& value) {
    json file = file_json();
    file["rows"][0][name] = value;
    return refusal(file.dump());
  }

  TemporaryFolder folder_;
};

TEST_F(BenchBaseline, ReadsWhatIsCompared) {
  json file = file_json();
  file["onednn"] = "oneDNN 2.6.3";
  file["rows"][0]["onednn_same_ratio"] = 4;
  const Baseline before = read(file);
  EXPECT_EQ(before.date, "2026-11-01T10:00:00Z");
  EXPECT_EQ(before.onednn, "oneDNN 2.6.3");
  EXPECT_EQ(bench::kind_of(before.machine), "portable-512k");
  ASSERT_EQ(before.rows.size(), 1U);
  const bench::OldRow& row = before.rows[0];
  EXPECT_EQ(row.count, 3);
  EXPECT_EQ(row.suite, "small");
  EXPECT_EQ(row.fraction, 0.5);
  EXPECT_EQ(row.onednn_same, 4);
  EXPECT_EQ(row.onednn_best, std::nullopt);
  EXPECT_EQ(before.find(bench::make_key(Op::batch_norm, 0, {2, 3, 1, 4, 5, 9}, bench::Layout::channels_first, "f32",
                                        Pass::forward, 1)),
            &row);
  EXPECT_EQ(before.find(bench::make_key(Op::batch_norm, 0, {2, 3, 1, 4, 5, 9}, bench::Layout::channels_first, "f32",
                                        Pass::forward, 2)),
            nullptr);
}

TEST_F(BenchBaseline, NamesPlaceAndValueOfWhatIsWrong) {
  EXPECT_THAT(refusal(""), HasSubstr("unexpected end of input"));
  EXPECT_THAT(refusal(""), HasSubstr("old.json: parse error at line 1"));
  EXPECT_THAT(refusal("\xff{}"), HasSubstr("want the JSON that unitvar bench --json writes"));
  EXPECT_THAT(refusal(file_json().dump().substr(0, 300)), HasSubstr("old.json: parse error at line 1, column 30"));
  EXPECT_THAT(refusal("[1e999]"), HasSubstr("number overflow"));
  EXPECT_THAT(refusal("[]"), HasSubstr("old.json is [], want an object"));
  EXPECT_THAT(refusal("{}"), HasSubstr("old.json has no date, want what unitvar bench --json writes"));
  json file = file_json();
  file["machine"] = 3;
  EXPECT_THAT(refusal(file.dump()), HasSubstr("old.json: machine is 3, want an object"));
  file = file_json();
  file["machine"]["isa"] = "mmx";
  EXPECT_THAT(refusal(file.dump()), HasSubstr("machine: isa is \"mmx\", want an instruction set of --isa"));
  file = file_json();
  file["machine"].erase("l2");
  EXPECT_THAT(refusal(file.dump()), HasSubstr("machine has no l2"));
  file = file_json();
  file["rows"] = json::array();
  EXPECT_THAT(refusal(file.dump()), HasSubstr("rows is [], want at least 1 row"));
  file["rows"] = {{"op", "batch_norm"}};
  EXPECT_THAT(refusal(file.dump()), HasSubstr("want an array"));
  file["rows"] = {7};
  EXPECT_THAT(refusal(file.dump()), HasSubstr("rows[0] is 7, want an object"));
}

TEST_F(BenchBaseline, NamesRowAndValueOfWhatIsWrong) {
  EXPECT_THAT(row_refusal("op", "softmax"), HasSubstr("rows[0]: op is \"softmax\", want batch_norm, layer_norm"));
  EXPECT_THAT(row_refusal("op", nullptr), HasSubstr("rows[0]: op is null, want batch_norm, layer_norm"));
  EXPECT_THAT(row_refusal("shape", {1, 2}), HasSubstr("rows[0]: shape is [1,2], want 5 axes: n, c, d, h, w"));
  EXPECT_THAT(row_refusal("shape", {1, 2, 1, 0, 1}), HasSubstr("shape[3] is 0, want a whole number from 1 to"));
  EXPECT_THAT(row_refusal("shape", {1, 2.5, 1, 1, 1}), HasSubstr("shape[1] is 2.5, want a whole number"));
  EXPECT_THAT(row_refusal("shape", {18446744073709551615U, 1, 1, 1, 1}), HasSubstr("shape[0] is 1844674407370955161"));
  EXPECT_THAT(row_refusal("shape", {4294967296, 4294967296, 1, 1, 1}), HasSubstr("want less than 2^63 bytes"));
  EXPECT_THAT(row_refusal("layout", "nchw"), HasSubstr("layout is \"nchw\", want channels_first, channels_last"));
  EXPECT_THAT(row_refusal("dtype", "f8"), HasSubstr("dtype is \"f8\", want f32, f64, bf16, f16"));
  EXPECT_THAT(row_refusal("pass", "sideways"), HasSubstr("pass is \"sideways\", want forward, backward, inference"));
  EXPECT_THAT(row_refusal("threads", 0), HasSubstr("threads is 0, want a whole number from 1 to 1024"));
  EXPECT_THAT(row_refusal("threads", "two"), HasSubstr("threads is \"two\", want a whole number from 1 to 1024"));
  EXPECT_THAT(row_refusal("suite", 1), HasSubstr("suite is 1, want a text"));
  EXPECT_THAT(row_refusal("roofline_fraction", -1), HasSubstr("roofline_fraction is -1, want a number not below 0"));
  EXPECT_THAT(row_refusal("roofline_fraction", nullptr), HasSubstr("roofline_fraction is null, want a number"));
  EXPECT_THAT(row_refusal("onednn_same_ratio", "4"), HasSubstr("onednn_same_ratio is \"4\", want a number"));
  EXPECT_THAT(row_refusal("op", "layer_norm"), HasSubstr("want rows of one axis with layer_norm"));
  EXPECT_THAT(row_refusal("op", "group_norm"), HasSubstr("rows[0] has no groups"));
  json file = file_json();
  file["rows"][0]["op"] = "group_norm";
  file["rows"][0]["groups"] = 2;
  EXPECT_THAT(refusal(file.dump()), HasSubstr("groups is 2, want a divisor of the 3 channels"));
  file["rows"][0]["groups"] = 3;
  file["rows"][0]["pass"] = "inference";
  EXPECT_THAT(refusal(file.dump()), HasSubstr("pass is \"inference\", want forward, backward"));
  const std::string long_text = row_refusal("dtype", std::string(10'000, 'x'));
  EXPECT_LT(long_text.size(), 300U);
}

TEST_F(BenchBaseline, IsOfAKindOfMachine) {
  const Baseline before = read(file_json());
  EXPECT_NO_THROW(require_same_kind(before, here));
  for (const Machine& other : {Machine{"", Isa::avx2, 0, 512 << 10, 2}, Machine{"", Isa::portable, 0, 1 << 20, 2}}) {
    EXPECT_THROW(require_same_kind(before, other), tool::UsageError);
  }
  EXPECT_EQ(bench::kind_of({"", Isa::neon, 0, 0, 1}), "neon-unknown");
}

TEST_F(BenchBaseline, BecomesAPlanForEachOperationAndSuite) {
  json file = file_json();
  json rows = row_json("rms_norm", {7, 9, 1, 1, 1}, "channels_last", 1);
  json network = row_json("batch_norm", {4, 2, 1, 1, 1}, "channels_last", 2);
  network["suite"] = "network";
  file["rows"].push_back(rows);
  file["rows"].push_back(network);
  file["rows"].push_back(row_json("batch_norm", {2, 3, 1, 4, 5}, "channels_first", 2));
  file["rows"].push_back(file["rows"][0]);
  const std::vector<Plan> plans = bench::plans_of(read(file), {}, here);
  ASSERT_EQ(plans.size(), 3U);
  EXPECT_EQ(plans[0].op, Op::batch_norm);
  EXPECT_EQ(plans[0].suite.name, "small");
  EXPECT_EQ(plans[0].suite.shapes, std::vector<bench::Shape>({{2, 3, 1, 4, 5, 3}}));
  EXPECT_THAT(plans[0].threads, ElementsAre(1, 2));
  EXPECT_EQ(plans[0].only->size(), 2U);
  EXPECT_EQ(plans[1].op, Op::rms_norm);
  EXPECT_EQ(plans[2].suite.name, "network");
  EXPECT_THAT(plans[2].layouts, ElementsAre(bench::Layout::channels_last));
}

TEST_F(BenchBaseline, LeavesOutWhatThisMachineCannotMeasure) {
  json file = file_json();
  file["rows"].push_back(row_json("batch_norm", {2, 3, 1, 4, 5}, "channels_first", 3));
  file["rows"].push_back(row_json("batch_norm", {1, 3, 1, 1, 1}, "channels_first", 1));  // one value a channel
  const std::vector<Plan> plans = plans_of(read(file), {}, here);
  ASSERT_EQ(plans.size(), 1U);
  EXPECT_THAT(plans[0].threads, ElementsAre(1));
  EXPECT_EQ(plans[0].only->size(), 1U);
  file = file_json();
  file["rows"][0]["threads"] = 3;
  EXPECT_THROW((void)plans_of(read(file), {}, here), tool::UsageError);
}

TEST_F(BenchBaseline, LeavesRowsToWhatOptionsChoose) {
  json file = file_json();
  file["rows"].push_back(row_json("batch_norm", {2, 3, 1, 4, 5}, "channels_last", 2));
  file["rows"].push_back(row_json("rms_norm", {7, 9, 1, 1, 1}, "channels_last", 1));
  const Baseline before = read(file);
  bench::Plan asked;
  asked.op = Op::batch_norm;
  asked.suite.shapes = {{2, 3, 1, 4, 5, 8}};
  asked.layouts = {bench::Layout::channels_last};
  asked.dtypes = {"f32"};
  asked.threads = {1, 2};
  const auto chosen = [&](const std::set<std::string>& given) {
    std::vector<std::size_t> places;
    for (const bench::OldRow& row : chosen_rows(before.rows, asked, given)) {
      places.push_back(static_cast<std::size_t>(before.find(row.key) - before.rows.data()));
    }
    return places;
  };
  EXPECT_THAT(chosen({}), ElementsAre(0, 1, 2));
  EXPECT_THAT(chosen({"--op"}), ElementsAre(0, 1));
  EXPECT_THAT(chosen({"--layout"}), ElementsAre(1, 2));
  EXPECT_THAT(chosen({"--shape"}), ElementsAre(0, 1));
  EXPECT_THAT(chosen({"--shapes", "--threads"}), ElementsAre(0, 1));
  EXPECT_THAT(chosen({"--layout", "--op", "--dtype"}), ElementsAre(1));
  EXPECT_THAT(chosen({"--layout", "--op", "--threads"}), ElementsAre());  // not with one thread
  asked.dtypes = {"f32", "bf16"};
  EXPECT_THAT(chosen({"--dtype"}), ElementsAre());
}

}  // namespace
}  // namespace unitvar::testing
