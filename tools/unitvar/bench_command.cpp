#include "bench_command.hpp"

#include <fmt/ranges.h>

#include <memory>
#include <optional>
#include <set>

#include "add_options.hpp"
#include "bench/dtypes.hpp"
#include "bench/run.hpp"

namespace unitvar::cli {
namespace {

using bench::Request;
using Strings = std::vector<std::string>;

Strings split(const std::string& list) { return CLI::detail::split(list, ','); }

void add_names(CLI::App& command, const std::string& name, Strings& value, const std::string& help) {
  command
      .add_option_function<std::string>(
          name, [&value](const std::string& list) { value = split(list); }, help)
      ->type_name("LIST")
      ->default_str(fmt::format("{}", fmt::join(value, ",")));
}

void add_layouts(CLI::App& command, Request& request) {
  command
      .add_option_function<std::string>(
          "--layout", [&request](const std::string& list) { request.layouts = split(list); },
          "channels_first, channels_last; not of layer_norm and rms_norm")
      ->type_name("LIST")
      ->default_str("channels_first");
}

void add_what_to_measure(CLI::App& command, Request& request) {
  command.add_option("--op", request.op, fmt::format("{}", fmt::join(bench::op_names(), ", ")))
      ->type_name("NAME")
      ->capture_default_str();
  add_text(command, "--shapes", request.shapes, "NAME|FILE",
           "resnet_50, densenet_121, rows, groups, default, or a CSV file n,c,d,h,w,count");
  command
      .add_option("--shape", request.shape,
                  "single shapes: N,C,H,W and the like, 2 to 5 axes; ROWS,D for layer_norm and rms_norm")
      ->type_name("N,C,H,W ...")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  const auto assign = [&request](const std::string& text) {
    request.groups = tool::parse_number<std::int64_t>("--groups", text);
  };
  command.add_option_function<std::string>("--groups", assign, "groups of channels of a sample; group_norm only")
      ->type_name("NUMBER")
      ->default_str("32");
  add_layouts(command, request);
  add_names(command, "--dtype", request.dtypes, fmt::format("{}", fmt::join(bench::dtype_names(), ", ")));
  add_names(command, "--pass", request.passes, "forward, backward, inference");
}

void add_threads(CLI::App& command, Request& request) {
  const auto assign = [&request](const std::string& list) {
    request.threads.clear();
    for (const std::string& part : split(list)) request.threads.push_back(tool::parse_number<int>("--threads", part));
  };
  command.add_option_function<std::string>("--threads", assign, "thread counts to measure; 0 for all of the machine")
      ->type_name("LIST")
      ->default_str("0");
}

void add_how_to_measure(CLI::App& command, Request& request) {
  add_threads(command, request);
  command.add_option("--isa", request.isa, "instruction set: automatic, portable, sse4, avx2, avx512, neon")
      ->type_name("NAME")
      ->capture_default_str();
  add_text(command, "--against", request.against, "NAME", "also measure: onednn");
  const auto assign = [&request](const std::string& text) {
    request.repeat = tool::parse_number<int>("--repeat", text);
  };
  command.add_option_function<std::string>("--repeat", assign, "rounds a row; 0: as many as two seconds hold")
      ->type_name("NUMBER")
      ->default_str("0");
  command.add_flag("--explain", request.explain, "print how the library would walk memory, and measure nothing");
}

void add_files(CLI::App& command, Request& request) {
  add_text(command, "--json", request.json, "FILE", "write the rows to this file; - for standard output");
  add_text(command, "--plot", request.plot, "FILE",
           "draw the fractions and ratios into this .png or .svg; - for a PNG on standard output");
  add_text(
      command, "--compare", request.compare, "FILE",
      "measure the rows of this file of --json, or those of them that the options above choose, and compare "
      "fractions and ratios; exit code 1 if a row fell by more than 15 % and by more than its quartiles in each of "
      "three measurements");
}

// Of the options that say what to measure.
std::set<std::string> given_options(const CLI::App& command) {
  std::set<std::string> given;
  for (const char* name : {"--op", "--shapes", "--shape", "--groups", "--layout", "--dtype", "--pass", "--threads"}) {
    if (command.count(name) > 0) given.insert(name);
  }
  return given;
}

}  // namespace

void add_bench_command(CLI::App& app, Action& action) {
  const auto request = std::make_shared<Request>();
  CLI::App* command = app.add_subcommand(
      "bench", "Measure a normalization on this machine, beside the speed of its memory and beside oneDNN");
  command->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  add_what_to_measure(*command, *request);
  add_how_to_measure(*command, *request);
  add_files(*command, *request);
  command->callback([request, command, &action] {
    request->given = given_options(*command);
    action = [request] { return bench::run(*request); };
  });
}

}  // namespace unitvar::cli
