#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "bench/onednn.hpp"
#include "cli/bench_arguments.hpp"
#include "cli/process.hpp"

namespace unitvar::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

/// A file that is compared with, edited. Times on a busy machine change by any factor, so old figures are far above or
/// below what can be measured.
class BenchCompare : public ::testing::Test {
 protected:
  static constexpr double out_of_reach = 1e12, nothing = 1e-12;

  /// Writes a measurement with all its figures set to `figure`.
  void measure(const std::vector<std::string>& arguments, double figure) {
    std::vector<std::string> all = {"bench", "--repeat", "1", "--json", old_};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Ending ending = run_program(all);
    ASSERT_EQ(ending.code, 0) << ending.errors;
    json file = json::parse(read_bytes(old_));
    for (json& row : file["rows"]) {
      for (const char* name : {"roofline_fraction", "onednn_same_ratio", "onednn_best_ratio"}) {
        if (row[name].is_number()) row[name] = figure;
      }
    }
    write(file);
  }
  void measure_small(double figure) { measure({"--shape", "6,5,4,3", "--threads", "1"}, figure); }

  [[nodiscard]] json file() const { return json::parse(read_bytes(old_)); }
  void write(const json& file) const { write_bytes(old_, file.dump(1)); }

  [[nodiscard]] Ending compare(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {"bench", "--repeat", "1", "--compare", old_};
    all.insert(all.end(), more.begin(), more.end());
    return run_program(all);
  }

  TemporaryFolder folder_;
  std::string old_ = folder_ / "old.json";
};

TEST_F(BenchCompare, FindsNothingSlowerThanNothing) {
  measure_small(nothing);
  const Ending ending = compare();
  EXPECT_EQ(ending.code, 0) << ending.errors;
  EXPECT_THAT(ending.output, HasSubstr("batch_norm, suite custom, on "));
  EXPECT_THAT(ending.output, HasSubstr("beside " + old_ + " of 20"));
  EXPECT_THAT(ending.output, HasSubstr("6x5x4x3            channels_first f32   backward    1"));
  EXPECT_THAT(ending.output, HasSubstr("batch_norm channels_first f32 inference, 1 thread: "));
  EXPECT_THAT(ending.output, Not(HasSubstr(" ms")));
  EXPECT_THAT(ending.output, Not(HasSubstr("again")));
  EXPECT_THAT(ending.output, Not(HasSubstr("only ")));
}

TEST_F(BenchCompare, NamesTheRowThatFellInThreeMeasurements) {
  measure_small(nothing);
  json edited = file();
  edited["rows"][1]["roofline_fraction"] = out_of_reach;
  write(edited);
  const Ending ending = compare();
  EXPECT_EQ(ending.code, 1);
  EXPECT_THAT(ending.errors, HasSubstr("unitvar bench: what fell by more than 15 % and by more than its quartiles"));
  EXPECT_THAT(ending.errors, HasSubstr("batch_norm 6x5x4x3 channels_first f32 backward, 1 thread: fraction is "));
  EXPECT_THAT(ending.errors, HasSubstr(", was 1e+12\n"));
  EXPECT_THAT(ending.errors, Not(HasSubstr("forward")));
  const std::string again = "\nagain, what fell by more than 15 % and by more than its quartiles: 1\n";
  const std::size_t first = ending.output.find(again), second = ending.output.find(again, first + 1);
  ASSERT_NE(second, std::string::npos) << ending.output;
  EXPECT_EQ(ending.output.find(again, second + 1), std::string::npos);
}

TEST_F(BenchCompare, MeasuresJustTheRowsOfTheFileWhateverTheyAre) {
  measure({"--op", "rms_norm", "--shape", "7,9", "--threads", "1", "--dtype", "f64"}, nothing);
  const json rows = file()["rows"];
  measure({"--op", "group_norm", "--groups", "3", "--shape", "3,6,5,4", "--threads", "1", "--layout", "channels_last"},
          nothing);
  json both = file();
  both["rows"].insert(both["rows"].end(), rows.begin(), rows.end());
  write(both);
  const Ending ending = compare({"--json", folder_ / "new.json"});
  EXPECT_EQ(ending.code, 0) << ending.errors;
  const json measured = json::parse(read_bytes(folder_ / "new.json"))["rows"];
  ASSERT_EQ(measured.size(), 4U);
  for (std::size_t k = 0; k < measured.size(); ++k) {
    for (const char* name : {"op", "suite", "shape", "count", "layout", "dtype", "pass", "threads"}) {
      EXPECT_EQ(measured[k][name], both["rows"][k][name]) << name;
    }
    EXPECT_GT(measured[k]["ms"].get<double>(), 0);
  }
  EXPECT_EQ(measured[0]["groups"], 3);
}

TEST_F(BenchCompare, MeasuresTheRowsThatOptionsChoose) {
  measure({"--shape", "6,5,4,3", "--threads", "1", "--dtype", "f32,f64"}, nothing);
  const Ending ending = compare({"--dtype", "f64", "--pass", "forward", "--json", folder_ / "new.json"});
  EXPECT_EQ(ending.code, 0) << ending.errors;
  EXPECT_THAT(ending.output, Not(HasSubstr("only ")));
  const json rows = json::parse(read_bytes(folder_ / "new.json"))["rows"];
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0]["dtype"], "f64");
  EXPECT_EQ(rows[0]["shape"], json({6, 5, 1, 4, 3}));
}

