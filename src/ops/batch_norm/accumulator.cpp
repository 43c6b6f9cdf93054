#include "unitvar/accumulator.hpp"

#include <string>

#include "core/arguments.hpp"
#include "core/standard_arithmetic.hpp"
#include "cpu/passes/tile_pairs.hpp"
#include "cpu/plan/merge_tiles.hpp"
#include "cpu/runtime/check_options.hpp"

namespace unitvar {
namespace {

using core::Arguments;
using cpu::TilePhases;
using cpu::WorkItem;
using math::ChannelPairs;
using std::int64_t;

/// What add_block is given: so many channels of a tile, in memory of this stride that may hold more than they need.
class PieceCheck {
 public:
  PieceCheck(Arguments& check, const cpu::Tile& tile, int64_t channels, int64_t stride) : check_(check) {
    const int64_t row = channels * tile.cols;
    if (stride < row || stride % tile.cols != 0 || __builtin_mul_overflow(stride, tile.rows - 1, &length_) ||
        __builtin_add_overflow(length_, row, &length_)) {
      check.fail(ErrorCode::bad_argument, "stride is " + std::to_string(stride) + ", want a multiple of " +
                                              std::to_string(tile.cols) + ", " + std::to_string(row) + " or more");
    }
    if (channels == 0) length_ = 0;
  }

  template <class T>
  void input(const char* name, std::span<const T> piece) const {
    const auto length = static_cast<std::size_t>(length_);
    if (piece.size() < length) {
      check_.fail(ErrorCode::wrong_length, std::string(name) + " has " + std::to_string(piece.size()) +
                                               " elements, want " + std::to_string(length) + " or more");
    }
    check_.input(name, piece.first(length), {length_, "the tile"});
  }

