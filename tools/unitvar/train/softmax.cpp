#include "train/softmax.hpp"

#include <algorithm>
#include <cmath>

namespace unitvar::train {
namespace {

// Returns the cross-entropy of one row, which becomes softmax(row) - one_hot(label).
template <class T>
double softmax_row(std::span<T> row, std::size_t label) {
  const T top = *std::ranges::max_element(row);  // subtracted, so that exp cannot overflow
  const auto at_label = static_cast<double>(row[label] - top);
  T sum = 0;
  for (T& value : row) sum += value = std::exp(value - top);
  for (T& value : row) value /= sum;
  row[label] -= 1;
  return std::log(static_cast<double>(sum)) - at_label;
}

}  // namespace

template <class T>
double softmax_cross_entropy(std::span<T> logits, std::span<const std::uint8_t> labels, std::int64_t all_rows) {
  const std::size_t width = logits.size() / labels.size();
  double loss = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) loss += softmax_row(logits.subspan(i * width, width), labels[i]);
  const T scale = T{1} / static_cast<T>(all_rows);
  for (T& value : logits) value *= scale;
  return loss / static_cast<double>(all_rows);
}

template <class T>
std::int64_t count_correct(std::span<const T> logits, std::span<const std::uint8_t> labels) {
  const std::size_t width = logits.size() / labels.size();
  std::int64_t correct = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = logits.subspan(i * width, width);
    correct += std::ranges::max_element(row) - row.begin() == labels[i];
  }
  return correct;
}

template double softmax_cross_entropy(std::span<float>, std::span<const std::uint8_t>, std::int64_t);
template double softmax_cross_entropy(std::span<double>, std::span<const std::uint8_t>, std::int64_t);
template std::int64_t count_correct(std::span<const float>, std::span<const std::uint8_t>);
template std::int64_t count_correct(std::span<const double>, std::span<const std::uint8_t>);

}  // namespace unitvar::train
