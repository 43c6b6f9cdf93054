#include "check/run.hpp"

#include "check/case_file.hpp"
#include "check/json.hpp"
#include "check/npz.hpp"
#include "check/plot.hpp"
#include "check/self_check.hpp"
#include "common/failure.hpp"
#include "common/output_file.hpp"
#include "common/standard_streams.hpp"
#include "unitvar/error.hpp"

namespace unitvar::check {
namespace {

int list_mistakes() {
  for (const Mistake& m : diagnosed_mistakes()) tool::print(fmt::format("{:33} {} {}\n", m.id, m.equation, m.what));
  return 0;
}

Diagnosis diagnosis_of(const std::map<std::string, Array>& arrays, const Options& options) {
  try {
    return diagnose(case_of(arrays, options));
  } catch (const Error& error) {
    throw tool::UsageError("{}: {}", options.file, error.what());
  }
}

void check_names(const Options& options) {
  for (const auto& [option, name] : {std::pair("--json", options.json), std::pair("--plot", options.plot)}) {
    if (name && tool::same_output(*name, options.file))
      throw tool::UsageError("{} is the case itself, '{}', want another file", option, *name);
  }
  if (!options.plot) return;
  check_plot_name(*options.plot);
  if (options.json && tool::same_output(*options.json, *options.plot)) {
    throw tool::UsageError("--json and --plot are both '{}', want two files", *options.json);
  }
}

}  // namespace

int run(const Options& options) {
  if (options.mistakes) return list_mistakes();
  if (options.self) return check_self();
  if (options.file.empty()) throw tool::UsageError("no file, want a .npz file with x and what a layer made of it");
  check_names(options);
  const bool to_output = options.json && *options.json == tool::standard_output;
  if (options.json && !to_output) tool::check_writable(*options.json);
  if (options.plot) tool::check_writable(*options.plot);
  const auto arrays = read_npz(options.file);
  const Diagnosis found = diagnosis_of(arrays, options);
  tool::print(to_string(found), to_output ? stderr : stdout);
  if (options.json) tool::write_file(*options.json, json_text(found));
  if (options.plot) draw(*options.plot, found);
  return found.right ? 0 : found.hidden ? 2 : 1;
}

}  // namespace unitvar::check
