#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>

#include <cstdlib>
#include <set>
#include <sstream>
#include <thread>

#include "cli/process.hpp"
#include "cli/runs.hpp"
#include "common/descriptor.hpp"

namespace unitvar::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename().string());
  return names;
}

const std::set<std::string> numbers = {"checkpoint-batch.safetensors",
                                       "checkpoint-none.safetensors",
                                       "model-batch.safetensors",
                                       "model-none.safetensors",
                                       "history.csv",
                                       "percentiles.csv",
                                       "summary.txt"};

class TrainOutput : public ::testing::Test {
 protected:
  TrainOutput() { write_tiny_dataset(data_); }

  Ending train(const std::vector<std::string>& more = {}, const std::vector<std::string>& environment = {}) {
    std::vector<std::string> arguments = {"--steps", "50"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(tiny_training(data_, out_, arguments), environment);
  }

  TemporaryFolder folder_;
  fs::path data_ = folder_ / "data";
  fs::path out_ = folder_ / "out";
};

TEST_F(TrainOutput, HoldsAHistoryOfBothNetworks) {
  ASSERT_EQ(train().code, 0);
  const auto history = read_csv(out_ / "history.csv");
  EXPECT_EQ(history[0], (std::vector<std::string>{"network", "step", "train_loss", "test_accuracy", "seconds"}));
  const std::vector<std::string> steps = {"2", "4", "6", "8", "10", "12", "14", "16", "18", "20", "40", "50"};
  ASSERT_EQ(history.size(), 1 + 2 * steps.size());
  for (std::size_t i = 1; i < history.size(); ++i) {
    ASSERT_EQ(history[i].size(), 5U);
    EXPECT_EQ(history[i][0], i <= steps.size() ? "batch" : "none");
    EXPECT_EQ(history[i][1], steps[(i - 1) % steps.size()]);
    EXPECT_GT(std::stod(history[i][2]), 0);
    EXPECT_GE(std::stod(history[i][3]), 0);
    EXPECT_LE(std::stod(history[i][3]), 1);
    EXPECT_GE(std::stod(history[i][4]), 0);
  }
  EXPECT_EQ(read_csv(out_ / "percentiles.csv").size(), history.size());
}

TEST_F(TrainOutput, HoldsPicturesAndNothingUnfinished) {
  const Ending ending = train();
  ASSERT_EQ(ending.code, 0);
  std::set<std::string> wanted = numbers;
  for (const char* name : {"accuracy", "percentiles"}) {
    for (const char* ending_of : {".gnuplot", ".png", ".svg"}) wanted.insert(std::string(name) + ending_of);
    const std::string png = read_bytes(out_ / (std::string(name) + ".png"));
    EXPECT_EQ(png.substr(0, 8), "\x89PNG\r\n\x1a\n");
    EXPECT_GT(png.size(), 5'000U);
    EXPECT_THAT(read_bytes(out_ / (std::string(name) + ".svg")), HasSubstr("</svg>"));
  }
  EXPECT_EQ(names_in(out_), wanted);
  EXPECT_THAT(ending.output, HasSubstr("accuracy.png"));
}

TEST_F(TrainOutput, WithoutGnuplotWarnsAndHoldsTheRest) {
  const Ending ending = train({}, {"PATH=/nonexistent"});
  EXPECT_EQ(ending.code, 0);
  EXPECT_THAT(ending.errors, HasSubstr("unitvar train: no pictures: cannot run gnuplot"));
  std::set<std::string> wanted = numbers;
  wanted.insert("accuracy.gnuplot");
  EXPECT_EQ(names_in(out_), wanted);
}

TEST_F(TrainOutput, EndsWithATableThatIsAlsoAFile) {
  const Ending ending = train();
  for (const char* row :
       {"steps to 70 % test accuracy", "steps to 75 %", "steps to 80 %", "steps to 85 %", "best test accuracy",
        "final test accuracy", "milliseconds a training step", "seconds in BN forward", "seconds in BN backward"}) {
    EXPECT_THAT(ending.output, HasSubstr(row));
  }
  EXPECT_THAT(ending.output, HasSubstr(read_bytes(out_ / "summary.txt")));
}

TEST_F(TrainOutput, IsPlainLinesWhereThereIsNoTerminal) {
  const Ending ending = train();
  EXPECT_THAT(ending.errors, HasSubstr("batch step 50 of 50  loss "));
  EXPECT_EQ(std::ranges::count(ending.errors, '\n'), 20);
  EXPECT_EQ(ending.errors.find('\x1b'), std::string::npos);
}

/// A terminal of 80 columns.
class Terminal {
 public:
  Terminal() : own_(::posix_openpt(O_RDWR | O_NOCTTY)) {
    const winsize size = {24, 80, 0, 0};
    if (::grantpt(own_.get()) != 0 || ::unlockpt(own_.get()) != 0 || ::ioctl(own_.get(), TIOCSWINSZ, &size) != 0) {
      throw std::runtime_error("no terminal");
    }
    reader_ = std::thread([this] {
      char buffer[4096];
      for (ssize_t count = 0; (count = ::read(own_.get(), buffer, sizeof(buffer))) > 0;) {
        text_.append(buffer, static_cast<std::size_t>(count));
      }
    });
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() { (void)text(); }

  [[nodiscard]] std::string path() const { return ::ptsname(own_.get()); }
  /// All that was written, once every writer has ended.
  const std::string& text() {
    if (reader_.joinable()) reader_.join();
    return text_;
  }

 private:
  tool::Descriptor own_;
  std::string text_;
  std::thread reader_;
};

TEST_F(TrainOutput, ShowsSpeedAndTimeOnATerminalOfEightyColumns) {
  Terminal terminal;
  const std::vector<std::string> arguments = tiny_training(data_, out_, {"--steps", "20000", "--eval-every", "1000"});
  ASSERT_EQ(run_program(arguments, {"TERM=xterm"}, by_shell("", "2>" + terminal.path())).code, 0);
  EXPECT_THAT(terminal.text(), HasSubstr("\x1b["));
  EXPECT_THAT(terminal.text(), HasSubstr(" left\r\n"));
  std::istringstream lines(terminal.text());
  for (std::string line; std::getline(lines, line);) {
    const std::size_t begin = line.rfind("\x1b[K");
    ASSERT_NE(begin, std::string::npos) << line;
    EXPECT_LT(line.size() - begin - 4, 80U) << line;
    if (line.find("loss") == std::string::npos) continue;
    EXPECT_THAT(line, HasSubstr(" steps/s  "));
  }
}

TEST_F(TrainOutput, HasNoEscapeCodesOnATerminalWithoutThem) {
  for (const char* kind : {"TERM=dumb", "TERM="}) {
    Terminal terminal;
    const std::vector<std::string> arguments = tiny_training(data_, out_, {"--steps", "20", "--force"});
    ASSERT_EQ(run_program(arguments, {kind}, by_shell("", "2>" + terminal.path())).code, 0);
    EXPECT_THAT(terminal.text(), HasSubstr("batch step 20 of 20"));
    EXPECT_EQ(terminal.text().find('\x1b'), std::string::npos);
  }
}

TEST_F(TrainOutput, IsNothingIfQuiet) {
  const Ending ending = train({"--quiet"});
  EXPECT_EQ(ending.code, 0);
  EXPECT_EQ(ending.output + ending.errors, "");
  EXPECT_TRUE(fs::exists(out_ / "accuracy.png"));
}

TEST_F(TrainOutput, OfOneNetworkHoldsThatOne) {
  ASSERT_EQ(train().code, 0);
  ASSERT_EQ(train({"--norm", "none", "--force"}).code, 0);
  EXPECT_FALSE(fs::exists(out_ / "model-batch.safetensors"));
  EXPECT_FALSE(fs::exists(out_ / "checkpoint-batch.safetensors"));
  EXPECT_TRUE(fs::exists(out_ / "model-none.safetensors"));
  EXPECT_EQ(read_csv(out_ / "history.csv")[1][0], "none");
}

TEST_F(TrainOutput, LosesWhatAKilledRunHadBegun) {
  const std::string begun = "checkpoint-none.safetensors.0123456789abcdef.tmp";
  fs::create_directory(out_);
  write_bytes(out_ / begun, "half of a");
  write_bytes(out_ / ("my" + begun), "mine");
  ASSERT_EQ(train().code, 0);
  EXPECT_FALSE(fs::exists(out_ / begun));
  EXPECT_TRUE(fs::exists(out_ / ("my" + begun)));
}

TEST_F(TrainOutput, LeavesFilesOfOthersAlone) {
  fs::create_directory(out_);
  write_bytes(out_ / "notes.txt", "mine");
  ASSERT_EQ(train().code, 0);
  EXPECT_EQ(read_bytes(out_ / "notes.txt"), "mine");
}

TEST_F(TrainOutput, WorksForOtherActivationsAndOneStep) {
  for (const char* activation : {"tanh", "relu"}) {
    const Ending ending = train({"--activation", activation, "--steps", "1", "--force"});
    EXPECT_EQ(ending.code, 0) << ending.errors;
    for (const char* name : {"accuracy.svg", "percentiles.svg"}) {
      EXPECT_THAT(read_bytes(out_ / name), HasSubstr("one evaluation, at step 1<"));
    }
  }
}

TEST_F(TrainOutput, OfADivergedTrainingSaysSo) {
  const Ending ending = train({"--activation", "relu", "--lr", "1e30", "--norm", "none"});
  EXPECT_EQ(ending.code, 0);
  EXPECT_THAT(ending.errors, HasSubstr("network none: the loss is not finite at step"));
  EXPECT_THAT(read_bytes(out_ / "history.csv"), HasSubstr(",nan,"));
  for (const char* name : {"history.csv", "percentiles.csv", "summary.txt"}) {
    EXPECT_THAT(read_bytes(out_ / name), Not(HasSubstr("-nan")));
  }
  EXPECT_THAT(ending.errors, Not(HasSubstr("-nan")));
  for (const char* name : {"accuracy.svg", "percentiles.svg"}) {
    EXPECT_THAT(read_bytes(out_ / name), HasSubstr("the loss is not finite from step 2 on<"));
  }
}

/// Beside its dot the text was cut where the dot is at the right end.
TEST_F(TrainOutput, PutsWhatIsToBeReadBelowThePictureNotOnItsCurves) {
  ASSERT_EQ(train({"--lr", "1", "--steps", "400"}).code, 0);
  const std::string svg = read_bytes(out_ / "accuracy.svg");
  EXPECT_THAT(svg, HasSubstr("with batch normalization (dot: 80 % at step "));
  for (const char* name : {"accuracy.gnuplot", "percentiles.gnuplot"}) {
    EXPECT_THAT(read_bytes(out_ / name), HasSubstr("set key bmargin"));
  }
}

TEST_F(TrainOutput, NamesADeepNetworkByAsMuchAsFits) {
  ASSERT_EQ(train({"--hidden", "4,4,4,4,4,4,4,4,4,5", "--steps", "2"}).code, 0);
  EXPECT_THAT(read_bytes(out_ / "accuracy.svg"), HasSubstr("20-4-...(10 hidden layers)...-5-10, sigmoid"));
}

TEST_F(TrainOutput, HasTheSameBitsTwiceAndForEveryThreadCount) {
  ASSERT_EQ(train({"--steps", "200", "--quiet"}).code, 0);
  const RunResult first(out_);
  for (const char* threads : {"2", "1", "5"}) {
    ASSERT_EQ(train({"--steps", "200", "--quiet", "--force", "--threads", threads}).code, 0);
    EXPECT_TRUE(RunResult(out_) == first) << threads;
  }
  ASSERT_EQ(train({"--steps", "200", "--quiet", "--force", "--seed", "2"}).code, 0);
  EXPECT_FALSE(RunResult(out_) == first);
}

}  // namespace
}  // namespace unitvar::testing
