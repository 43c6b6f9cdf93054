#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include "cli/bench_arguments.hpp"
#include "cli/process.hpp"

namespace unitvar::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Refusal {
  std::vector<std::string> arguments;
  int code;
  std::string named;
};

/// ctest names the cases by it.
void PrintTo(const Refusal& refusal, std::ostream* to) {
  for (const std::string& argument : refusal.arguments)
    *to << (&argument == refusal.arguments.data() ? "" : " ") << argument;
}

class BenchRefusal : public ::testing::TestWithParam<Refusal> {};

TEST_P(BenchRefusal, NamesValueSeenAndWantedBeforeAnythingIsMeasured) {
  const TemporaryFolder folder;
  const Ending ending = run_program(quick(GetParam().arguments));
  EXPECT_EQ(ending.code, GetParam().code);
  EXPECT_THAT(ending.errors, StartsWith("unitvar bench: "));
  EXPECT_THAT(ending.errors, HasSubstr(GetParam().named));
  EXPECT_EQ(std::ranges::count(ending.errors, '\n'), 1) << ending.errors;
  EXPECT_EQ(ending.output, "");
}

INSTANTIATE_TEST_SUITE_P(
    Usage, BenchRefusal,
    ::testing::Values(
        Refusal{{"--fast"}, 2, "--fast"},
        Refusal{{"--shapes", "resnet_51"}, 2, "--shapes is 'resnet_51', want default"},
        Refusal{{"--shape", "1,x"}, 2, "--shape '1,x': an axis is 'x', want a whole number"},
        Refusal{{"--shape", "7"}, 2, "--shape '7' has 1 axes, want 2 to 5"},
        Refusal{{"--shape", "4294967296,4294967296"}, 2, "want less than 2^63"},
        Refusal{{"--layout", "nchw"}, 2, "--layout is 'nchw', want channels_first, channels_last"},
        Refusal{{"--dtype", "f8"}, 2, "--dtype is 'f8', want f32, f64, bf16, f16"},
        Refusal{{"--pass", "forward,sideways"}, 2, "--pass is 'sideways', want forward, backward, inference"},
        Refusal{{"--threads", "1,-1"}, 2, "--threads is -1, want 0 to"},
        Refusal{{"--threads", "1,,2"}, 2, "--threads is ''"}, Refusal{{"--isa", "mmx"}, 2, "--isa is 'mmx': "},
        Refusal{{"--against", "cudnn"}, 2, "--against is 'cudnn', want onednn"},
        Refusal{{"--repeat", "-1"}, 2, "--repeat is -1, want 0 to"},
        Refusal{{"--repeat", "1e3"}, 2, "--repeat is '1e3', want a whole number"},
        Refusal{{"--shapes", ""}, 2, "--shapes is '', want default"},
        Refusal{{"--against", ""}, 2, "--against is '', want onednn"},
        Refusal{{"--json", ""}, 2, "--json is empty, want a file, or -"},
        Refusal{{"--plot", "/tmp/.png"}, 2, "--plot is '/tmp/.png', want a name that ends in .png or .svg"},
        Refusal{{"--plot", ""}, 2, "--plot is '', want a name that ends in .png or .svg"},
        Refusal{{"--op", "layer_norm", "--layout", "channels_first"},
                2,
                "--layout is 'channels_first', want it without --op layer_norm"},
        Refusal{{"--op", "rms_norm", "--layout", "nchw,x"}, 2, "--layout is 'nchw,x', want it without --op rms_norm"},
        Refusal{{"--json", "/tmp/b.png", "--plot", "/tmp/./b.png"}, 2, "--json and --plot are both '/tmp/./b.png'"},
        Refusal{{"--json", "-", "--plot", "-"}, 2, "--json and --plot are both '-'"},
        Refusal{{"--json", "/dev/stdout", "--plot", "-"}, 2, "--json and --plot are both '-'"},
        Refusal{{"--json", "/tmp/b.gnuplot", "--plot", "/tmp/b.png"},
                2,
                "--json is '/tmp/b.gnuplot', which the script of --plot /tmp/b.png is written to"},
        Refusal{{"--plot", "picture.jpg"}, 2, "--plot is 'picture.jpg', want a name that ends in .png or .svg"},
        Refusal{{"--op", "batchnorm"}, 2, "--op is 'batchnorm', want batch_norm, layer_norm, rms_norm, group_norm"},
        Refusal{{"--op", "layer_norm"}, 2, "shape 6x5x4x3 has more than two axes, want ROWS,D"},
        Refusal{{"--op", "rms_norm", "--pass", "inference"}, 2, "--pass is 'inference', want forward, backward"},
        Refusal{{"--op", "group_norm"}, 2, "--groups is 32, want a divisor of the 5 channels of shape 6x5x4x3"},
        Refusal{{"--op", "group_norm", "--groups", "0"}, 2, "--groups is 0, want at least 1"},
        Refusal{
            {"--op", "group_norm", "--groups", "5", "--pass", "inference"}, 2, "--pass is 'inference', want forward"},
        Refusal{{"--op", "instance_norm", "--pass", "inference"}, 2, "--pass is 'inference', want forward, backward"},
        Refusal{{"--op", "instance_norm", "--groups", "5"}, 2, "--groups is of group_norm"},
        Refusal{{"--compare", ""}, 2, "--compare is empty, want a file"},
        Refusal{{"--explain", "--json", "b.json"}, 2, "--explain measures nothing"}));

INSTANTIATE_TEST_SUITE_P(
    Files, BenchRefusal,
    ::testing::Values(
        Refusal{{"--shapes", "/nonexistent.csv"}, 1, "cannot open --shapes /nonexistent.csv: No such file"},
        Refusal{{"--shapes", "/tmp"}, 1, "--shapes /tmp is a folder, want a CSV file"},
        Refusal{{"--compare", "/nonexistent.json"}, 1, "cannot open --compare /nonexistent.json: No such file"},
        Refusal{{"--compare", "/tmp"}, 1, "--compare /tmp is a folder, want a file of --json"},
        Refusal{{"--json", "/nonexistent/b.json"}, 1, "cannot write /nonexistent/b.json: No such file"},
        Refusal{{"--json", "/tmp"}, 1, "cannot write /tmp: it is a folder"},
        Refusal{{"--plot", "/nonexistent/b.png"}, 1, "cannot write /nonexistent/b.png: No such file"}));

}  // namespace
}  // namespace unitvar::testing
