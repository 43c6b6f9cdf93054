#include "train/checkpoint.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>

#include "common/failure.hpp"

namespace unitvar::train {
namespace {

constexpr std::int64_t max_history_rows = 100'000'000;

// The history by columns, as it stands in a file.
struct Columns {
  std::vector<std::int64_t> step;
  std::vector<double> train_loss, test_accuracy, seconds, percentiles;

  explicit Columns(std::size_t rows)
      : step(rows), train_loss(rows), test_accuracy(rows), seconds(rows), percentiles(rows * Percentiles{}.size()) {}
};

Columns to_columns(const std::vector<HistoryRow>& rows) {
  Columns columns(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    columns.step[i] = rows[i].step;
    columns.train_loss[i] = rows[i].train_loss;
    columns.test_accuracy[i] = rows[i].test_accuracy;
    columns.seconds[i] = rows[i].seconds;
    std::ranges::copy(rows[i].percentiles, columns.percentiles.begin() + static_cast<std::ptrdiff_t>(3 * i));
  }
  return columns;
}

std::vector<HistoryRow> to_rows(const Columns& columns) {
  std::vector<HistoryRow> rows(columns.step.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i] = {columns.step[i], columns.train_loss[i], columns.test_accuracy[i], columns.seconds[i], {}};
    std::copy_n(columns.percentiles.begin() + static_cast<std::ptrdiff_t>(3 * i), 3, rows[i].percentiles.begin());
  }
  return rows;
}

// All that the seed decides.
std::vector<Tensor> list_tensors(Network<float>& network, TrainingState& state, RandomState& random, Columns& columns) {
  const auto rows = static_cast<std::int64_t>(columns.step.size());
  std::vector<Tensor> all = network.tensors();
  all.push_back(make_scalar("optimizer.step", state.step));
  all.push_back(make_scalar("random.seed", random.seed));
  all.push_back(make_scalar("random.epoch", random.epoch));
  all.push_back(make_scalar("random.position", random.position));
  all.push_back(make_scalar("loss.sum", state.loss_sum));
  all.push_back(make_scalar("loss.count", state.loss_count));
  all.push_back(make_tensor("history.step", {rows}, std::span(columns.step)));
  all.push_back(make_tensor("history.train_loss", {rows}, std::span(columns.train_loss)));
  all.push_back(make_tensor("history.test_accuracy", {rows}, std::span(columns.test_accuracy)));
  all.push_back(make_tensor("history.percentiles", {rows, 3}, std::span(columns.percentiles)));
  return all;
}

// What differs from one run to the next, and a run goes on from.
std::vector<Tensor> list_times(TrainingState& state, Columns& columns) {
  const auto rows = static_cast<std::int64_t>(columns.step.size());
  return {make_scalar("seconds.train", state.train_seconds),
          make_scalar("seconds.norm_forward", state.norm_seconds.forward),
          make_scalar("seconds.norm_backward", state.norm_seconds.backward),
          make_tensor("history.seconds", {rows}, std::span(columns.seconds))};
}

std::vector<Tensor> list_all(Network<float>& network, TrainingState& state, RandomState& random, Columns& columns) {
  std::vector<Tensor> all = list_tensors(network, state, random, columns);
  std::ranges::move(list_times(state, columns), std::back_inserter(all));
  return all;
}

void check_setup(const std::filesystem::path& path, const Metadata& seen, const Setup& setup) {
  std::vector<std::string> differences;
  for (const auto& [key, wanted] : setup) {
    const auto found = seen.find(key);
    if (found == seen.end()) {
      differences.push_back(fmt::format("{} is missing, want {}", key, wanted));
    } else if (found->second != wanted) {
      differences.push_back(fmt::format("{} is {}, want {}", key, found->second, wanted));
    }
  }
  if (differences.empty()) return;
  throw tool::Failure("{}: a checkpoint of another run: {}", path.string(), fmt::join(differences, "; "));
}

// Bounded before memory is taken for that many rows.
std::size_t history_rows(const std::filesystem::path& path, const SafetensorsReader& reader) {
  const auto found = reader.entries().find("history.step");
  if (found == reader.entries().end()) throw tool::Failure("{}: tensor history.step is missing", path.string());
  const std::vector<std::int64_t>& shape = found->second.shape;
  if (shape.size() != 1 || shape[0] > max_history_rows) {
    throw tool::Failure("{}: history.step is [{}], want one dimension of at most {} rows", path.string(),
                        fmt::join(shape, ", "), max_history_rows);
  }
  return static_cast<std::size_t>(shape[0]);
}

void check_state(const std::filesystem::path& path, const TrainingState& state, std::int64_t max_step) {
  if (state.step < 0) throw tool::Failure("{}: corrupt, its step is {}", path.string(), state.step);
  if (state.step > max_step) {
    throw tool::Failure("{}: it is at step {}, past --steps {}", path.string(), state.step, max_step);
  }
  std::int64_t last = 0;
  for (const HistoryRow& row : state.rows) {
    if (row.step <= last || row.step > state.step) {
      throw tool::Failure("{}: corrupt, its history has step {} behind step {}", path.string(), row.step, last);
    }
    last = row.step;
  }
  if (state.loss_count != state.step - last) {
    throw tool::Failure("{}: corrupt, loss.count is {}, want {}", path.string(), state.loss_count, state.step - last);
  }
}

}  // namespace

void write_checkpoint(const std::filesystem::path& path, const Setup& setup, Network<float>& network,
                      TrainingState& state, RandomState random) {
  Columns columns = to_columns(state.rows);
  write_safetensors(path, list_all(network, state, random, columns), setup);
}

void write_model(const std::filesystem::path& path, const Setup& setup, Network<float>& network, TrainingState& state,
                 RandomState random) {
  Columns columns = to_columns(state.rows);
  write_safetensors(path, list_tensors(network, state, random, columns), setup);
}

RandomState read_checkpoint(const std::filesystem::path& path, const Setup& setup, std::int64_t max_step,
                            Network<float>& network, TrainingState& state) {
  SafetensorsReader reader(path);
  check_setup(path, reader.metadata(), setup);
  RandomState random;
  Columns columns(history_rows(path, reader));
  reader.read(list_all(network, state, random, columns));
  state.rows = to_rows(columns);
  check_state(path, state, max_step);
  return random;
}

}  // namespace unitvar::train
