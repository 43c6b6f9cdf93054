#include "train/run.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <future>
#include <memory>
#include <optional>

#include "common/failure.hpp"
#include "common/gnuplot.hpp"
#include "common/interrupt.hpp"
#include "common/output_file.hpp"
#include "common/standard_streams.hpp"
#include "train/matrix.hpp"
#include "train/output_folder.hpp"
#include "train/plots.hpp"
#include "train/ranks.hpp"
#include "train/summary.hpp"
#include "train/trainer.hpp"
#include "unitvar/options.hpp"

namespace unitvar::train {
namespace {

using Trainers = std::vector<std::unique_ptr<Trainer>>;

/// The folder of --out, which rank 0 alone has.
struct Files {
  std::optional<OutputFolder> folder;

  [[nodiscard]] std::filesystem::path checkpoint(const std::string& network) const {
    return folder ? folder->checkpoint(network) : std::filesystem::path();
  }
};

void check_ranks(const Options& options, const Ranks& ranks) {
  const std::int64_t fewest = options.batch / ranks.size();
  if (fewest < 1) throw tool::UsageError("--batch is {}, want at least the {} ranks", options.batch, ranks.size());
  if (fewest < 2 && ranks.are_many() && !options.sync_bn && options.norm != Norm::none) {
    throw tool::UsageError("--batch is {} on {} ranks with --sync-bn off, want at least 2 rows on each", options.batch,
                           ranks.size());
  }
}

void check_data(const Options& options, const Dataset& data) {
  if (data.test.count < 2) throw tool::Failure("{} has {} test image, want at least 2", options.data, data.test.count);
  if (data.training.count >= options.batch) return;
  throw tool::Failure("--batch is {}, want at most the {} training images of {}", options.batch, data.training.count,
                      options.data);
}

// Networks train side by side, each on one thread; threads that are left over help with the evaluations.
Trainers make_trainers(const Options& options, const Dataset& data, const TestSet& test, Ranks& ranks) {
  const int networks = options.norm == Norm::both ? 2 : 1;
  const int threads_each = std::max(1, thread_count(options) / (ranks.are_many() ? 1 : networks));
  Trainers trainers;
  for (bool batch_norm : {true, false}) {
    if (options.norm == (batch_norm ? Norm::none : Norm::batch)) continue;
    trainers.push_back(std::make_unique<Trainer>(options, data, test, ranks, batch_norm, threads_each));
  }
  return trainers;
}

/// Nothing is deleted that nobody said may be.
void refuse_an_earlier_run(const OutputFolder& folder, const char* resume) {
  const std::optional<std::string> name = folder.holds();
  if (!name) return;
  throw tool::Failure("--out {} holds {} of an earlier run: {}, --force deletes it", folder.path().string(), *name,
                      resume);
}

void restore(const Options& options, const Files& files, Trainers& trainers) {
  std::vector<bool> found;
  found.reserve(trainers.size());
  for (auto& trainer : trainers) found.push_back(trainer->restore(files.checkpoint(trainer->name())));
  if (!files.folder) return;
  const bool any = std::ranges::find(found, true) != found.end();
  if (!any) refuse_an_earlier_run(*files.folder, "--resume finds no checkpoint of it");
  if (options.quiet) return;
  for (std::size_t i = 0; i < trainers.size(); ++i) {
    tool::warn("{}: {}\n", trainers[i]->name(),
               found[i] ? fmt::format("resuming at step {}", count_text(trainers[i]->state().step))
                        : "no checkpoint yet, starting at step 0");
  }
}

// The checkpoints' state, or that of step 0 in a folder without an earlier run.
void prepare(const Options& options, const Files& files, Trainers& trainers) {
  if (options.resume) {
    restore(options, files, trainers);
  } else if (files.folder && !options.force) {
    refuse_an_earlier_run(*files.folder, "--resume continues it");
  }
  if (!files.folder) return;
  if (options.force) files.folder->clear();
  files.folder->clear_unfinished();
}

std::vector<std::string> names_of(const Trainers& trainers) {
  std::vector<std::string> names;
  for (const auto& trainer : trainers) names.push_back(trainer->name());
  return names;
}

// Ranks meet in every step, so there the networks train one after the other.
void train_all(const Options& options, const Files& files, const Ranks& ranks, Trainers& trainers) {
  Monitor monitor(names_of(trainers), options.steps, Monitor::style_for(options.quiet || !ranks.is_first()));
  std::atomic<bool> failed = false;
  const auto train_one = [&](std::size_t index) {
    Trainer& trainer = *trainers[index];
    monitor.start(index, trainer.standing());
    try {
      trainer.run(
          files.checkpoint(trainer.name()), [&] { return failed || tool::Interrupt::signal() != 0; },
          [&](const Standing& standing) { monitor.update(index, standing); });
    } catch (...) {
      failed = true;
      throw;
    }
    monitor.finish(index, trainer.standing());
  };
  const auto launch = thread_count(options) > 1 && !ranks.are_many() ? std::launch::async : std::launch::deferred;
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
  for (auto& trainer : trainers) trainer->save_model(folder.model(trainer->name()));
  const std::vector<NetworkHistory> histories = histories_of(trainers);
  tool::write_file(folder.file("history.csv"), history_csv(histories));
  tool::write_file(folder.file("percentiles.csv"), percentiles_csv(histories));
  tool::write_file(folder.file("summary.txt"), table_of(trainers));
}

// As much of a deep network as fits into a picture.
std::string widths_text(const std::vector<std::int64_t>& hidden) {
  constexpr std::size_t most = 6;
  if (hidden.size() <= most) return fmt::format("{}", fmt::join(hidden, "-"));
  return fmt::format("{}-...({} hidden layers)...-{}", hidden.front(), hidden.size(), hidden.back());
}

PlotText plot_text(const Options& options, const Dataset& data) {
  const std::string activation(activation_name(options.activation));
  return {fmt::format("{}-{}-{}, {}, batch {}, plain SGD, learning rate {}", data.training.size(),
                      widths_text(options.hidden), class_count, activation, options.batch, options.lr),
          activation};
}

// Pictures are for looking at: a machine without gnuplot still gets all the numbers.
bool try_to_draw(const OutputFolder& folder, const Trainers& trainers, const PlotText& text) {
  try {
    draw_plots(folder, histories_of(trainers), text);
    return true;
  } catch (const tool::NoGnuplot& failure) {
    tool::warn("unitvar train: no pictures: {}\n", failure.what());
    return false;
  }
}

// Whether standard output takes it is found at the end, when all files are written.
void say(const std::string& text) { std::fputs(text.c_str(), stdout); }

void report_numbers(const OutputFolder& folder, const Trainers& trainers) {
  const std::string where = folder.path().string();
  say(fmt::format("\n{}\n", table_of(trainers)));
  say(fmt::format("numbers   {0}/history.csv, {0}/percentiles.csv, {0}/summary.txt\n", where));
  say(fmt::format("models    {}/model-*.safetensors\n", where));
}

void report_pictures(const OutputFolder& folder) {
  say(fmt::format("pictures  {0}/accuracy.png (.svg), {0}/percentiles.png (.svg)\n", folder.path().string()));
}

void warn_of_divergence(const Trainers& trainers) {
  for (const auto& trainer : trainers) {
    for (const HistoryRow& row : trainer->state().rows) {
      if (std::isfinite(row.train_loss)) continue;
      tool::warn("unitvar train: network {}: the loss is not finite at step {}; try a smaller --lr\n", trainer->name(),
                 row.step);
      break;
    }
  }
}

int stopped(const Trainers& trainers, int signal) {
  for (const auto& trainer : trainers) {
    tool::warn("unitvar train: stopped network {} at step {}; --resume continues\n", trainer->name(),
               trainer->state().step);
  }
  return 128 + signal;
}

int run_on(Ranks& ranks, const Options& options) {
  check_options(options);
  check_ranks(options, ranks);
  (void)selected_isa();  // Throws if UNITVAR_ISA is no instruction set of this machine.
  use_one_blas_thread();
  const Dataset data = read_dataset(options.data);
  check_data(options, data);
  const TestSet test(data.test);
  Files files;
  if (ranks.is_first()) files.folder.emplace(options.out);
  Trainers trainers = make_trainers(options, data, test, ranks);
  prepare(options, files, trainers);
  const tool::Interrupt interrupt;
  train_all(options, files, ranks, trainers);
  const int signal = tool::Interrupt::signal();
  const bool ended = ranks.any(signal != 0);
  if (!files.folder) return ended ? 128 + (signal != 0 ? signal : SIGTERM) : 0;
  if (ended) return stopped(trainers, signal != 0 ? signal : SIGTERM);
  write_results(*files.folder, trainers);
  warn_of_divergence(trainers);
  if (!options.quiet) report_numbers(*files.folder, trainers);
  const bool drawn = try_to_draw(*files.folder, trainers, plot_text(options, data));
  if (drawn && !options.quiet) report_pictures(*files.folder);
  return 0;
}

}  // namespace

int run(const Options& options) {
  const std::unique_ptr<Ranks> ranks = start_ranks();
  if (!ranks->are_many()) return run_on(*ranks, options);
  std::string message = "out of memory";
  int code = 1;
  try {
    return run_on(*ranks, options);
  } catch (const tool::UsageError& error) {
    message = error.what();
    code = 2;
  } catch (const std::bad_alloc&) {
  } catch (const std::exception& error) {
    message = error.what();
  }
  return ranks->fail(message, code);
}

}  // namespace unitvar::train
