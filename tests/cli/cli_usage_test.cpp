#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "cli/process.hpp"
#include "unitvar/version.hpp"

namespace unitvar::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(UnitvarProgram, TellsItsVersionAndItsCommands) {
  const Ending version = run_program({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_THAT(version.output, StartsWith("unitvar " + std::string(unitvar::version) + ", commit "));
  for (const char* what :
       {"processor ", "instruction sets ", "portable", "caches of a core ", "threads ", "MPI ", "BLAS "}) {
    EXPECT_THAT(version.output, HasSubstr(what));
  }
  const Ending help = run_program({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.output, HasSubstr("train"));
}

TEST(UnitvarProgram, ExplainsEveryOptionOfTrain) {
  const Ending help = run_program({"train", "--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* option :
       {"--data", "--norm", "--steps", "--batch", "--hidden", "--activation", "--lr", "--seed", "--threads",
        "--eval-every", "--checkpoint-every", "--out", "--resume", "--force", "--quiet"}) {
    EXPECT_THAT(help.output, HasSubstr(option));
  }
}

TEST(UnitvarProgram, WantsACommandItKnows) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{}, {"fly"}}) {
    const Ending ending = run_program(arguments);
    EXPECT_EQ(ending.code, 2);
    EXPECT_THAT(ending.errors, StartsWith("unitvar: "));
  }
}

struct Slip {
  std::vector<std::string> arguments;
  std::string message;
};

void PrintTo(const Slip& slip, std::ostream* to) { *to << slip.message; }

class WrongWord : public ::testing::TestWithParam<Slip> {};

TEST_P(WrongWord, IsNamedWithTheRightOne) {
  const Ending ending = run_program(GetParam().arguments);
  EXPECT_EQ(ending.code, 2);
  EXPECT_EQ(ending.errors, "unitvar" + GetParam().message + "\n");
  EXPECT_EQ(ending.output, "");
}

INSTANTIATE_TEST_SUITE_P(
    All, WrongWord,
    ::testing::Values(
        Slip{{}, ": no command, want train or bench or check"},
        Slip{{"trian"}, ": 'trian' is no command, want train or bench or check; did you mean train?"},
        Slip{{"banch", "--shape", "2,3"}, ": 'banch' is no command, want train or bench or check; did you mean bench?"},
        Slip{{"fly"}, ": 'fly' is no command, want train or bench or check"},
        Slip{{"--verson"}, ": --verson is no option; did you mean --version?"},
        Slip{{"train", "--stpes", "5", "--out", "x"}, " train: --stpes is no option; did you mean --steps?"},
        Slip{{"bench", "--jsn=b.json"}, " bench: --jsn is no option; did you mean --json?"},
        Slip{{"bench", "--colour"}, " bench: --colour is no option"},
        Slip{{"train", "twice"}, " train: 'twice' belongs to no option"}));

/// The commands that documents show, each a line from "unitvar" on.
std::vector<std::string> documented_commands() {
  std::vector<std::string> commands;
  for (const char* name : {"README.md", "HACKING.md", "docs/training.md", "docs/performance.md"}) {
    const std::string text = std::regex_replace(read_bytes(fs::path(UNITVAR_SOURCE) / name), std::regex(R"(\\\n)"), "");
    const std::regex command(R"((?:^|[/ \n`])unitvar (?:train|bench)\b[^\n`#]*--[^\n`#]*)");
    for (std::sregex_iterator at(text.begin(), text.end(), command); at != std::sregex_iterator(); ++at) {
      commands.push_back(at->str());
    }
  }
  return commands;
}

TEST(UnitvarProgram, HasEveryOptionThatDocumentsShow) {
  const std::string train = run_program({"train", "--help"}).output, bench = run_program({"bench", "--help"}).output;
  const std::vector<std::string> commands = documented_commands();
  EXPECT_GT(commands.size(), 15U);
  for (const std::string& command : commands) {
    const std::string& help = command.find("unitvar train") != std::string::npos ? train : bench;
    const std::regex option("--[a-z-]+");
    for (std::sregex_iterator at(command.begin(), command.end(), option); at != std::sregex_iterator(); ++at) {
      EXPECT_TRUE(std::regex_search(help, std::regex(at->str() + "[ ,\n]"))) << at->str() << " of" << command;
    }
  }
}

struct Mistake {
  std::vector<std::string> arguments;
  std::string named;
};

class UsageMistake : public ::testing::TestWithParam<Mistake> {};

TEST_P(UsageMistake, IsNamedInOneLineWithCodeTwoBeforeAnythingIsWritten) {
  const TemporaryFolder folder;
  std::vector<std::string> arguments = {"train", "--out", folder / "out"};
  arguments.insert(arguments.end(), GetParam().arguments.begin(), GetParam().arguments.end());
  const Ending ending = run_program(arguments);
  EXPECT_EQ(ending.code, 2);
  EXPECT_THAT(ending.errors, StartsWith("unitvar train: "));
  EXPECT_THAT(ending.errors, HasSubstr(GetParam().named));
  EXPECT_EQ(std::ranges::count(ending.errors, '\n'), 1) << ending.errors;
  EXPECT_EQ(ending.output, "");
  EXPECT_FALSE(fs::exists(folder / "out"));
}

INSTANTIATE_TEST_SUITE_P(
    All, UsageMistake,
    ::testing::Values(
        Mistake{{"--fast"}, "--fast"}, Mistake{{"more"}, "more"}, Mistake{{"--steps"}, "--steps"},
        Mistake{{"--norm", "layer"}, "--norm: layer not in {batch,both,none}"},
        Mistake{{"--norm", "0"}, "--norm: 0 not in"}, Mistake{{"--activation", "gelu"}, "--activation: gelu not in"},
        Mistake{{"--steps", "0"}, "--steps is 0, want 1 to"}, Mistake{{"--steps", "-5"}, "--steps is -5, want 1 to"},
        Mistake{{"--steps", "1e3"}, "--steps is '1e3', want a whole number"},
        Mistake{{"--steps", "99999999999999999999"}, "--steps is '99999999999999999999', want a whole number in range"},
        Mistake{{"--batch", "0"}, "--batch is 0"},
        Mistake{{"--batch", "1"}, "--batch is 1, want at least 2: batch normalization needs a variance"},
        Mistake{{"--hidden", ""}, "--hidden is ''"}, Mistake{{"--hidden", "100,,5"}, "--hidden is ''"},
        Mistake{{"--hidden", "100,0"}, "--hidden is 0, want 1 to"}, Mistake{{"--hidden", "9x"}, "--hidden is '9x'"},
        Mistake{{"--lr", "0"}, "--lr is 0, want a finite number above 0"},
        Mistake{{"--lr", "-0.1"}, "--lr is -0.1, want"}, Mistake{{"--lr", "nan"}, "--lr is nan, want"},
        Mistake{{"--lr", "inf"}, "--lr is inf, want"}, Mistake{{"--lr", "fast"}, "--lr is 'fast', want a number"},
        Mistake{{"--seed", "-1"}, "--seed is '-1'"}, Mistake{{"--threads", "-1"}, "--threads is -1, want 0 to"},
        Mistake{{"--eval-every", "0"}, "--eval-every is 0, want 1 to"},
        Mistake{{"--checkpoint-every", "0"}, "--checkpoint-every is 0, want 1 to"},
        Mistake{{"--force", "--resume"}, "--force deletes the run that --resume continues"},
        Mistake{{"--data", ""}, "--data is empty"}, Mistake{{"--out", ""}, "--out is empty"}));

}  // namespace
}  // namespace unitvar::testing
