#include "bits.hpp"

/// Group and instance normalization, and layer and RMS normalization, also behind a residual.
namespace unitvar::cross {
namespace {

/// Channels first and last; groups of a few channels, and of one.
const Groups groups[] = {{{3, 6, 49}, 1, 2}, {{2, 4, 4097}, 1, 2}, {{2 * 49, 6, 1}, 49, 2}, {{5, 3, 784}, 1, 3}};

const Groups instances[] = {{{3, 6, 49}}, {{2, 4, 4097}}, {{2 * 49, 6, 1}, 49}};

constexpr RowExtent row_extents[] = {{5, 784}, {37, 100}, {131, 64}, {2, 17}, {3, 16384}};

/// What forward, backward and double backward give. An operation without a mean, or a caller who does not ask for
/// grad_gamma, leaves that empty.
template <class T>
struct NormResults {
  NormResults(std::int64_t size, std::int64_t parameters, std::int64_t statistics)
      : y(results<T>(size)),
        dx(y),
        grad_x(y),
        grad_dy(y),
        dgamma(results<param_t<T>>(parameters)),
        dbeta(dgamma),
        grad_gamma(dgamma),
        mean(results<double>(statistics)),
        rstd(mean) {}

  void add_to(Line& line) const {
    line.add("y", y);
    if (!mean.empty()) line.add("mean", mean);
    line.add("rstd", rstd).add("dx", dx).add("dgamma", dgamma).add("dbeta", dbeta);
    line.add("grad_x", grad_x).add("grad_dy", grad_dy);
    if (!grad_gamma.empty()) line.add("grad_gamma", grad_gamma);
  }

  std::vector<T> y, dx, grad_x, grad_dy;
  std::vector<param_t<T>> dgamma, dbeta, grad_gamma;
  std::vector<double> mean, rstd;
};

template <class T>
void write_groups(Report& report, const Groups& g, const Kind& kind) {
  const Inputs<T> in(g.extent.size(), g.extent.channels, kind);
  NormResults<T> r(g.extent.size(), g.extent.channels, g.size());
  call([&] {
    group_norm_forward<T>({g, in.x, in.gamma, in.beta, r.y, r.mean, r.rstd, kind.eps}, three_threads);
    group_norm_backward<T>({g, in.x, in.dy, r.mean, r.rstd, in.gamma, r.dx, r.dgamma, r.dbeta}, three_threads);
    group_norm_double_backward<T>(
        {g, in.x, in.dy, r.mean, r.rstd, in.gamma, in.v, in.u, in.w, r.grad_x, r.grad_dy, r.grad_gamma}, three_threads);
  });
  r.add_to(report.line<T>("group norm", kind));
}

template <class T>
void write_instances(Report& report, const Groups& g, const Kind& kind) {
  const Inputs<T> in(g.extent.size(), g.extent.channels, kind);
  NormResults<T> r(g.extent.size(), g.extent.channels, g.size());
  r.grad_gamma.clear();
  call([&] {
    instance_norm_forward<T>({g, in.x, in.gamma, in.beta, r.y, r.mean, r.rstd, kind.eps}, three_threads);
    instance_norm_backward<T>({g, in.x, in.dy, r.mean, r.rstd, in.gamma, r.dx, r.dgamma, r.dbeta}, three_threads);
    instance_norm_double_backward<T>(
        {g, in.x, in.dy, r.mean, r.rstd, in.gamma, in.v, in.u, in.w, r.grad_x, r.grad_dy, {}}, three_threads);
  });
  r.add_to(report.line<T>("instance norm", kind));
}

template <class T>
void write_layer_norm(Report& report, const RowExtent& e, const Kind& kind) {
  const Inputs<T> in(e.size(), e.length, kind);
  NormResults<T> r(e.size(), e.length, e.rows);
  call([&] {
    layer_norm_forward<T>({e, in.x, in.gamma, in.beta, r.y, r.mean, r.rstd, kind.eps}, three_threads);
    layer_norm_backward<T>({e, in.x, in.dy, r.mean, r.rstd, in.gamma, r.dx, r.dgamma, r.dbeta}, three_threads);
    layer_norm_double_backward<T>(
        {e, in.x, in.dy, r.mean, r.rstd, in.gamma, in.v, in.u, in.w, r.grad_x, r.grad_dy, r.grad_gamma}, three_threads);
  });
  r.add_to(report.line<T>("layer norm", kind));
}

template <class T>
void write_rms_norm(Report& report, const RowExtent& e, const Kind& kind) {
  const Inputs<T> in(e.size(), e.length, kind);
  NormResults<T> r(e.size(), e.length, e.rows);
  r.mean.clear();
  call([&] {
    rms_norm_forward<T>({e, in.x, in.gamma, in.beta, r.y, r.rstd, kind.eps}, three_threads);
    rms_norm_backward<T>({e, in.x, in.dy, r.rstd, in.gamma, r.dx, r.dgamma, r.dbeta}, three_threads);
    rms_norm_double_backward<T>({e, in.x, in.dy, r.rstd, in.gamma, in.v, in.u, in.w, r.grad_x, r.grad_dy, r.grad_gamma},
                                three_threads);
  });
  r.add_to(report.line<T>("rms norm", kind));
}

/// What forward and backward give behind a residual, which is v; dh is v as well. gamma stands for 1 + gamma.
template <class T>
struct AddResults {
  explicit AddResults(const RowExtent& e)
      : y(results<T>(e.size())),
        h(y),
        dx(y),
        dgamma(results<param_t<T>>(e.length)),
        dbeta(dgamma),
        mean(results<double>(e.rows)),
        rstd(mean) {}

