#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/files.hpp"
#include "cli/npz.hpp"
#include "cli/process.hpp"
#include "unitvar/isa.hpp"

namespace unitvar::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Doubles = std::vector<double>;

/// Two features, four samples, as the README has them: y = x_hat, and dx right or without the path through the mean.
class CliCheck : public ::testing::Test {
 protected:
  CliCheck() {
    for (int c = 0; c < 2; ++c) {
      double mean = 0, var = 0, sum = 0, products = 0;
      for (int n = 0; n < 4; ++n) mean += x_[at(n, c)] / 4;
      for (int n = 0; n < 4; ++n) var += (x_[at(n, c)] - mean) * (x_[at(n, c)] - mean) / 4;
      const double rstd = 1 / std::sqrt(var + 1e-5);
      for (int n = 0; n < 4; ++n) y_[at(n, c)] = (x_[at(n, c)] - mean) * rstd;
      for (int n = 0; n < 4; ++n) sum += dy_[at(n, c)], products += dy_[at(n, c)] * y_[at(n, c)];
      for (int n = 0; n < 4; ++n) {
        dx_[at(n, c)] = rstd * (dy_[at(n, c)] - sum / 4 - y_[at(n, c)] * products / 4);
        lost_[at(n, c)] = rstd * (dy_[at(n, c)] - y_[at(n, c)] * products / 4);
      }
    }
  }
  static std::size_t at(int n, int c) { return static_cast<std::size_t>(2 * n + c); }
  void write(const Doubles& dx) {
    write_npz(file_, {{"x.npy", floats("(4, 2)", x_)},
                      {"dy.npy", floats("(4, 2)", dy_)},
                      {"y.npy", floats("(4, 2)", y_)},
                      {"dx.npy", floats("(4, 2)", dx)}});
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_ / "case.npz";
  Doubles x_ = {1, 5, 2, -3, 4, 0.5, -1, 2}, dy_ = {0.5, 1, 2, -0.5, 0.25, 1, 1, 2}, y_ = Doubles(8), dx_ = Doubles(8),
          lost_ = Doubles(8);
};

TEST_F(CliCheck, EndsWith0WhereAllIsRight) {
  write(dx_);
  const Ending end = run_program({"check", file_});
  EXPECT_EQ(0, end.code) << end.output << end.errors;
  EXPECT_THAT(end.output, HasSubstr("All given results are right."));
}

TEST_F(CliCheck, DrawsABarForEachResult) {
  write(lost_);
  const Ending end = run_program({"check", file_, "--plot", folder_ / "found.svg"});
  EXPECT_EQ(1, end.code) << end.output << end.errors;
  const std::string picture = read_bytes(folder_ / "found.svg");
  EXPECT_THAT(picture, AllOf(HasSubstr("dx"), HasSubstr("Decimal digits"), HasSubstr("</svg>")));
  EXPECT_TRUE(fs::exists(folder_ / "found.gnuplot"));
  const Ending refused = run_program({"check", file_, "--plot", folder_ / "found.jpg"});
  EXPECT_EQ(2, refused.code);
  EXPECT_THAT(refused.errors, HasSubstr("want a name that ends in .png or .svg"));
  EXPECT_FALSE(fs::exists(folder_ / "found.jpg"));
  const std::string both = folder_ / "both.svg";
  const Ending same = run_program({"check", file_, "--json", both, "--plot", both});
  EXPECT_EQ(2, same.code);
  EXPECT_THAT(same.errors, HasSubstr("--json and --plot are both '" + both + "', want two files"));
  EXPECT_FALSE(fs::exists(both));
}

TEST_F(CliCheck, EndsWith1AndNamesTheLostTerm) {
  write(lost_);
  const Ending end = run_program({"check", file_, "--json", folder_ / "found.json"});
  EXPECT_EQ(1, end.code) << end.output << end.errors;
  EXPECT_THAT(end.output, HasSubstr("mean_path_dropped"));
  EXPECT_THAT(end.output, HasSubstr("docs/derivation.md B27"));
  EXPECT_THAT(end.output, HasSubstr("y             right"));
  const auto json = nlohmann::json::parse(read_bytes(folder_ / "found.json"));
  EXPECT_FALSE(json.at("right").get<bool>());
  EXPECT_EQ("mean_path_dropped", json.at("explanations").at(0).at("mistakes").at(0).at("id"));
  EXPECT_EQ("dx", json.at("tensors").at(1).at("name"));
  const Ending to_output = run_program({"check", file_, "--json", "-"});
  EXPECT_EQ(json, nlohmann::json::parse(to_output.output));
  EXPECT_THAT(to_output.errors, HasSubstr("mean_path_dropped"));
}

TEST_F(CliCheck, TakesTheOperationAndItsNumbers) {
  write(dx_);
  const Ending other = run_program({"check", file_, "--op", "layer_norm"});
  EXPECT_EQ(1, other.code);
  EXPECT_THAT(other.output, HasSubstr("wrong_axis"));
  EXPECT_EQ(1, run_program({"check", file_, "--eps", "0.5"}).code);
}

TEST_F(CliCheck, EndsWith2ForWhatItCannotRead) {
  write(dx_);
  const auto refusal = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "check");
    const Ending end = run_program(arguments);
    EXPECT_EQ(2, end.code) << end.output;
    EXPECT_EQ("", end.output);
    return end.errors;
  };
  EXPECT_THAT(refusal({}), HasSubstr("no file, want a .npz file"));
  EXPECT_THAT(refusal({folder_ / "absent.npz"}), HasSubstr("No such file"));
  EXPECT_THAT(refusal({file_, "--op", "batchnorm"}), HasSubstr("--op is 'batchnorm', want batch_norm"));
  EXPECT_THAT(refusal({file_, "--eps", "-1"}), HasSubstr("eps is -1"));
  write_npz(file_, {{"x.npy", floats("(4, 2)", x_)}, {"dX.npy", floats("(4, 2)", dx_)}});
  EXPECT_THAT(refusal({file_}), HasSubstr("an array named 'dX', want x, dy"));
  write_npz(file_, {{"dx.npy", floats("(4, 2)", dx_)}});
  EXPECT_THAT(refusal({file_}), HasSubstr("no array named 'x'"));
  write_npz(file_, {{"x.npy", floats("(4, 2)", x_)}, {"y.npy", floats("(2, 4)", y_)}});
  EXPECT_THAT(refusal({file_}), HasSubstr("y has shape (2, 4), want that of x, (4, 2)"));
  write_npz(file_, {{"x.npy", floats("(4, 2)", x_)}});
  EXPECT_THAT(refusal({file_}), HasSubstr("no result is given"));
}

