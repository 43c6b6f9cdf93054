#include "bench/options.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "bench/dtypes.hpp"
#include "bench/onednn.hpp"
#include "bench/plot.hpp"
#include "common/failure.hpp"
#include "common/gnuplot.hpp"
#include "common/output_file.hpp"
#include "unitvar/error.hpp"

namespace unitvar::bench {
namespace {

using tool::UsageError;

constexpr int max_repeat = 1'000'000;
constexpr std::int64_t usual_groups = 32;

// The places of `names` in `known`, in the order asked for.
std::vector<std::size_t> choices(const char* option, const std::vector<std::string>& names,
                                 const std::vector<std::string>& known) {
  std::vector<std::size_t> places;
  for (const std::string& name : names) {
    const auto found = std::ranges::find(known, name);
    if (found == known.end()) throw UsageError("{} is '{}', want {}", option, name, fmt::join(known, ", "));
    places.push_back(static_cast<std::size_t>(found - known.begin()));
  }
  return places;
}

template <class Value>
std::vector<Value> chosen(const char* option, const std::vector<std::string>& names, const std::vector<Value>& values,
                          const std::vector<std::string>& known) {
  std::vector<Value> result;
  for (const std::size_t place : choices(option, names, known)) result.push_back(values[place]);
  return result;
}

const char* usual_suite(Op op) {
  if (is_of_rows(op)) return "rows";
  return is_of_groups(op) ? "groups" : "default";
}

Suite suite_of(const Request& request, Op op) {
  if (!request.shapes && request.shape.empty()) return find_suite(usual_suite(op));
  Suite suite{"custom", {}};
  if (request.shapes) suite = find_suite(*request.shapes);
  if (!request.shape.empty()) suite.name = "custom";
  for (const std::string& text : request.shape) suite.shapes.push_back(parse_shape(text));
  for (const Shape& shape : suite.shapes) {
    if (is_of_rows(op) && shape.points() > 1) {
      throw UsageError("shape {} has more than two axes, want ROWS,D with --op {}", shape_text(shape), request.op);
    }
    try {
      check_extent("size", extent_of(shape, Layout::channels_first), sizeof(double));
    } catch (const Error&) {
      throw UsageError("shape {} has more bytes than can be counted, want less than 2^63", shape_text(shape));
    }
  }
  return suite;
}

// A row's elements are beside each other, whatever the layout of images.
std::vector<Layout> layouts_of(const Request& request, Op op) {
  if (!is_of_rows(op)) {
    return chosen<Layout>("--layout", request.layouts.value_or(std::vector<std::string>{"channels_first"}),
                          {Layout::channels_first, Layout::channels_last}, {"channels_first", "channels_last"});
  }
  if (request.layouts) {
    throw UsageError("--layout is '{}', want it without --op {}: rows have one layout",
                     fmt::join(*request.layouts, ","), request.op);
  }
  return {Layout::channels_last};
}

std::vector<int> threads_of(const Request& request) {
  std::vector<int> result;
  for (const int count : request.threads) {
    if (count < 0 || count > max_threads) throw UsageError("--threads is {}, want 0 to {}", count, max_threads);
    const auto machine = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    result.push_back(count > 0 ? count : machine);
  }
  return result;
}

void choose_isa(const Request& request, Plan& plan) {
  try {
    plan.requested_isa = isa_from_name(request.isa);
    plan.isa = selected_isa(plan.requested_isa);
  } catch (const Error& error) {
    throw UsageError("--isa is '{}': {}", request.isa, error.what());
  }
}

bool against_onednn(const Request& request) {
  if (!request.against) return false;
  if (*request.against != "onednn") throw UsageError("--against is '{}', want onednn", *request.against);
  if (!onednn_available()) {
    throw UsageError(
        "--against is 'onednn', but this program was built without oneDNN; want a build that found it (Debian's "
        "libdnnl-dev)");
  }
  return true;
}

// Without running statistics, inference is the forward pass.
void choose_training(const Request& request, Plan& plan) {
  std::erase(plan.passes, Pass::inference);
  if (plan.passes.empty()) throw UsageError("--pass is 'inference', want forward, backward with --op {}", request.op);
}

std::int64_t groups_per_sample(const Request& request, Op op, const Suite& suite) {
  if (op != Op::group_norm) {
    if (request.groups) throw UsageError("--groups is of group_norm, want it without --op {}", request.op);
    return 0;
  }
  const std::int64_t groups = request.groups.value_or(usual_groups);
  if (groups < 1) throw UsageError("--groups is {}, want at least 1", groups);
  for (const Shape& shape : suite.shapes) {
    if (shape.c % groups == 0) continue;
    throw UsageError("--groups is {}, want a divisor of the {} channels of shape {}", groups, shape.c,
                     shape_text(shape));
  }
  return groups;
}

void check_names(const std::string& json, const std::string& plot) {
  if (json.empty()) throw UsageError("--json is empty, want a file, or -");
  if (plot != tool::standard_output && !tool::is_picture_name(plot)) {
    throw UsageError("--plot is '{}', want a name that ends in .png or .svg, or -", plot);
  }
}

// What would replace the other, the picture's script too.
void check_difference(const std::string& json, const std::string& plot) {
  if (tool::same_output(json, plot)) throw UsageError("--json and --plot are both '{}', want two files", plot);
  const std::string script = script_path(plot).string();
  if (plot != tool::standard_output && tool::same_output(json, script)) {
    throw UsageError("--json is '{}', which the script of --plot {} is written to, want another name", json, plot);
  }
}

}  // namespace

std::string_view pass_name(Pass pass) {
  switch (pass) {
    case Pass::forward:
      return "forward";
    case Pass::backward:
      return "backward";
    case Pass::inference:
      return "inference";
  }
  return "";
}

Plan make_common_plan(const Request& request) {
  Plan plan;
  choose_isa(request, plan);
  plan.against_onednn = against_onednn(request);
  if (request.repeat < 0 || request.repeat > max_repeat) {
    throw UsageError("--repeat is {}, want 0 to {}", request.repeat, max_repeat);
  }
  plan.repeat = request.repeat;
  return plan;
}

Plan make_plan(const Request& request) {
  Plan plan = make_common_plan(request);
  (void)choices("--dtype", request.dtypes, dtype_names());
  plan.dtypes = request.dtypes;
  plan.op = static_cast<Op>(choices("--op", {request.op}, op_names()).front());
  plan.layouts = layouts_of(request, plan.op);
  plan.passes = chosen<Pass>("--pass", request.passes, {Pass::forward, Pass::backward, Pass::inference},
                             {"forward", "backward", "inference"});
  if (plan.op != Op::batch_norm) choose_training(request, plan);
  plan.threads = threads_of(request);
  plan.suite = suite_of(request, plan.op);
  plan.groups = groups_per_sample(request, plan.op, plan.suite);
  return plan;
}

void check_files(const Request& request) {
  if (request.explain && (request.json || request.plot || request.compare)) {
    throw UsageError("--explain measures nothing, want it without --json, --plot and --compare");
  }
  if (request.compare && request.compare->empty()) throw UsageError("--compare is empty, want a file");
  check_names(request.json.value_or("-"), request.plot.value_or("-"));
  if (request.json && request.plot) check_difference(*request.json, *request.plot);
  for (const auto& file : {request.json, request.plot}) {
    if (file) tool::check_writable(*file);
  }
}

}  // namespace unitvar::bench