  void add_to(Line& line, bool has_mean) const {
    line.add("y", y).add("h", h);
    if (has_mean) line.add("mean", mean);
    line.add("rstd", rstd).add("dx", dx).add("dgamma", dgamma).add("dbeta", dbeta);
  }

  std::vector<T> y, h, dx;
  std::vector<param_t<T>> dgamma, dbeta;
  std::vector<double> mean, rstd;
};

template <class T>
void write_layer_norm_add(Report& report, const RowExtent& e, const Kind& kind) {
  const Inputs<T> in(e.size(), e.length, kind);
  AddResults<T> r(e);
  call([&] {
    layer_norm_add_forward<T>({e, in.x, in.v, in.gamma, in.beta, r.y, r.h, r.mean, r.rstd, kind.eps, true},
                              three_threads);
    layer_norm_add_backward<T>({e, r.h, in.dy, in.v, r.mean, r.rstd, in.gamma, r.dx, r.dgamma, r.dbeta, true},
                               three_threads);
  });
  r.add_to(report.line<T>("layer norm add", kind), true);
}

template <class T>
void write_rms_norm_add(Report& report, const RowExtent& e, const Kind& kind) {
  const Inputs<T> in(e.size(), e.length, kind);
  AddResults<T> r(e);
  call([&] {
    rms_norm_add_forward<T>({e, in.x, in.v, in.gamma, in.beta, r.y, r.h, r.rstd, kind.eps, true}, three_threads);
    rms_norm_add_backward<T>({e, r.h, in.dy, in.v, r.rstd, in.gamma, r.dx, r.dgamma, r.dbeta, true}, three_threads);
  });
  r.add_to(report.line<T>("rms norm add", kind), false);
}

}  // namespace

void write_group_norm(Report& report) {
  for (const Groups& g : groups) {
    for (const Kind& kind : kinds) {
#define UNITVAR_WRITE(T) write_groups<T>(report, g, kind);
      UNITVAR_FOR_EACH_DTYPE(UNITVAR_WRITE)
#undef UNITVAR_WRITE
    }
  }
}

void write_instance_norm(Report& report) {
  for (const Groups& g : instances) {
    for (const Kind& kind : kinds) {
#define UNITVAR_WRITE(T) write_instances<T>(report, g, kind);
      UNITVAR_FOR_EACH_DTYPE(UNITVAR_WRITE)
#undef UNITVAR_WRITE
    }
  }
}

void write_row_norms(Report& report) {
  for (const RowExtent& extent : row_extents) {
    for (const Kind& kind : kinds) {
#define UNITVAR_WRITE(T)                     \
  write_layer_norm<T>(report, extent, kind); \
  write_rms_norm<T>(report, extent, kind);
      UNITVAR_FOR_EACH_DTYPE(UNITVAR_WRITE)
#undef UNITVAR_WRITE
    }
  }
  for (const RowExtent& extent : row_extents) {
    for (const Kind& kind : kinds) {
#define UNITVAR_WRITE(T)                         \
  write_layer_norm_add<T>(report, extent, kind); \
  write_rms_norm_add<T>(report, extent, kind);
      UNITVAR_FOR_EACH_DTYPE(UNITVAR_WRITE)
#undef UNITVAR_WRITE
    }
  }
}

}  // namespace unitvar::cross
