#include <fmt/ranges.h>

#include <csignal>
#include <new>
#include <string>
#include <vector>

#include "bench_command.hpp"
#include "check_command.hpp"
#include "common/failure.hpp"
#include "common/standard_streams.hpp"
#include "common/suggestion.hpp"
#include "train_command.hpp"
#include "version_text.hpp"

namespace {

constexpr int failure_code = 1;
constexpr int usage_code = 2;

std::string command_name(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app.get_name() : app.get_name() + " " + chosen.front()->get_name();
}

std::vector<std::string> names_of(const std::vector<const CLI::App*>& commands) {
  std::vector<std::string> names;
  for (const CLI::App* command : commands) names.push_back(command->get_name());
  return names;
}

std::vector<std::string> options_of(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// CLI11 tells of a wrong word that a command is missing, and of a wrong option all words behind it, in reverse.
std::string unknown_word(const CLI::App& app) {
  const auto commands = names_of(app.get_subcommands([](const CLI::App*) { return true; }));
  const auto chosen = app.get_subcommands();
  const std::vector<std::string> words = app.remaining(true);
  if (words.empty()) return fmt::format("no command, want {}", fmt::join(commands, " or "));
  const std::string& word = words.front();
  if (word.starts_with('-')) {
    const std::string name = word.substr(0, word.find('='));
    const auto options = options_of(chosen.empty() ? app : *chosen.front());
    return fmt::format("{} is no option{}", name, unitvar::tool::suggestion(name, options));
  }
  if (!chosen.empty()) return fmt::format("'{}' belongs to no option", word);
  return fmt::format("'{}' is no command, want {}{}", word, fmt::join(commands, " or "),
                     unitvar::tool::suggestion(word, commands));
}

/// Of `check`, 1 says that a result is wrong: whoever asks for the code alone is not to take a full disk for that.
int code_of_failure(const CLI::App& app) { return app.got_subcommand("check") ? usage_code : failure_code; }

int fail(const CLI::App& app, const std::string& message, int code) {
  unitvar::tool::warn("{}: {}\n", command_name(app), message);
  return code;
}

int parse_and_run(CLI::App& app, int argc, char** argv, const unitvar::cli::Action& action) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  }
  return action();
}

int run(int argc, char** argv) {
  unitvar::tool::open_standard_streams();
  std::signal(SIGXFSZ, SIG_IGN);  // A file that may not grow is an error of write(2) then, which has a message.
  CLI::App app("Normalization layers for neural networks: experiments and checks", "unitvar");
  app.set_version_flag("--version", unitvar::cli::version_text);
  app.require_subcommand(1);
  unitvar::cli::Action action;
  unitvar::cli::add_train_command(app, action);
  unitvar::cli::add_bench_command(app, action);
  unitvar::cli::add_check_command(app, action);
  try {
    const int code = parse_and_run(app, argc, argv, action);
    unitvar::tool::print("");  // A full disk shows when the buffer is written, which nobody would hear of at exit.
    return code;
  } catch (const CLI::RequiredError&) {
    return fail(app, unknown_word(app), usage_code);
  } catch (const CLI::ExtrasError&) {
    return fail(app, unknown_word(app), usage_code);
  } catch (const CLI::ParseError& error) {
    return fail(app, error.what(), usage_code);
  } catch (const unitvar::tool::UsageError& error) {
    return fail(app, error.what(), usage_code);
  } catch (const std::bad_alloc&) {
    return fail(app, "out of memory", code_of_failure(app));
  } catch (const std::exception& error) {
    return fail(app, error.what(), code_of_failure(app));
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (...) {
    return failure_code;  // Not even the error could be printed.
  }
}
