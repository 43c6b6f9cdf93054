#pragma once
#include <cstdint>
#include <span>

namespace unitvar::train {

/// Cross-entropy of softmax(logits) against the labels, the sum over these rows / all_rows: the mean, or this rank's
/// part of it. The logits are replaced by its gradient, (softmax(logits) - one_hot(label)) / all_rows.
template <class T>
double softmax_cross_entropy(std::span<T> logits, std::span<const std::uint8_t> labels, std::int64_t all_rows);

/// How many rows have their greatest logit at their label; the first of several greatest counts.
template <class T>
std::int64_t count_correct(std::span<const T> logits, std::span<const std::uint8_t> labels);

}  // namespace unitvar::train
