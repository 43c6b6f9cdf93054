#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "bench/onednn.hpp"
#include "bench/onednn_groups.hpp"
#include "cli/bench_arguments.hpp"
#include "cli/process.hpp"
#include "unitvar/version.hpp"

namespace unitvar::testing {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

json rows_of(const fs::path& path) { return json::parse(read_bytes(path)).at("rows"); }

std::size_t files_in(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(Bench, PrintsARowForEachCombinationAndTotals) {
  const Ending ending = run_program(
      quick({"--layout", "channels_first,channels_last", "--dtype", "f32,f64,bf16,f16", "--threads", "1,2"}));
  EXPECT_EQ(ending.code, 0) << ending.errors;
  const auto rows =
      std::ranges::count_if(std::vector<std::string>{"forward ", "backward ", "inference "},
                            [&](const auto& pass) { return ending.output.find(pass) != std::string::npos; });
  EXPECT_EQ(rows, 3);
  EXPECT_THAT(ending.output, HasSubstr("6x5x4x3            channels_last  f64   inference   2"));
  EXPECT_THAT(ending.output, HasSubstr("6x5x4x3            channels_first bf16  backward    1"));
  EXPECT_THAT(ending.output, HasSubstr("6x5x4x3            channels_last  f16   forward     1"));
  EXPECT_THAT(ending.output, HasSubstr("one custom step (forward + backward): "));
  EXPECT_THAT(ending.output, HasSubstr("geometric means: fraction"));
  EXPECT_THAT(ending.output, Not(HasSubstr("oneDNN")));
}

TEST(Bench, MeasuresNormalizationOfRowsForwardAndBackward) {
  for (const char* op : {"layer_norm", "rms_norm"}) {
    const TemporaryFolder folder;
    const Ending ending = run_program({"bench", "--op", op, "--repeat", "1", "--shape", "70,33", "--threads", "1,2",
                                       "--dtype", "f32,f64,bf16,f16", "--json", folder / "b.json"});
    ASSERT_EQ(ending.code, 0) << ending.errors;
    EXPECT_THAT(ending.output, HasSubstr(op));
    const json rows = rows_of(folder / "b.json");
    ASSERT_EQ(rows.size(), 16U);
    for (const json& row : rows) {
      EXPECT_EQ(row.at("op"), op);
      EXPECT_EQ(row.at("shape"), json({70, 33, 1, 1, 1}));
      EXPECT_NE(row.at("pass"), "inference");
      EXPECT_GT(row.at("ms").get<double>(), 0);
    }
  }
}

TEST(Bench, MeasuresNormalizationOfGroupsInBothLayouts) {
  const std::vector<std::vector<std::string>> ops = {{"group_norm", "--groups", "3"}, {"instance_norm"}};
  for (const std::vector<std::string>& op : ops) {
    const TemporaryFolder folder;
    std::vector<std::string> arguments = {"bench",
                                          "--repeat",
                                          "1",
                                          "--shape",
                                          "3,6,5,4",
                                          "--threads",
                                          "1",
                                          "--layout",
                                          "channels_first,channels_last",
                                          "--dtype",
                                          "f32,f64,bf16,f16",
                                          "--json",
                                          folder / "b.json",
                                          "--op"};
    arguments.insert(arguments.end(), op.begin(), op.end());
    const Ending ending = run_program(arguments);
    ASSERT_EQ(ending.code, 0) << ending.errors;
    EXPECT_THAT(ending.output, HasSubstr(op.front()));
    const json file = json::parse(read_bytes(folder / "b.json"));
    ASSERT_EQ(file.at("rows").size(), 16U);
    for (const json& row : file.at("rows")) {
      EXPECT_EQ(row.at("op"), op.front());
      EXPECT_EQ(row.value("groups", 0), op.front() == "group_norm" ? 3 : 0);
      EXPECT_NE(row.at("pass"), "inference");
      EXPECT_GT(row.at("ms").get<double>(), 0);
    }
  }
}

TEST(Bench, MeasuresInstancesOfOneAndOfTwoValues) {
  const Ending ending =
      run_program({"bench", "--op", "instance_norm", "--repeat", "1", "--shape", "1,5", "7,5,2", "--threads", "1"});
  EXPECT_EQ(ending.code, 0) << ending.errors;
}

TEST(Bench, ComparesLayerNormWithOnednn) {
  if (!bench::onednn_available()) GTEST_SKIP() << "this build has no oneDNN";
  const TemporaryFolder folder;
  const Ending ending = run_program({"bench", "--op", "layer_norm", "--against", "onednn", "--repeat", "1", "--shape",
                                     "70,33", "--threads", "1", "--json", folder / "b.json"});
  ASSERT_EQ(ending.code, 0) << ending.errors;
  for (const json& row : rows_of(folder / "b.json")) EXPECT_GT(row.at("onednn_same_ms").get<double>(), 0);
}

TEST(Bench, ComparesGroupNormWithAnOnednnThatHasIt) {
  if (!bench::onednn_available()) GTEST_SKIP() << "this build has no oneDNN";
  const TemporaryFolder folder;
  const Ending ending = run_program({"bench", "--op", "group_norm", "--groups", "2", "--against", "onednn", "--repeat",
                                     "1", "--shape", "3,6,5,4", "--threads", "1", "--json", folder / "b.json"});
  ASSERT_EQ(ending.code, 0) << ending.errors;
  for (const json& row : rows_of(folder / "b.json")) {
    EXPECT_EQ(row.at("onednn_same_ms").is_number(), bench::onednn_supports_groups("f32"));
  }
}

TEST(Bench, WritesARowOfJsonForEachCombination) {
  const TemporaryFolder folder;
  const Ending ending = run_program(quick({"--layout", "channels_first,channels_last", "--json", folder / "b.json"}));
  ASSERT_EQ(ending.code, 0) << ending.errors;
  const json rows = rows_of(folder / "b.json");
  ASSERT_EQ(rows.size(), 6U);
  for (const json& row : rows) {
    EXPECT_EQ(row.at("shape"), json({6, 5, 1, 4, 3}));
    EXPECT_EQ(row.at("dtype"), "f32");
    EXPECT_EQ(row.at("threads"), 1);
    EXPECT_EQ(row.at("rounds"), 1);
    for (const char* name : {"ms", "gbps", "roofline_ms", "roofline_fraction", "bare_loop_ms"}) {
      EXPECT_GT(row.at(name).get<double>(), 0) << name;
    }
    EXPECT_NEAR(row.at("roofline_fraction").get<double>() * row.at("ms").get<double>(),
                row.at("roofline_ms").get<double>(), 1e-9);
    for (const char* name :
         {"onednn_same_ms", "onednn_same_ratio", "onednn_best_ms", "onednn_best_ratio", "onednn_best_format"}) {
      EXPECT_TRUE(row.at(name).is_null()) << name;
    }
    for (const char* name : {"op", "suite", "layout", "pass", "isa", "walk", "roofline_kernel"}) {
      EXPECT_TRUE(row.at(name).is_string()) << name;
    }
  }
  EXPECT_EQ(files_in(folder.path()), 1U);
}

TEST(Bench, TellsWhichMachineItMeasured) {
  const TemporaryFolder folder;
  const Ending ending = run_program(quick({"--pass", "forward", "--isa", "portable", "--json", folder / "b.json"}));
  ASSERT_EQ(ending.code, 0) << ending.errors;
  const std::string text = read_bytes(folder / "b.json");
  const json file = json::parse(text), machine = file.at("machine");
  EXPECT_EQ(file.at("unitvar"), version);
  EXPECT_THAT(file.at("date").get<std::string>(), MatchesRegex("20..-..-..T..:..:..Z"));
  EXPECT_EQ(machine.at("isa"), "portable");
  EXPECT_GE(machine.at("processors"), 1);
  for (const char* name : {"l1", "l2"}) EXPECT_GE(machine.at(name), 0) << name;
  EXPECT_NE(machine.at("processor"), "");
  EXPECT_THAT(machine.at("kind").get<std::string>(), MatchesRegex("portable-([0-9]+k|unknown)"));
  EXPECT_THAT(text, HasSubstr("\n  {\"op\":\"batch_norm\""));  // a row a line
}

TEST(Bench, ShowsWhichPartFloatWouldNotDoFor) {
  const TemporaryFolder folder;
  const Ending ordinary = run_program(quick({"--dtype", "f32,f64,bf16", "--json", folder / "b.json"}));
  ASSERT_EQ(ordinary.code, 0) << ordinary.errors;
  EXPECT_THAT(ordinary.output, HasSubstr("double"));
  for (const json& row : rows_of(folder / "b.json")) {
    EXPECT_EQ(row.at("in_double"), row.at("dtype") == "f64" ? json(nullptr) : json(0.0)) << row;
  }
  // Rows of one value: their sums of squares are 0, of which float does not know whether they underflowed.
  const Ending same = run_program({"bench", "--op", "layer_norm", "--repeat", "1", "--shape", "70,1", "--pass",
                                   "forward", "--threads", "1", "--dtype", "bf16", "--json", folder / "b.json"});
  ASSERT_EQ(same.code, 0) << same.errors;
  const json rows = rows_of(folder / "b.json");
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows.at(0).at("in_double"), 70.0 / 140);
  EXPECT_THAT(same.output, HasSubstr("     50%"));
}

TEST(Bench, MeasuresGroupsWithTheirShareInDouble) {
  const TemporaryFolder folder;
  const Ending ending = run_program({"bench", "--op", "group_norm", "--groups", "3", "--repeat", "1", "--shape",
                                     "3,6,5,4", "--threads", "1", "--json", folder / "b.json"});
  ASSERT_EQ(ending.code, 0) << ending.errors;
  for (const json& row : rows_of(folder / "b.json")) EXPECT_EQ(row.at("in_double"), 0.0);
}

TEST(Bench, ComparesWithOneDnnOnTheSameAndItsBestLayout) {
  if (!bench::onednn_available()) GTEST_SKIP() << "built without oneDNN";
  const TemporaryFolder folder;
  const Ending ending = run_program(quick({"--against", "onednn", "--layout", "channels_first,channels_last", "--dtype",
                                           "f32,f64,f16", "--json", folder / "b.json"}));
  ASSERT_EQ(ending.code, 0) << ending.errors;
  EXPECT_THAT(ending.output, HasSubstr("its best"));
  EXPECT_THAT(ending.output, HasSubstr(bench::onednn_version()));
  for (const json& row : rows_of(folder / "b.json")) {
    if (!bench::onednn_supports(row.at("dtype").get<std::string>())) {
      EXPECT_TRUE(row.at("onednn_same_ms").is_null());
      continue;
    }
    EXPECT_GT(row.at("onednn_best_ms").get<double>(), 0);
    EXPECT_LE(row.at("onednn_best_ms").get<double>(), row.at("onednn_same_ms").get<double>());
    EXPECT_THAT(row.at("onednn_best_format").get<std::string>(), StartsWith("n"));
  }
}

TEST(Bench, WithoutOneDnnRefusesTheComparison) {
  if (bench::onednn_available()) GTEST_SKIP() << "built with oneDNN";
  const Ending ending = run_program(quick({"--against", "onednn"}));
  EXPECT_EQ(ending.code, 2);
  EXPECT_THAT(ending.errors, HasSubstr("--against is 'onednn', but this program was built without oneDNN"));
}

TEST(Bench, MeasuresOneValuePerChannelInInferenceOnly) {
  const TemporaryFolder folder;
  const Ending ending = run_program({"bench", "--repeat", "1", "--shape", "1,16,1,1", "--json", folder / "b.json"});
  EXPECT_EQ(ending.code, 0);
  EXPECT_THAT(ending.errors, HasSubstr("1x16x1x1 forward left out: 1 value per channel, want at least 2"));
  EXPECT_EQ(rows_of(folder / "b.json").size(), 1U);
}

/// Of two values a channel next to nothing is left in dx: it is judged by what it is a difference of.
TEST(Bench, MeasuresTwoValuesAChannel) {
  const Ending ending = run_program({"bench", "--repeat", "1", "--shape", "2,16,1,1", "--pass", "forward,backward"});
  EXPECT_EQ(ending.code, 0) << ending.errors;
}

TEST(Bench, ReadsShapesFromAFile) {
  const TemporaryFolder folder;
  write_bytes(folder / "net.csv", "n,c,d,h,w,count\n2,3,1,4,5,6\n4,2,1,1,1,1\n");
  const Ending ending = run_program({"bench", "--repeat", "1", "--shapes", folder / "net.csv", "--pass", "inference"});
  EXPECT_EQ(ending.code, 0) << ending.errors;
  EXPECT_THAT(ending.output, HasSubstr("2x3x4x5 "));
  EXPECT_THAT(ending.output, HasSubstr("one net inference: "));
}

TEST(Bench, ExplainsTheWalkAndMeasuresNothing) {
  const Ending ending = run_program({"bench", "--explain", "--shapes", "resnet_50", "--pass", "forward,backward",
                                     "--threads", "1", "--layout", "channels_first,channels_last"});
  EXPECT_EQ(ending.code, 0) << ending.errors;
  EXPECT_EQ(std::ranges::count(ending.output, '\n'), 2 * 2 * 9);
  EXPECT_THAT(ending.output, HasSubstr("50x64x112x112 channels_first f32 forward: planar"));
  EXPECT_THAT(ending.output, HasSubstr("50x64x112x112 channels_last f32 backward: interleaved"));
  EXPECT_THAT(ending.output, HasSubstr("streamed"));
  EXPECT_THAT(ending.output, Not(HasSubstr("GB/s")));
}

TEST(Bench, KeepsItsRowsWhenASignalStopsIt) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const TemporaryFolder folder;
    // The second shape would take minutes.
    Process process({"bench", "--repeat", "200", "--shape", "2,1,1,1", "64,64,64,64", "--pass", "inference",
                     "--threads", "1", "--json", folder / "b.json", "--plot", folder / "b.svg"});
    while (process.running() && process.output().find("2x1x1x1") == std::string::npos) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    process.signal(signal);
    EXPECT_EQ(process.wait(), 128 + signal) << process.errors();
    EXPECT_THAT(process.output(), HasSubstr("geometric means"));
    EXPECT_THAT(process.errors(), HasSubstr("unitvar bench: stopped after 1 rows"));
    EXPECT_EQ(rows_of(folder / "b.json").size(), 1U);
    EXPECT_EQ(json::parse(read_bytes(folder / "b.json")).at("complete"), false);
    EXPECT_THAT(read_bytes(folder / "b.svg"), HasSubstr("</svg>"));
  }
}

