#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/shape.hpp"
#include "bench/versions/call.hpp"

namespace unitvar::versions {

/// A call on random data, and its arrays: of values for inputs, of zeros for results.
class Problem {
 public:
  /// The suite's name stands in the group; `pass` may be changed later.
  Problem(std::string suite, const bench::Shape& shape, Op op, bench::Layout layout, Dtype dtype, int threads);

  void set_pass(Pass pass) { call_.pass = pass; }
  [[nodiscard]] const Call& call() const { return call_; }
  [[nodiscard]] std::string group() const;  ///< "resnet_50, channels_last, f32, backward": what a mean is taken over
  [[nodiscard]] std::string text() const { return text_; }

  void clear_results();
  [[nodiscard]] std::uint64_t hash_of_results() const;

 private:
  using Bytes = std::vector<unsigned char>;

  std::string suite_, layout_, text_;
  Call call_;
  Bytes x_, dy_, gamma_, beta_;
  std::vector<Bytes> results_;
};

/// Every call of a suite of `unitvar bench`: batch norm, but layer and RMS norm of "rows", and group norm of "groups".
/// Throws tool::Failure for names that are none.
void for_each_problem(const std::string& suite, const std::string& dtype, int threads,
                      const std::function<void(Problem&)>& body);

}  // namespace unitvar::versions