TEST_F(BenchCompare, MeasuresWhatTheFileDoesNotHaveAndListsWhatStandsInOneOfTheTwo) {
  measure({"--shape", "6,5,4,3", "--shape", "2,3,1,1", "--threads", "1", "--pass", "forward"}, nothing);
  const Ending ending = compare({"--shape", "6,5,4,3", "--threads", "1", "--dtype", "f32,f64", "--pass", "forward"});
  EXPECT_EQ(ending.code, 0) << ending.errors;
  EXPECT_THAT(ending.output, HasSubstr("only here: batch_norm channels_first f64 forward, 1 thread: 6x5x4x3\n"));
  EXPECT_THAT(ending.output,
              HasSubstr("only in " + old_ + ": batch_norm channels_first f32 forward, 1 thread: 2x3x1x1\n"));
}

TEST_F(BenchCompare, LeavesOutRowsOfMoreThreadsThanThereAreProcessors) {
  measure_small(nothing);
  json edited = file();
  edited["rows"][0]["threads"] = 1024;
  write(edited);
  const Ending ending = compare();
  EXPECT_EQ(ending.code, 0) << ending.errors;
  EXPECT_THAT(ending.output, HasSubstr("batch_norm channels_first f32 forward, 1024 threads: 6x5x4x3\n"));
}

TEST_F(BenchCompare, RefusesAFileOfAnotherKindOfMachine) {
  measure_small(nothing);
  const json mine = file();
  json edited = mine;
  edited["machine"]["l2"] = mine["machine"]["l2"].get<std::int64_t>() + 1024;
  write(edited);
  const Ending cache = compare();
  edited = mine;
  edited["machine"]["isa"] = mine["machine"]["isa"] == "portable" ? "sse4" : "portable";
  write(edited);
  const Ending isa = compare({"--json", folder_ / "new.json"});
  for (const Ending& ending : {cache, isa}) {
    EXPECT_EQ(ending.code, 2);
    EXPECT_EQ(std::ranges::count(ending.errors, '\n'), 1) << ending.errors;
    EXPECT_THAT(ending.errors, HasSubstr("want a file of this kind of machine: "));
    EXPECT_EQ(ending.output, "");
  }
  EXPECT_FALSE(fs::exists(folder_ / "new.json"));
}

TEST_F(BenchCompare, RefusesABrokenFileInOneLineAndWritesNothing) {
  measure_small(nothing);
  const std::string whole = read_bytes(old_);
  for (const std::string& broken : {std::string(), whole.substr(0, whole.size() / 2), std::string("{\"rows\": 3}")}) {
    write_bytes(old_, broken);
    const Ending ending = compare({"--json", folder_ / "new.json"});
    EXPECT_EQ(ending.code, 1);
    EXPECT_EQ(std::ranges::count(ending.errors, '\n'), 1) << ending.errors;
    EXPECT_THAT(ending.errors, HasSubstr("unitvar bench: " + old_));
    EXPECT_EQ(ending.output, "");
    EXPECT_FALSE(fs::exists(folder_ / "new.json"));
  }
}

TEST_F(BenchCompare, DrawsAPictureOfOneOperation) {
  measure_small(nothing);
  const Ending ending = compare({"--plot", folder_ / "bars.svg", "--json", "-"});
  EXPECT_EQ(ending.code, 0) << ending.errors;
  EXPECT_EQ(json::parse(ending.output)["rows"].size(), 3U);
  EXPECT_THAT(ending.errors, HasSubstr("fraction of the roofline, now over then"));
  EXPECT_THAT(read_bytes(folder_ / "bars.svg"), HasSubstr("</svg>"));
  json edited = file();
  edited["rows"][2]["suite"] = "another";
  write(edited);
  const Ending two = compare({"--plot", folder_ / "bars.svg"});
  EXPECT_EQ(two.code, 2);
  EXPECT_THAT(two.errors, HasSubstr("--plot draws one operation and suite"));
}

TEST_F(BenchCompare, PutsOnednnBesideItsOldRatios) {
  if (!bench::onednn_available()) GTEST_SKIP() << "built without oneDNN";
  measure({"--shape", "6,5,4,3", "--threads", "1", "--pass", "forward", "--against", "onednn"}, nothing);
  const Ending ending = compare();
  EXPECT_EQ(ending.code, 0) << ending.errors;
  EXPECT_THAT(ending.output, HasSubstr("its best"));
  json edited = file();
  edited["rows"][0]["onednn_best_ratio"] = out_of_reach;
  write(edited);
  const Ending fallen = compare();
  EXPECT_EQ(fallen.code, 1);
  EXPECT_THAT(fallen.errors, HasSubstr("batch_norm 6x5x4x3 channels_first f32 forward, 1 thread: its best is "));
  edited["onednn"] = "oneDNN 0.1";
  write(edited);
  EXPECT_EQ(compare().code, 0);
}

TEST_F(BenchCompare, JudgesNothingWhenASignalStopsIt) {
  measure_small(out_of_reach);
  Process process({"bench", "--compare", old_, "--repeat", "1000000"});
  while (process.running() && process.output().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  process.signal(SIGINT);
  EXPECT_EQ(process.wait(), 128 + SIGINT);
  EXPECT_THAT(process.errors(), Not(HasSubstr("what fell")));
}

}  // namespace
}  // namespace unitvar::testing