TEST_F(CliCheck, RefusesAFileWithABitThatIsNotAsItWas) {
  write(dx_);
  std::string bytes = read_bytes(file_);
  const std::size_t array = bytes.find("NUMPY");
  ASSERT_NE(std::string::npos, array);
  bytes[array + 127] = static_cast<char>(bytes[array + 127] ^ 0x40);
  write_bytes(file_, bytes);
  const Ending end = run_program({"check", file_});
  EXPECT_EQ(2, end.code);
  EXPECT_THAT(end.errors, HasSubstr("truncated or damaged"));
}

TEST_F(CliCheck, DoesNotWriteOverItsCase) {
  write(dx_);
  for (const char* option : {"--json", "--plot"}) {
    const Ending end = run_program({"check", file_, option, file_});
    EXPECT_EQ(2, end.code);
    EXPECT_THAT(end.errors, HasSubstr(std::string(option) + " is the case itself"));
  }
  EXPECT_EQ(0, run_program({"check", file_}).code);
}

/// y is half of what it should be, and sums in float16 are off by more.
TEST_F(CliCheck, EndsWith2WhereRoundingHidesTheAnswer) {
  Doubles x, y;
  for (int n = 0; n < 64; ++n) x.push_back(1000 + n % 2), y.push_back(n % 2 - 0.5);
  write_npz(file_, {{"x.npy", floats("(64, 1)", x)}, {"y.npy", floats("(64, 1)", y)}});
  const Ending end = run_program({"check", file_, "--dtype", "f16", "--plot", folder_ / "found.svg"});
  EXPECT_EQ(2, end.code);
  EXPECT_THAT(end.output, HasSubstr("y: neither right nor wrong, since rounding of the dtype hides it."));
  EXPECT_THAT(read_bytes(folder_ / "found.svg"), HasSubstr("hidden by rounding"));
  EXPECT_EQ(1, run_program({"check", file_, "--dtype", "f32"}).code);
}

/// Not 1: that is for results that are wrong.
TEST_F(CliCheck, EndsWith2WhereItsAnswerCannotBeWritten) {
  write(dx_);
  EXPECT_EQ(2, run_program({"check", file_}, {}, by_shell("", ">/dev/full")).code);
  const Ending end = run_program({"check", file_, "--json", "/dev/full"});
  EXPECT_EQ(2, end.code);
  EXPECT_THAT(end.errors, HasSubstr("unitvar check: cannot write /dev/full: No space left on device"));
}

TEST_F(CliCheck, ChecksTheLibraryItself) {
  const Ending end = run_program({"check", "--self"});
  EXPECT_EQ(0, end.code) << end.output << end.errors;
  for (const Isa isa : supported_isas()) {
    for (const char* dtype : {"f32 ", "f64 ", "bf16", "f16 "})
      EXPECT_THAT(end.output, HasSubstr(fmt::format("{}  {}", dtype, isa_name(isa))));
  }
  EXPECT_THAT(end.output, HasSubstr("All is right on this machine"));
}

TEST_F(CliCheck, ListsTheMistakesThatItKnows) {
  const Ending end = run_program({"check", "--mistakes"});
  EXPECT_EQ(0, end.code);
  EXPECT_THAT(end.output, HasSubstr("x_i_for_x_j"));
}

}  // namespace
}  // namespace unitvar::testing
