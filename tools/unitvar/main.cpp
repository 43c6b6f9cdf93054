#include <fmt/format.h>

#include <cstdio>
#include <new>
#include <string>

#include "bench_command.hpp"
#include "common/failure.hpp"
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
  fmt::print(stderr, "{}: {}\n", command_name(app), message);
  return code;
}

int run(int argc, char** argv) {
  CLI::App app("Normalization layers for neural networks: experiments and checks", "unitvar");
  app.set_version_flag("--version", "unitvar " + std::string(unitvar::version));
  app.require_subcommand(1);
  unitvar::cli::Action action;
  unitvar::cli::add_train_command(app, action);
  unitvar::cli::add_bench_command(app, action);
  try {
    app.parse(argc, argv);
    return action();
  } catch (const CLI::Success& help) {
    return app.exit(help);
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
