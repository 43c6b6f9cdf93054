#include "train/run.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <future>
#include <memory>

#include "common/atomic_file.hpp"
#include "common/failure.hpp"
#include "train/interrupt.hpp"
#include "train/matrix.hpp"
#include "train/output_folder.hpp"
#include "train/plots.hpp"
#include "train/summary.hpp"
#include "train/trainer.hpp"

namespace unitvar::train {
namespace {

using Trainers = std::vector<std::unique_ptr<Trainer>>;

void check_data(const Options& options, const Dataset& data) {
  if (data.test.count < 2) throw tool::Failure("{} has {} test image, want at least 2", options.data, data.test.count);
  if (data.training.count >= options.batch) return;
  throw tool::Failure("--batch is {}, want at most the {} training images of {}", options.batch, data.training.count,
                      options.data);
}

// Networks train side by side, each on one thread; threads that are left over help with the evaluations.
Trainers make_trainers(const Options& options, const Dataset& data, const TestSet& test) {
  const int networks = options.norm == Norm::both ? 2 : 1;
  const int threads_each = std::max(1, thread_count(options) / networks);
  Trainers trainers;
  for (bool batch_norm : {true, false}) {
    if (options.norm == (batch_norm ? Norm::none : Norm::batch)) continue;
    trainers.push_back(std::make_unique<Trainer>(options, data, test, batch_norm, threads_each));
  }
  return trainers;
}

void restore(const Options& options, const OutputFolder& folder, Trainers& trainers) {
  for (auto& trainer : trainers) {
    const auto path = folder.checkpoint(trainer->name());
    const bool found = std::filesystem::exists(path);
    if (found) trainer->restore(path);
    if (options.quiet) continue;
    fmt::print(stderr, "{}: {}\n", trainer->name(),
               found ? fmt::format("resuming at step {}", count_text(trainer->state().step))
                     : "no checkpoint yet, starting at step 0");
  }
}

std::vector<std::string> names_of(const Trainers& trainers) {
  std::vector<std::string> names;
  for (const auto& trainer : trainers) names.push_back(trainer->name());
  return names;
}

void train_all(const Options& options, const OutputFolder& folder, Trainers& trainers) {
  Monitor monitor(names_of(trainers), options.steps, Monitor::style_for(options.quiet));
  std::atomic<bool> failed = false;
  const auto train_one = [&](std::size_t index) {
    Trainer& trainer = *trainers[index];
    monitor.start(index, trainer.standing());
    try {
      trainer.run(
          folder.checkpoint(trainer.name()), [&] { return failed || Interrupt::signal() != 0; },
          [&](const Standing& standing) { monitor.update(index, standing); });
    } catch (...) {
      failed = true;
      throw;
    }
    monitor.finish(index, trainer.standing());
  };
  const auto launch = thread_count(options) > 1 ? std::launch::async : std::launch::deferred;
  std::vector<std::future<void>> runs;
  for (std::size_t i = 0; i < trainers.size(); ++i) runs.push_back(std::async(launch, train_one, i));
  for (auto& one : runs) one.get();
}

std::vector<NetworkHistory> histories_of(const Trainers& trainers) {
  std::vector<NetworkHistory> histories;
  for (const auto& trainer : trainers) histories.push_back({trainer->name(), trainer->state().rows});
  return histories;
}

std::string table_of(const Trainers& trainers) {
  std::vector<NetworkSummary> summaries;
  for (const auto& trainer : trainers) summaries.push_back({trainer->name(), trainer->state()});
  return summary_table(summaries);
}

void write_results(const OutputFolder& folder, Trainers& trainers) {
  for (auto& trainer : trainers) trainer->save(folder.model(trainer->name()));
  const std::vector<NetworkHistory> histories = histories_of(trainers);
  tool::write_file(folder.file("history.csv"), history_csv(histories));
  tool::write_file(folder.file("percentiles.csv"), percentiles_csv(histories));
  tool::write_file(folder.file("summary.txt"), table_of(trainers));
}

PlotText plot_text(const Options& options, const Dataset& data) {
  const std::string activation(activation_name(options.activation));
  return {fmt::format("{}-{}-{}, {}, batch {}, plain SGD, learning rate {}", data.training.size(),
                      fmt::join(options.hidden, "-"), class_count, activation, options.batch, options.lr),
          activation};
}

// Pictures are for looking at: a machine without gnuplot still gets all the numbers.
bool try_to_draw(const OutputFolder& folder, const Trainers& trainers, const PlotText& text) {
  try {
    draw_plots(folder, histories_of(trainers), text);
    return true;
  } catch (const tool::Failure& failure) {
    fmt::print(stderr, "unitvar train: no pictures: {}\n", failure.what());
    return false;
  }
}

void report(const OutputFolder& folder, const Trainers& trainers, bool drawn) {
  fmt::print("\n{}\n", table_of(trainers));
  const std::string where = folder.path().string();
  if (drawn) fmt::print("pictures  {0}/accuracy.png (.svg), {0}/percentiles.png (.svg)\n", where);
  fmt::print("numbers   {0}/history.csv, {0}/percentiles.csv, {0}/summary.txt\n", where);
  fmt::print("models    {}/model-*.safetensors\n", where);
}

void warn_of_divergence(const Trainers& trainers) {
  for (const auto& trainer : trainers) {
    for (const HistoryRow& row : trainer->state().rows) {
      if (std::isfinite(row.train_loss)) continue;
      fmt::print(stderr, "unitvar train: network {}: the loss is not finite at step {}; try a smaller --lr\n",
                 trainer->name(), row.step);
      break;
    }
  }
}

int stopped(const Trainers& trainers, int signal) {
  for (const auto& trainer : trainers) {
    fmt::print(stderr, "unitvar train: stopped network {} at step {}; --resume continues\n", trainer->name(),
               trainer->state().step);
  }
  return 128 + signal;
}

}  // namespace

int run(const Options& options) {
  check_options(options);
  use_one_blas_thread();
  const Dataset data = read_dataset(options.data);
  check_data(options, data);
  const TestSet test(data.test);
  const OutputFolder folder(options.out);
  Trainers trainers = make_trainers(options, data, test);
  if (options.resume) {
    restore(options, folder, trainers);
  } else {
    folder.clear();
  }
  const Interrupt interrupt;
  train_all(options, folder, trainers);
  if (const int signal = Interrupt::signal(); signal != 0) return stopped(trainers, signal);
  write_results(folder, trainers);
  const bool drawn = try_to_draw(folder, trainers, plot_text(options, data));
  warn_of_divergence(trainers);
  if (!options.quiet) report(folder, trainers, drawn);
  return 0;
}

}  // namespace unitvar::train
