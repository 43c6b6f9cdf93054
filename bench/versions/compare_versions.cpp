// compare_versions OLD.so OLD_AGAIN.so NEW.so: runs versions of the library in turns in one process, and compares their
// speed and every result. The old one is there twice: what it shows against itself is noise. script/compare builds
// the modules.
#include <dlfcn.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "bench/timing.hpp"
#include "bench/versions/call.hpp"
#include "bench/versions/problem.hpp"
#include "common/failure.hpp"

namespace unitvar::versions {
namespace {

class Version {
 public:
  explicit Version(const std::string& path) : path_(path) {
    void* const module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (module == nullptr) throw tool::Failure("cannot load {}: {}", path, dlerror());
    run_ = reinterpret_cast<decltype(run_)>(dlsym(module, "unitvar_version_run"));
    if (run_ == nullptr) throw tool::Failure("{} has no unitvar_version_run, want a module of script/compare", path);
  }
  void run(const Call& call) const {
    if (const char* const error = run_(&call)) throw tool::Failure("{}: {}", path_, error);
  }

 private:
  std::string path_;
  decltype(&unitvar_version_run) run_;
};

struct Settings {
  std::vector<std::string> modules;
  std::vector<std::string> suites = {"resnet_50", "rows", "groups"}, dtypes = {"f32"};
  int threads = 0;
  double seconds = 1;
};

struct Row {
  std::string group, what;
  double milliseconds;  ///< of the old version
  double again, fresh;  ///< time over that: of the old one again, of the new one
  bool same;            ///< all results have the same bits
};

/// One row: the call in turns by all versions, then its results.
Row measure(const std::vector<Version>& versions, Problem& problem, double seconds) {
  std::vector<bench::Work> work;
  for (const Version& version : versions) work.emplace_back([&] { version.run(problem.call()); });
  const std::vector<double> times = bench::median_seconds(work, seconds);
  const auto results_of = [&](const Version& version) {
    problem.clear_results();
    version.run(problem.call());
    return problem.hash_of_results();
  };
  const auto old = results_of(versions[0]);
  return {problem.group(),     problem.text(),      1e3 * times[0],
          times[1] / times[0], times[2] / times[0], old == results_of(versions[2])};
}

/// Geometric means by suite, layout, dtype and pass.
void print_means(const std::vector<Row>& rows) {
  struct Mean {
    double again = 0, fresh = 0;
    int rows = 0;
  };
  std::map<std::string, Mean> means;
  for (const Row& row : rows) {
    Mean& mean = means[row.group];
    mean.again += std::log(row.again), mean.fresh += std::log(row.fresh), ++mean.rows;
  }
  fmt::print("\n| geometric mean of time over the old one's | old again | new |\n|---|---|---|\n");
  for (const auto& [group, mean] : means) {
    fmt::print("| {} | {:.3f} | {:.3f} |\n", group, std::exp(mean.again / mean.rows), std::exp(mean.fresh / mean.rows));
  }
}

int run(const Settings& settings) {
  std::vector<Version> versions;
  for (const std::string& path : settings.modules) versions.emplace_back(path);
  std::vector<Row> rows;
  fmt::print("| call | old, ms | old again | new | bits |\n|---|---|---|---|---|\n");
  for (const std::string& suite : settings.suites) {
    for (const std::string& dtype : settings.dtypes) {
      for_each_problem(suite, dtype, settings.threads, [&](Problem& problem) {
        rows.push_back(measure(versions, problem, settings.seconds));
        const Row& row = rows.back();
        fmt::print("| {}, {} | {:.3f} | {:.3f} | {:.3f} | {} |\n", row.group, row.what, row.milliseconds, row.again,
                   row.fresh, row.same ? "same" : "**other**");
        std::fflush(stdout);
      });
    }
  }
  print_means(rows);
  const auto others = std::count_if(rows.begin(), rows.end(), [](const Row& row) { return !row.same; });
  if (others == 0) return EXIT_SUCCESS;
  fmt::print("\n{} of {} calls have other bits\n", others, rows.size());
  return EXIT_FAILURE;
}

}  // namespace
}  // namespace unitvar::versions

int main(int argc, char** argv) {
  CLI::App app(
      "Two versions of the library in turns: speed and bits. The modules are made by script/compare. Exit code 1 if "
      "bits differ.");
  unitvar::versions::Settings settings;
  app.add_option("modules", settings.modules, "OLD.so OLD_AGAIN.so NEW.so")->required()->expected(3);
  app.add_option("--suite", settings.suites, "resnet_50, rows, groups or another suite of `unitvar bench`");
  app.add_option("--dtype", settings.dtypes, "f32, f64, bf16, f16");
  app.add_option("--threads", settings.threads, "0 is OpenMP's default");
  app.add_option("--seconds", settings.seconds, "for each call of all versions");
  CLI11_PARSE(app, argc, argv);
  try {
    return unitvar::versions::run(settings);
  } catch (const std::exception& error) {
    fmt::print(stderr, "compare_versions: {}\n", error.what());
    return EXIT_FAILURE;
  }
}
