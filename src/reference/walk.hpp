#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "unitvar/extent.hpp"

/// How the reference walks a tensor: one function for "for every element", one for "sum over the batch".
namespace unitvar::reference::detail {

template <class R>
constexpr R number(std::int64_t n) {
  return static_cast<R>(n);
}

/// f(c, e) for every element e of every channel c.
template <class F>
void for_each_element(const Extent& extent, F f) {
  for (std::int64_t o = 0; o < extent.outer; ++o) {
    for (std::int64_t c = 0; c < extent.channels; ++c) {
      for (std::int64_t i = 0; i < extent.inner; ++i) {
        f(static_cast<std::size_t>(c), static_cast<std::size_t>(extent.index(o, c, i)));
      }
    }
  }
}

/// Sum of term(j) for begin <= j < end, by halves: the rounding error grows with log2 of the length.
template <class R, class Term>
R pairwise_sum(std::int64_t begin, std::int64_t end, Term& term) {
  if (end - begin > 16) {
    const std::int64_t middle = begin + (end - begin) / 2;
    return pairwise_sum<R>(begin, middle, term) + pairwise_sum<R>(middle, end, term);
  }
  R sum = 0;
  for (std::int64_t j = begin; j < end; ++j) sum += term(j);
  return sum;
}

/// Per channel c, the sum of term(c, e) over its N elements e.
template <class R, class Term>
std::vector<R> channel_sums(const Extent& extent, Term term) {
  std::vector<R> sums(static_cast<std::size_t>(extent.channels));
  for (std::int64_t c = 0; c < extent.channels; ++c) {
    auto nth = [&](std::int64_t j) {
      const std::int64_t e = extent.index(j / extent.inner, c, j % extent.inner);
      return term(static_cast<std::size_t>(c), static_cast<std::size_t>(e));
    };
    sums[static_cast<std::size_t>(c)] = pairwise_sum<R>(0, extent.count(), nth);
  }
  return sums;
}

/// channel_sums divided by N; 0 for an empty batch.
template <class R, class Term>
std::vector<R> channel_means(const Extent& extent, Term term) {
  std::vector<R> means = channel_sums<R>(extent, term);
  if (extent.outer == 0) return means;
  for (R& value : means) value /= number<R>(extent.count());
  return means;
}

}  // namespace unitvar::reference::detail
