#include <deque>

#include "bits.hpp"

/// The layer as an object, statistics of several batches, and a batch on two ranks.
namespace unitvar::cross {
namespace {

constexpr Extent few_extents[] = {{33, 7, 49}, {60, 100, 1}, {2, 3, 4097}};

template <class V>
std::vector<V> copy_of(std::span<const V> values) {
  return {values.begin(), values.end()};
}

template <class T>
void write_object(Report& report, const Extent& e, const Kind& kind) {
  const Inputs<T> in(e.size(), e.channels, kind);
  auto y = results<T>(e.size()), inference = y, dx = y;
  BatchNorm<T> layer(e.channels, {.eps = kind.eps, .options = three_threads});
  call([&] {
    layer.forward(e, in.x, y);
    layer.infer(e, in.x, inference);
    layer.backward(e, in.x, in.dy, dx);
  });
  const BatchNorm<T>& after = layer;
  report.line<T>("layer", kind)
      .add("y", y)
      .add("inference", inference)
      .add("dx", dx)
      .add("dgamma", copy_of(after.dgamma()))
      .add("dbeta", copy_of(after.dbeta()))
      .add("running-mean", copy_of(after.running_mean()))
      .add("running-var", copy_of(after.running_var()));
}

/// x and v are two batches.
template <class T>
void write_statistics_of(Report& report, const Extent& e, const Kind& kind) {
  const Inputs<T> in(e.size(), e.channels, kind);
  auto mean = results<double>(e.channels), m2 = mean, v_mean = mean, v_m2 = mean, running_mean = mean;
  std::vector<double> running_var(mean.size(), 1);
  const auto count = static_cast<double>(e.count());
  call([&] {
    moments<T>({e, in.x, mean, m2}, three_threads);
    moments<T>({e, in.v, v_mean, v_m2}, three_threads);
    merge_moments(count, mean, m2, count, v_mean, v_m2);
    update_running_statistics({running_mean, running_var}, count, mean, m2);
  });
  report.line<T>("statistics", kind)
      .add("mean", mean)
      .add("m2", m2)
      .add("running-mean", running_mean)
      .add("running-var", running_var);
}

/// One rank of two, which make their calls one after the other: rank 1 sends frames and gets none, rank 0 gets them.
class RankOfTwo final : public Communicator {
 public:
  using Frames = std::deque<std::vector<std::byte>>;

  RankOfTwo(int rank, Frames& frames) : Communicator(rank, 2, {.block_channels = 64}), frames_(frames) {}

 private:
  void do_start() override {
    if (rank() == 1) {
      frames_.emplace_back(frame(), frame() + frame_bytes());
      return;
    }
    call([&] { merge_frames(frames_.front().data(), frame()); });
    frames_.pop_front();
  }
  void do_wait() override {}

  Frames& frames_;
};

template <class T>
void write_two_ranks(Report& report, const Extent& e, const Kind& kind) {
  const Inputs<T> in(e.size(), e.channels, kind);
  auto y = results<T>(e.size()), dx = y;
  auto mean = results<double>(e.channels), var = mean, rstd = mean;
  RankOfTwo::Frames frames;
  RankOfTwo one(1, frames), zero(0, frames);
  const auto forward = [&](const std::vector<T>& x, Communicator& ranks) {
    call([&] {
      batch_norm_forward<T>({e, x, in.gamma, in.beta, y, mean, var, rstd, kind.eps},
                            {.cpu = {.threads = 3}, .communicator = &ranks});
    });
  };
  const auto backward = [&](const std::vector<T>& x, Communicator& ranks) {
    call([&] {
      batch_norm_backward<T>(
          {.extent = e, .x = x, .dy = in.dy, .mean = mean, .rstd = rstd, .gamma = in.gamma, .dx = dx},
          {.cpu = {.threads = 3}, .communicator = &ranks});
    });
  };
  forward(in.v, one), forward(in.x, zero);
  backward(in.v, one), backward(in.x, zero);
  report.line<T>("two ranks", kind).add("y", y).add("mean", mean).add("var", var).add("rstd", rstd).add("dx", dx);
}

}  // namespace

void write_layers_and_ranks(Report& report) {
  for (const Extent& extent : few_extents) {
    for (const Kind& kind : kinds) {
#define UNITVAR_WRITE(T)                        \
  write_object<T>(report, extent, kind);        \
  write_statistics_of<T>(report, extent, kind); \
  write_two_ranks<T>(report, extent, kind);
      UNITVAR_FOR_EACH_DTYPE(UNITVAR_WRITE)
#undef UNITVAR_WRITE
    }
  }
}

}  // namespace unitvar::cross
