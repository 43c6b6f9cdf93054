#include <fmt/format.h>

#include <csignal>
#include <new>
#include <string>

#include "bench_command.hpp"
#include "common/failure.hpp"
#include "common/standard_streams.hpp"
#include "train_command.hpp"
#include "unitvar/version.hpp"

namespace {

constexpr int failure_code = 1;
constexpr int usage_code = 2;

std::string command_name(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app.get_name() : app.get_name() + " " + chosen.front()->get_name();
}

int fail(const CLI::App& app, const char* message, int code) {
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
  app.set_version_flag("--version", "unitvar " + std::string(unitvar::version));
  app.require_subcommand(1);
  unitvar::cli::Action action;
  unitvar::cli::add_train_command(app, action);
  unitvar::cli::add_bench_command(app, action);
  try {
    const int code = parse_and_run(app, argc, argv, action);
    unitvar::tool::print("");  // A full disk shows when the buffer is written, which nobody would hear of at exit.
    return code;
  } catch (const CLI::ParseError& error) {
    return fail(app, error.what(), usage_code);
  } catch (const unitvar::tool::UsageError& error) {
    return fail(app, error.what(), usage_code);
  } catch (const std::bad_alloc&) {
    return fail(app, "out of memory", failure_code);
  } catch (const std::exception& error) {
    return fail(app, error.what(), failure_code);
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
