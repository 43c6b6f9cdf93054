#pragma once
#include <cstdint>
#include <span>

namespace unitvar::train {

/// Mean cross-entropy of softmax(logits) against the labels; the logits are replaced by its gradient,
/// (softmax(logits) - one_hot(label)) / rows.
template <class T>
double softmax_cross_entropy(std::span<T> logits, std::span<const std::uint8_t> labels);

/// How many rows have their greatest logit at their label; the first of several greatest counts.
template <class T>
std::int64_t count_correct(std::span<const T> logits, std::span<const std::uint8_t> labels);

}  // namespace unitvar::train