TEST(Bench, StoppedBeforeItsFirstRowWritesNothing) {
  const TemporaryFolder folder;
  write_bytes(folder / "b.json", "older");
  Process process({"bench", "--repeat", "1000000", "--shape", "64,64,32,32", "--json", folder / "b.json"});
  while (process.running() && process.output().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  process.signal(SIGINT);
  EXPECT_EQ(process.wait(), 128 + SIGINT);
  EXPECT_EQ(read_bytes(folder / "b.json"), "older");
}

TEST(Bench, DrawsAPicture) {
  const TemporaryFolder folder;
  for (const std::string name : {"bars.png", "it's.svg"}) {
    const Ending ending = run_program(quick({"--plot", folder / name}));
    EXPECT_EQ(ending.code, 0) << ending.errors;
  }
  EXPECT_EQ(read_bytes(folder / "bars.png").substr(0, 8), "\x89PNG\r\n\x1a\n");
  EXPECT_THAT(read_bytes(folder / "it's.svg"), HasSubstr("</svg>"));
  EXPECT_EQ(files_in(folder.path()), 4U);  // and their scripts
}

TEST(Bench, DrawsRatiosOnALogarithmicAxisAroundOne) {
  if (!bench::onednn_available()) GTEST_SKIP() << "built without oneDNN";
  const TemporaryFolder folder;
  const Ending ending = run_program(
      quick({"--against", "onednn", "--dtype", "f32,f64", "--plot", folder / "bars.svg", "--pass", "forward"}));
  ASSERT_EQ(ending.code, 0) << ending.errors;
  const std::string script = read_bytes(folder / "bars.gnuplot"), picture = read_bytes(folder / "bars.svg");
  EXPECT_THAT(script, HasSubstr("set logscale y\nset ytics ("));
  EXPECT_THAT(script, HasSubstr(":(1):2 with boxxyerror"));  // from 1 up or down
  EXPECT_THAT(picture, HasSubstr("(logarithmic)"));
  EXPECT_THAT(picture, HasSubstr(">1<"));
  const bool empty = picture.find("oneDNN does not have this") != std::string::npos;
  EXPECT_NE(empty, bench::onednn_supports("f64"));
}

TEST(Bench, DrawsManyGroupsBelowEachOther) {
  const TemporaryFolder folder;
  const Ending ending = run_program(quick({"--layout", "channels_first,channels_last", "--dtype", "f32,f64",
                                           "--threads", "1,2", "--pass", "forward", "--plot", folder / "bars.svg"}));
  ASSERT_EQ(ending.code, 0) << ending.errors;
  const std::string picture = read_bytes(folder / "bars.svg");
  EXPECT_LE(std::stoi(picture.substr(picture.find("width=\"") + 7)), 1800);
  EXPECT_THAT(picture, HasSubstr("f64, 2 threads"));
}

TEST(Bench, DrawsAPictureOfASuiteWhateverItsName) {
  const TemporaryFolder folder;
  const std::string name = "it's a_\"{net}^@~`touch hacked`.csv";
  write_bytes(folder / name, "n,c,d,h,w,count\n2,3,1,4,5,6\n");
  const Ending ending = run_program(
      {"bench", "--repeat", "1", "--shapes", folder / name, "--pass", "forward", "--plot", folder / "bars.svg"});
  EXPECT_EQ(ending.code, 0) << ending.errors;
  EXPECT_THAT(read_bytes(folder / "bars.svg"), HasSubstr("suite it?s a_"));
  EXPECT_FALSE(fs::exists(folder / "hacked"));
}

TEST(Bench, WithoutGnuplotFailsButKeepsTheNumbers) {
  const TemporaryFolder folder;
  const Ending ending =
      run_program(quick({"--json", folder / "b.json", "--plot", folder / "b.png"}), {"PATH=/nonexistent"});
  EXPECT_EQ(ending.code, 1);
  EXPECT_THAT(ending.errors, HasSubstr("unitvar bench: cannot run gnuplot"));
  EXPECT_EQ(rows_of(folder / "b.json").size(), 3U);
  EXPECT_FALSE(fs::exists(folder / "b.png"));
}

TEST(Bench, WithNothingToMeasureIsRefused) {
  const Ending ending = run_program({"bench", "--shape", "1,16", "--pass", "forward"});
  EXPECT_EQ(ending.code, 2);
  EXPECT_THAT(ending.errors, HasSubstr("no shape has the 2 values per channel"));
}

TEST(Bench, ExplainsEveryOption) {
  const Ending help = run_program({"bench", "--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* option : {"--op", "--shapes", "--shape", "--groups", "--layout", "--dtype", "--pass", "--threads",
                             "--isa", "--against", "--repeat", "--explain", "--json", "--plot", "--compare"}) {
    EXPECT_THAT(help.output, HasSubstr(option));
  }
}

}  // namespace
}  // namespace unitvar::testing