 private:
  Arguments& check_;
  int64_t length_ = 0;
};

}  // namespace

template <class T>
TileAccumulator<T>::TileAccumulator(const char* operation, const Extent& extent, const Options& options,
                                    int64_t tensors) {
  check_extent(operation, extent, sizeof(T));
  cpu::check_options(Arguments(operation), options);
  pairs_ = std::make_unique<cpu::TilePairs<T>>(extent, options, tensors);
}
template <class T>
TileAccumulator<T>::~TileAccumulator() = default;
template <class T>
TileAccumulator<T>::TileAccumulator(TileAccumulator&&) noexcept = default;
template <class T>
TileAccumulator<T>& TileAccumulator<T>::operator=(TileAccumulator&&) noexcept = default;

template <class T>
const Extent& TileAccumulator<T>::extent() const noexcept {
  return pairs_->tiling().extent;
}

template <class T>
int64_t TileAccumulator<T>::tiles() const noexcept {
  return pairs_->tiling().tiles();
}

template <class T>
TileRange TileAccumulator<T>::tile(int64_t t) const {
  pairs_->check_tile(Arguments("TileAccumulator::tile"), t);
  const cpu::Tile tile = pairs_->tiling().tile(t);
  return {tile.row, tile.rows, tile.col, tile.cols};
}

template <class T>
void TileAccumulator<T>::clear() noexcept {
  pairs_->clear();
}

template <class T>
MomentsAccumulator<T>::MomentsAccumulator(const Extent& extent, const Options& options)
    : TileAccumulator<T>("MomentsAccumulator", extent, options, 1) {}

template <class T>
void MomentsAccumulator<T>::add(int64_t t, int64_t begin, int64_t end, std::span<const T> x) {
  const core::StandardArithmetic arithmetic;
  Arguments check("MomentsAccumulator::add");
  pairs_->check_new(check, t, begin, end);
  check.input("x", x, {this->extent().size(), "N*C*S"});
  pairs_->check_counts(check);
  pairs_->add(t, begin, end, pairs_->whole(t),
              [&](const TilePhases<T>& phases, const WorkItem& item, ChannelPairs out) {
                phases.moments(x.data(), item, out);
              });
}

template <class T>
void MomentsAccumulator<T>::add_block(int64_t t, int64_t begin, int64_t end, std::span<const T> block, int64_t stride) {
  const core::StandardArithmetic arithmetic;
  Arguments check("MomentsAccumulator::add_block");
  pairs_->check_new(check, t, begin, end);
  PieceCheck(check, pairs_->tiling().tile(t), end - begin, stride).input("block", block);
  pairs_->check_counts(check);
  pairs_->add(t, begin, end, pairs_->piece(t, begin, stride),
              [&](const TilePhases<T>& phases, const WorkItem& item, ChannelPairs out) {
                phases.moments(block.data(), item, out);
              });
}

template <class T>
void MomentsAccumulator<T>::finish(std::span<double> mean, std::span<double> m2) {
  const core::StandardArithmetic arithmetic;
  Arguments check("MomentsAccumulator::finish");
  check.output("mean", mean, {pairs_->channels(), "C"});
  check.output("m2", m2, {pairs_->channels(), "C"});
  check.no_overlap();
  pairs_->check_counts(check);
  pairs_->check_complete(check);
  pairs_->finish([&](int64_t begin, int64_t end, const cpu::TileLeaves& leaves) {
    const cpu::Tiling& tiling = pairs_->tiling();
    const auto count = [&](std::int64_t i, std::int64_t j) { return tiling.count(i, j); };
    cpu::merge_tile_moments(tiling, count, begin, end, leaves, mean.data(), m2.data());
  });
}

template <class T>
GradientSumsAccumulator<T>::GradientSumsAccumulator(const Extent& extent, std::span<const double> mean,
                                                    const Options& options)
    : TileAccumulator<T>("GradientSumsAccumulator", extent, options, 2), mean_(mean) {
  Arguments check("GradientSumsAccumulator");
  check.input("mean", mean, {extent.channels, "C"});
  pairs_->check_counts(check);
}

template <class T>
void GradientSumsAccumulator<T>::add(int64_t t, int64_t begin, int64_t end, std::span<const T> x,
                                     std::span<const T> dy) {
  const core::StandardArithmetic arithmetic;
  Arguments check("GradientSumsAccumulator::add");
  pairs_->check_new(check, t, begin, end);
  check.input("x", x, {this->extent().size(), "N*C*S"});
  check.input("dy", dy, {this->extent().size(), "N*C*S"});
  pairs_->check_counts(check);
  pairs_->add(t, begin, end, pairs_->whole(t),
              [&](const TilePhases<T>& phases, const WorkItem& item, ChannelPairs out) {
                phases.gradient_sums(x.data(), dy.data(), item, mean_.data(), out);
              });
}

template <class T>
void GradientSumsAccumulator<T>::add_block(int64_t t, int64_t begin, int64_t end, std::span<const T> x,
                                           std::span<const T> dy, int64_t stride) {
  const core::StandardArithmetic arithmetic;
  Arguments check("GradientSumsAccumulator::add_block");
  pairs_->check_new(check, t, begin, end);
  const PieceCheck piece(check, pairs_->tiling().tile(t), end - begin, stride);
  piece.input("x", x);
  piece.input("dy", dy);
  pairs_->check_counts(check);
  const double* const mean = mean_.data() + begin;
  pairs_->add(t, begin, end, pairs_->piece(t, begin, stride),
              [&](const TilePhases<T>& phases, const WorkItem& item, ChannelPairs out) {
                phases.gradient_sums(x.data(), dy.data(), item, mean, out);
              });
}

template <class T>
void GradientSumsAccumulator<T>::finish(std::span<double> sum_dy, std::span<double> sum_dy_xmu) {
  const core::StandardArithmetic arithmetic;
  Arguments check("GradientSumsAccumulator::finish");
  check.output("sum_dy", sum_dy, {pairs_->channels(), "C"});
  check.output("sum_dy_xmu", sum_dy_xmu, {pairs_->channels(), "C"});
  check.no_overlap();
  pairs_->check_counts(check);
  pairs_->check_complete(check);
  pairs_->finish([&](int64_t begin, int64_t end, const cpu::TileLeaves& leaves) {
    cpu::merge_tile_sums(pairs_->tiling(), begin, end, leaves, sum_dy.data(), sum_dy_xmu.data());
  });
}

#define UNITVAR_INSTANTIATE(T)          \
  template class TileAccumulator<T>;    \
  template class MomentsAccumulator<T>; \
  template class GradientSumsAccumulator<T>;
UNITVAR_FOR_EACH_DTYPE(UNITVAR_INSTANTIATE)

}  // namespace unitvar
