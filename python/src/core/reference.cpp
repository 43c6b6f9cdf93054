#include "unitvar/reference.hpp"

#include <nanobind/stl/string.h>

#include <memory>
#include <vector>

#include "module.hpp"

// The derivation as code, in double: closed forms, staged graph, Jacobian, partials.
namespace unitvar::python {
namespace {

using Values = std::span<const double>;

/// An array that owns the values.
nb::object owned(std::vector<double> values) {
  auto* kept = new std::vector<double>(std::move(values));
  const nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<double>*>(p); });
  return nb::cast(nb::ndarray<nb::numpy, double, nb::ndim<1>>(kept->data(), {kept->size()}, owner));
}
nb::tuple owned(reference::Gradients<double> g) {
  return nb::make_tuple(owned(std::move(g.dx)), owned(std::move(g.dgamma)), owned(std::move(g.dbeta)));
}

reference::Gradients<double> backward_by(const std::string& form, const Extent& extent, Values x, Values dy,
                                         Values gamma, double eps) {
  const auto forward = reference::forward<double>(extent, x, gamma, {}, eps);
  const reference::Cache<double>& cache = forward.cache;
  if (form == "closed") return reference::backward<double>(cache, dy);
  if (form == "one_line") return reference::backward_one_line<double>(cache, dy);
  if (form == "dx_hat") return reference::backward_dx_hat_form<double>(cache, dy);
  if (form == "sums") return reference::backward_sums_form<double>(cache, dy);
  if (form == "matrix") {
    return reference::backward_matrix_form<double>(extent, x, cache.mean, cache.var, cache.gamma, eps, dy);
  }
  if (form == "phases") {
    return reference::backward_phases_form<double>(extent, x, cache.mean, cache.rstd, cache.gamma, dy);
  }
  if (form == "partials") return reference::backward_partials<double>(cache, x, dy);
  if (form == "jacobian") return reference::backward_jacobian<double>(cache, dy);
  throw nb::value_error(("reference.backward: form is '" + form +
                         "', want closed, one_line, dx_hat, sums, matrix, phases, partials or jacobian")
                            .c_str());
}

nb::dict staged(const Extent& extent, Values x, Values dy, Values gamma, Values beta, double eps) {
  const auto f = reference::staged_forward<double>(extent, x, gamma, beta, eps);
  const auto b = reference::staged_backward<double>(f, dy);
  nb::dict d;
  const auto put = [&](const char* name, const std::vector<double>& values) { d[name] = owned(values); };
  put("mean", f.mean);
  put("xmu", f.xmu);
  put("sq", f.sq);
  put("var", f.var);
  put("sqrtvar", f.sqrtvar);
  put("rstd", f.rstd);
  put("x_hat", f.x_hat);
  put("gammax", f.gammax);
  put("y", f.y);
  put("dbeta", b.dbeta);
  put("dgammax", b.dgammax);
  put("dgamma", b.dgamma);
  put("dx_hat", b.dx_hat);
  put("drstd", b.drstd);
  put("dxmu1", b.dxmu1);
  put("dsqrtvar", b.dsqrtvar);
  put("dvar", b.dvar);
  put("dsq", b.dsq);
  put("dxmu2", b.dxmu2);
  put("dmean", b.dmean);
  put("dx1", b.dx1);
  put("dx2", b.dx2);
  put("dx", b.dx);
  return d;
}

