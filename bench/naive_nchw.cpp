#include <omp.h>

#include <cstdio>
#include <cstring>
#include <vector>

#include "bench/data.hpp"
#include "bench/naive_batch_norm.hpp"
#include "bench/timing.hpp"
#include "unitvar/reference.hpp"
#include "unitvar/unitvar.hpp"

/// Plain NCHW floats: the library against a naive triple loop, and against memcpy of the same tensor (one read, one
/// write), which no forward pass can beat.
namespace unitvar::bench {
namespace {

constexpr float eps = 1e-5F;

/// Memory of one forward and backward, by whichever implementation.
struct Results {
  std::vector<float> y, dx, dgamma, dbeta, mean, rstd;
  std::vector<double> saved_mean, saved_rstd;
  explicit Results(const Extent& e)
      : y(static_cast<std::size_t>(e.size())),
        dx(y.size()),
        dgamma(static_cast<std::size_t>(e.channels)),
        dbeta(dgamma.size()),
        mean(dgamma.size()),
        rstd(dgamma.size()),
        saved_mean(dgamma.size()),
        saved_rstd(dgamma.size()) {}
};

class Shape {
 public:
  Shape(std::int64_t images, std::int64_t channels, std::int64_t side)
      : extent_(Extent::nchw(images, channels, side, side)),
        x_(random_values<float>(extent_.size(), 0.5, 1, 1)),
        dy_(random_values<float>(extent_.size(), 0, 1, 2)),
        gamma_(random_values<float>(channels, 1, 0.5, 3)),
        beta_(random_values<float>(channels, 0, 0.5, 4)),
        naive_(extent_),
        library_(extent_) {}

  void naive_forward(int threads) {
    bench::naive_forward(shape(), x_, gamma_, beta_, eps, naive_.y, naive_.mean, naive_.rstd, threads);
  }

  void naive_backward(int threads) {
    bench::naive_backward(shape(), x_, dy_, gamma_, naive_.mean, naive_.rstd, naive_.dx, naive_.dgamma, naive_.dbeta,
                          threads);
  }

  void library_forward(int threads) {
    batch_norm_forward<float>({.extent = extent_,
                               .x = x_,
                               .gamma = gamma_,
                               .beta = beta_,
                               .y = library_.y,
                               .mean = library_.saved_mean,
                               .rstd = library_.saved_rstd,
                               .eps = eps},
                              {.cpu = {.threads = threads}});
  }

  void library_backward(int threads) {
    batch_norm_backward<float>({.extent = extent_,
                                .x = x_,
                                .dy = dy_,
                                .mean = library_.saved_mean,
                                .rstd = library_.saved_rstd,
                                .gamma = gamma_,
                                .dx = library_.dx,
                                .dgamma = library_.dgamma,
                                .dbeta = library_.dbeta},
                               {.cpu = {.threads = threads}});
  }

  void copy(int threads) {
    const std::size_t size = x_.size();
#pragma omp parallel num_threads(threads)
    {
      const auto team = static_cast<std::size_t>(omp_get_num_threads());
      const auto member = static_cast<std::size_t>(omp_get_thread_num());
      const std::size_t begin = size * member / team, end = size * (member + 1) / team;
      std::memcpy(naive_.y.data() + begin, x_.data() + begin, (end - begin) * sizeof(float));
    }
  }

  /// Runs both once, at all of this size; ends the program unless they agree.
  void require_same_results() {
    run_once();
    require_close("y", library_.y, naive_.y, 1e-5);
    require_close("dx", library_.dx, naive_.dx, 1e-5);
    require_close("dgamma", library_.dgamma, naive_.dgamma, 1e-4);
  }

  /// Runs both once; ends the program unless each agrees with the reference.
  void require_reference_results() {
    run_once();
    const std::vector<double> x(x_.begin(), x_.end()), dy(dy_.begin(), dy_.end()), gamma(gamma_.begin(), gamma_.end()),
        beta(beta_.begin(), beta_.end());
    const auto f = reference::forward<double>(extent_, x, gamma, beta, eps);
    const auto b = reference::backward<double>(f.cache, dy);
    for (const Results* r : {&naive_, &library_}) {
      const double tolerance = r == &library_ ? 3e-7 : 1e-5;
      require_close("y", r->y, f.y, tolerance);
      require_close("dx", r->dx, b.dx, tolerance);
      require_close("dgamma", r->dgamma, b.dgamma, tolerance);
    }
  }

 private:
  [[nodiscard]] NaiveShape shape() const {
    return {static_cast<std::size_t>(extent_.outer), static_cast<std::size_t>(extent_.channels),
            static_cast<std::size_t>(extent_.inner)};
  }

  void run_once() {
    naive_forward(1);
    naive_backward(1);
    library_forward(1);
    library_backward(1);
  }

  Extent extent_;
  std::vector<float> x_, dy_, gamma_, beta_;
  Results naive_, library_;
};

void measure(std::int64_t channels, std::int64_t side) {
  Shape(4, channels, side).require_reference_results();
  Shape shape(32, channels, side);
  shape.require_same_results();
  for (const int threads : {1, 2}) {
    const auto t = median_seconds(
        {[&] { shape.copy(threads); }, [&] { shape.naive_forward(threads); }, [&] { shape.library_forward(threads); },
         [&] { shape.naive_backward(threads); }, [&] { shape.library_backward(threads); }},
        2);
    std::printf("| %lld x %lld x %lld | %d | %.2f | %.2f | %.2f | %.1f | %.2f | %.2f | %.2f | %.1f |\n",
                static_cast<long long>(channels), static_cast<long long>(side), static_cast<long long>(side), threads,
                t[0] * 1e3, t[1] * 1e3, t[2] * 1e3, t[1] / t[2], t[0] / t[2], t[3] * 1e3, t[4] * 1e3, t[3] / t[4]);
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace unitvar::bench

int main() {
  std::printf(
      "| C x H x W, N = 32 | threads | copy, ms | naive forward, ms | unitvar forward, ms | naive / unitvar | "
      "copy / unitvar | naive backward, ms | unitvar backward, ms | naive / unitvar |\n"
      "|---|---|---|---|---|---|---|---|---|---|\n");
  for (const auto& [channels, side] : {std::pair{64, 112}, {256, 56}, {512, 28}, {1024, 14}, {2048, 7}}) {
    unitvar::bench::measure(channels, side);
  }
}
