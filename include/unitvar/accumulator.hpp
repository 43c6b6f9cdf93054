#pragma once
#include <cstdint>
#include <memory>
#include <span>

#include "unitvar/api.hpp"
#include "unitvar/dtype.hpp"
#include "unitvar/extent.hpp"
#include "unitvar/options.hpp"

/// Phases 1 and 3 of unitvar/phases.hpp, fed tile by tile by what computes x or dy, while a tile is in its cache (Jung
/// et al., MLSys 2019). One pass over memory remains: normalize, or input_gradient. A channels-last convolution:
///
///   MomentsAccumulator<float> accumulator(extent);
///   for (std::int64_t t = 0; t < accumulator.tiles(); ++t) {
///     multiply rows [tile(t).outer, tile(t).outer + tile(t).outers) into x
///     accumulator.add(t, 0, C, x);
///   }
///   accumulator.finish(mean, m2);  // then finish_moments and normalize
///
/// The tiles are those that moments() and gradient_sums() cut a channel into, and are merged in the same tree. So the
/// results have the same bits as theirs, and as batch_norm_forward's and batch_norm_backward's. Neither the order of
/// the tiles nor the cut of the channels changes a bit.
///
/// Common to both accumulators:
/// - Every tile of every channel is added once. Calls of add and add_block for different tiles or different channels
///   may run at the same time; finish and clear by themselves. The object must not be in use elsewhere while it is
///   moved.
/// - Tensors are of T in the order of Extent, parameters and statistics as in phases.hpp. The accumulator keeps no
///   pointer to x or dy.
/// - Each add adds to the counts in Options, if there are some, for as long as the object lives. Adds to one object, or
///   to several with the same counts, may run at the same time. Read the counts when none does.
/// - Between the rows of a block, up to 15 elements behind each may be read. Their values do not matter.
/// - Errors are thrown as Error, by the constructor as in phases.hpp, by the others before anything changes:
///   bad_argument (tile, channels or stride out of range), wrong_length, null_data, overlap, bad_state (a tile of a
///   channel added a second time, or missing at the finish).
/// - add and add_block work in the calling thread; finish in up to options.cpu.threads. A communicator is ignored:
/// merge
///   the results of ranks by merge_moments, or add them.
/// - Memory: 17 bytes for each tile of each channel. Accuracy is that of phases.hpp.
namespace unitvar {

namespace cpu {
/// Visible because a pointer to it is a member of what is visible; its functions are not.
template <class T>
class UNITVAR_API TilePairs;
}  // namespace cpu

/// A rectangle of each channel: of the outer indices from `outer` on, `outers`, and of the inner ones, `inners`.
struct TileRange {
  std::int64_t outer, outers;
  std::int64_t inner, inners;

  friend constexpr bool operator==(const TileRange&, const TileRange&) = default;
};

/// What both accumulators share.
template <class T>
class UNITVAR_API TileAccumulator {
 public:
  TileAccumulator(TileAccumulator&&) noexcept;
  TileAccumulator& operator=(TileAccumulator&&) noexcept;

  /// What tiles are cut from: the extent as given, but a single channel is one row, {1, 1, outer * inner}.
  [[nodiscard]] const Extent& extent() const noexcept;
  /// Tiles of each channel; a function of the extent alone. None in an empty batch.
  [[nodiscard]] std::int64_t tiles() const noexcept;
  /// Where tile t lies. They follow each other by outer index first.
  [[nodiscard]] TileRange tile(std::int64_t t) const;
  /// Forgets what was added.
  void clear() noexcept;

 protected:
  TileAccumulator(const char* operation, const Extent& extent, const Options& options, std::int64_t tensors);
  ~TileAccumulator();

  std::unique_ptr<cpu::TilePairs<T>> pairs_;
};

/// Phase 1: mean and M2 of x.
template <class T>
class UNITVAR_API MomentsAccumulator : public TileAccumulator<T> {
 public:
  explicit MomentsAccumulator(const Extent& extent, const Options& options = {});

  /// Adds tile t of channels [begin, end). x is the whole tensor, extent().size() elements, of which the tile is read.
  void add(std::int64_t t, std::int64_t begin, std::int64_t end, std::span<const T> x);
  /// The same from a block. Element (o, c, i) of the tile is block[o * stride + c * inners + i]. o and i count from the
  /// tile's first element, c from channel `begin`. The stride is a multiple of inners, and at least
  /// (end - begin) * inners.
  void add_block(std::int64_t t, std::int64_t begin, std::int64_t end, std::span<const T> block, std::int64_t stride);

  /// The merged result, C each, as from moments(). The accumulator is then empty again, for the next batch.
  void finish(std::span<double> mean, std::span<double> m2);

 private:
  using TileAccumulator<T>::pairs_;
};

/// Phase 3: sums of dy and dy * (x - mean), fed by what computes dy.
template <class T>
class UNITVAR_API GradientSumsAccumulator : public TileAccumulator<T> {
 public:
  /// `mean` (C, the forward's, over all ranks) is not copied. It must stay as it is from the first add to the finish.
  GradientSumsAccumulator(const Extent& extent, std::span<const double> mean, const Options& options = {});

  /// Adds tile t of channels [begin, end) of two whole tensors, or of two blocks that lie in memory alike.
  void add(std::int64_t t, std::int64_t begin, std::int64_t end, std::span<const T> x, std::span<const T> dy);
  void add_block(std::int64_t t, std::int64_t begin, std::int64_t end, std::span<const T> x, std::span<const T> dy,
                 std::int64_t stride);

  /// The merged sums, C each, as from gradient_sums(). The accumulator is then empty again, for the next batch.
  void finish(std::span<double> sum_dy, std::span<double> sum_dy_xmu);

 private:
  using TileAccumulator<T>::pairs_;
  std::span<const double> mean_;
};

}  // namespace unitvar