void define_partials(nb::module_& m) {
  using nb::arg;
  m.def(
      "partial_y_x_hat", [](double gamma) { return reference::partial_y_x_hat<double>(gamma); }, arg("gamma"),
      "dy_i / dx_hat_i (B13).");
  m.def(
      "partial_x_hat_x", [](double rstd) { return reference::partial_x_hat_x<double>(rstd); }, arg("rstd"),
      "dx_hat_i / dx_i, mean and var held.");
  m.def(
      "partial_x_hat_var",
      [](double x, double mean, double rstd) { return reference::partial_x_hat_var<double>(x, mean, rstd); }, arg("x"),
      arg("mean"), arg("rstd"), "dx_hat_i / dvar.");
  m.def(
      "partial_var_x", [](double x, double mean, int64_t n) { return reference::partial_var_x<double>(x, mean, n); },
      arg("x"), arg("mean"), arg("n"), "dvar / dx_i of the biased variance of n values.");
  m.def(
      "partial_x_hat_mean", [](double rstd) { return reference::partial_x_hat_mean<double>(rstd); }, arg("rstd"),
      "dx_hat_i / dmean, var held.");
  m.def(
      "partial_var_mean",
      [](const In& x, double mean) { return reference::partial_var_mean<double>(x.of<double>(0), mean); }, arg("x"),
      arg("mean"), "dvar / dmean: 0 at the mean of x (B21).");
  m.def(
      "partial_mean_x", [](int64_t n) { return reference::partial_mean_x<double>(n); }, arg("n"),
      "dmean / dx_i of n values.");
  m.def(
      "partial_rstd_x",
      [](double x, double mean, double rstd, int64_t n) { return reference::partial_rstd_x<double>(x, mean, rstd, n); },
      arg("x"), arg("mean"), arg("rstd"), arg("n"), "drstd / dx_i of n values.");
}

}  // namespace

void define_reference(nb::module_& m) {
  m.def("reference_forward", [](int64_t n, int64_t c, int64_t s, const In& x, const In& gamma, const In& beta,
                                double eps) {
    auto f = reference::forward<double>(Extent{n, c, s}, x.of<double>(0), gamma.of<double>(0), beta.of<double>(0), eps);
    return nb::make_tuple(owned(std::move(f.y)), owned(std::move(f.cache.mean)), owned(std::move(f.cache.var)),
                          owned(std::move(f.cache.rstd)), owned(std::move(f.cache.x_hat)));
  });
  m.def("reference_backward", [](const std::string& form, int64_t n, int64_t c, int64_t s, const In& x, const In& dy,
                                 const In& gamma, double eps) {
    return owned(backward_by(form, Extent{n, c, s}, x.of<double>(0), dy.of<double>(0), gamma.of<double>(0), eps));
  });
  m.def("reference_frozen_backward", [](int64_t n, int64_t c, int64_t s, const In& x, const In& dy, const In& mean,
                                        const In& rstd, const In& gamma) {
    return owned(reference::backward_frozen<double>(Extent{n, c, s}, x.of<double>(0), mean.of<double>(0),
                                                    rstd.of<double>(0), gamma.of<double>(0), dy.of<double>(0)));
  });
  m.def("reference_staged", [](int64_t n, int64_t c, int64_t s, const In& x, const In& dy, const In& gamma,
                               const In& beta, double eps) {
    return staged(Extent{n, c, s}, x.of<double>(0), dy.of<double>(0), gamma.of<double>(0), beta.of<double>(0), eps);
  });
  m.def("reference_jacobian_x_hat", [](const In& x, double mean, double var, double eps) {
    return owned(reference::jacobian_x_hat<double>(x.of<double>(0), mean, var, eps));
  });
  m.def("reference_jacobian", [](const In& x_hat, double gamma, double rstd) {
    return owned(reference::jacobian<double>(x_hat.of<double>(0), gamma, rstd));
  });
  m.def("reference_moments", [](const In& x) {
    const auto of = reference::moments<double>(x.of<double>(0));
    return nb::make_tuple(of.count, of.mean, of.m2);
  });
  m.def("reference_merge", [](double n, double mean, double m2, double other_n, double other_mean, double other_m2) {
    const auto of = reference::merge<double>({n, mean, m2}, {other_n, other_mean, other_m2});
    return nb::make_tuple(of.count, of.mean, of.m2);
  });
  define_partials(m);
}

}  // namespace unitvar::python
