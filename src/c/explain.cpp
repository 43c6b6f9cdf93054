#include "unitvar/c/explain.h"

#include <algorithm>
#include <string>

#include "c/call.hpp"

using namespace unitvar;

namespace {

/// Fills *out with explain(bytes per element, pass, options).
template <class Of, class Explain>
unitvar_status explained(const char* operation, const Of* of, unitvar_dtype dtype, unitvar_pass pass,
                         const unitvar_options* options, unitvar_explanation* out, const Explain& explain) noexcept {
  return c::guarded(operation, [&] {
    c::need(operation, "the extent", of);
    c::taken(operation, "the result", out);
    c::need_apart(operation, "the result", out, std::span(of, 1));
    if (pass < UNITVAR_FORWARD || pass > UNITVAR_INFERENCE) {
      throw Error(ErrorCode::bad_argument, std::string(operation) + ": pass is " + std::to_string(pass) +
                                               ", want UNITVAR_FORWARD, UNITVAR_BACKWARD or UNITVAR_INFERENCE");
    }
    const Options with = c::options_of(operation, options);
    c::with_dtype(operation, dtype, [&](auto type) {
      const Explanation e = explain(sizeof(typename decltype(type)::type), static_cast<Pass>(pass), with);
      out->walk = static_cast<unitvar_walk>(e.walk);
      out->threads = e.threads;
      out->reads = e.reads;
      out->writes = e.writes;
      out->largest_share = e.largest_share;
      const std::size_t n = std::min(e.text.size(), sizeof(out->text) - 1);
      std::copy_n(e.text.data(), n, out->text);
      out->text[n] = '\0';
    });
  });
}

}  // namespace

unitvar_status unitvar_explain(const unitvar_extent* extent, unitvar_dtype dtype, unitvar_pass pass,
                               const unitvar_options* options, unitvar_explanation* out) noexcept {
  return explained("explain", extent, dtype, pass, options, out, [=](std::int64_t bytes, Pass of, const Options& with) {
    return explain(c::extent_of(*extent), bytes, of, with);
  });
}
unitvar_status unitvar_explain_groups(const unitvar_groups* groups, unitvar_dtype dtype, unitvar_pass pass,
                                      const unitvar_options* options, unitvar_explanation* out) noexcept {
  return explained("explain_groups", groups, dtype, pass, options, out,
                   [=](std::int64_t bytes, Pass of, const Options& with) {
                     const Groups own{c::extent_of(groups->extent), groups->sample_rows, groups->groups};
                     return explain_groups(own, bytes, of, with);
                   });
}
unitvar_status unitvar_explain_rows(const unitvar_row_extent* extent, unitvar_dtype dtype, unitvar_pass pass,
                                    const unitvar_options* options, unitvar_explanation* out) noexcept {
  return explained("explain_rows", extent, dtype, pass, options, out,
                   [=](std::int64_t bytes, Pass of, const Options& with) {
                     return explain_rows({extent->rows, extent->length}, bytes, of, with);
                   });
}
