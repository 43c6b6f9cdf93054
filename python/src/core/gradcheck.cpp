#include "unitvar/gradcheck.hpp"

#include "module.hpp"

// Numeric differentiation of Python functions. They are called with the interpreter's lock held.
namespace unitvar::python {
namespace {

nb::object copy_of(std::span<const double> values) {
  return nb::cast(nb::ndarray<nb::numpy, const double, nb::ndim<1>>(values.data(), {values.size()}, nb::handle()),
                  nb::rv_policy::copy);
}

ScalarFunction scalar_function(const nb::callable& f) {
  return [&f](std::span<const double> x) { return nb::cast<double>(f(copy_of(x))); };
}
VectorFunction vector_function(const nb::callable& f) {
  return [&f](std::span<const double> x, std::span<double> y) {
    const nb::object result = f(copy_of(x));
    const In memory = nb::cast<In>(result);
    const auto values = memory.of<double>(static_cast<int64_t>(y.size()));
    if (values.size() != y.size()) {
      throw nb::value_error(("gradcheck: f(x) has " + std::to_string(values.size()) +
                             " elements, want as many as dy, " + std::to_string(y.size()))
                                .c_str());
    }
    std::copy(values.begin(), values.end(), y.begin());
  };
}
nb::tuple to_tuple(const GradcheckReport& r) {
  return nb::make_tuple(r.max_rel_error, r.l2_error, r.worst, r.analytic_at_worst, r.numeric_at_worst, r.error_at_worst,
                        r.largest_error);
}

}  // namespace

void define_gradcheck(nb::module_& m) {
  m.def("numeric_gradient", [](const nb::callable& f, const Out& x, double step, int levels) {
    const auto g = numeric_gradient(scalar_function(f), x.of<double>(0), {step, levels});
    return nb::make_tuple(copy_of(g.value), copy_of(g.error));
  });
  m.def("numeric_vjp", [](const nb::callable& f, const Out& x, const In& dy, double step, int levels) {
    const auto g = numeric_vjp(vector_function(f), x.of<double>(0), dy.of<double>(0), {step, levels});
    return nb::make_tuple(copy_of(g.value), copy_of(g.error));
  });
  m.def("numeric_jacobian", [](const nb::callable& f, int64_t outputs, const Out& x, double step, int levels) {
    const auto j =
        numeric_jacobian(vector_function(f), static_cast<std::size_t>(outputs), x.of<double>(0), {step, levels});
    return nb::make_tuple(j.rows, j.columns, copy_of(j.value), copy_of(j.error));
  });
  m.def("gradcheck_scalar", [](const nb::callable& f, const Out& x, const In& analytic, double step, int levels) {
    return to_tuple(gradcheck(scalar_function(f), x.of<double>(0), analytic.of<double>(0), {step, levels}));
  });
  m.def("gradcheck_vector",
        [](const nb::callable& f, const Out& x, const In& dy, const In& analytic, double step, int levels) {
          return to_tuple(
              gradcheck(vector_function(f), x.of<double>(0), dy.of<double>(0), analytic.of<double>(0), {step, levels}));
        });
  m.def("rel_error", [](const In& a, const In& b) { return rel_error(a.of<double>(0), b.of<double>(0)); });
  m.def("l2_error", [](const In& a, const In& b) { return l2_error(a.of<double>(0), b.of<double>(0)); });
}

}  // namespace unitvar::python
