#include "unit/refused_description.hpp"

namespace unitvar::test {
namespace {

template <class E>
void refuse(Operation& op, E& extent, const E& value, const std::string& message,
            ErrorCode code = ErrorCode::bad_extent) {
  op.refuses(code, message, [&extent, value] { extent = value; });
}

std::string too_large(const std::string& extent, std::int64_t size) {
  return extent + " of " + std::to_string(size) +
         "-byte elements exceeds 64 bits, want at most 9223372036854775807 bytes";
}

/// `message` lacks eps and what follows.
void refuse_flat(Operation& op, double& eps, double bad, const Argument& span, const Flat& flat,
                 const std::string& message, Walk walk) {
  const auto spoil = [flat, set = span.set, n = span.length.elements, &eps, bad] {
    for (std::int64_t k = 0; k < n; ++k) {
      if (flat.holds(k)) set(k, flat.constant);
    }
    eps = bad;
  };
  op.refuses(ErrorCode::bad_epsilon, message + core::number(bad) + " in " + flat.where + ", want > 0", spoil,
             {.cpu = {.walk = walk}});
}

}  // namespace

void refuse_options(Operation& op) {
  const auto refused = [&](const std::string& message, const CpuOptions& cpu,
                           ErrorCode code = ErrorCode::bad_argument) {
    op.refuses(code, "options.cpu." + message, [] {}, {.cpu = cpu});
  };
  refused("threads is -1, want 0 (the default) or more", {.threads = -1});
  refused("walk is -1, want a value of unitvar::Walk", {.walk = static_cast<Walk>(-1)});
  refused("walk is 3, want a value of unitvar::Walk", {.walk = static_cast<Walk>(3)});
  refused("isa is 77, want a value of unitvar::Isa", {.isa = static_cast<Isa>(77)});
  const Isa best = supported_isas().front(), absent = best == Isa::neon ? Isa::avx2 : Isa::neon;
  refused("isa is " + std::string(isa_name(absent)) +
              ", want one this machine and build have: " + std::string(isa_name(best)),
          {.isa = absent}, ErrorCode::unsupported_isa);
}

void refuse_extents(Operation& op, Extent& extent, std::int64_t size) {
  refuse(op, extent, {-3, 4, 5}, "extent.outer is -3, want extent.outer >= 0");
  refuse(op, extent, {-3, -4, 5}, "extent.outer is -3, want extent.outer >= 0");
  refuse(op, extent, {3, 0, 5}, "extent.channels is 0, want extent.channels >= 1");
  refuse(op, extent, {3, -4, -5}, "extent.channels is -4, want extent.channels >= 1");
  refuse(op, extent, {3, 4, 0}, "extent.inner is 0, want extent.inner >= 1");
  refuse(op, extent, {3, 4, -5}, "extent.inner is -5, want extent.inner >= 1");
  for (const Extent& e : {Extent{big, big, big}, {big >> 8, big >> 9, 2}, {big >> 10, big >> 10, 8 / size}}) {
    refuse(op, extent, e, too_large(core::shape_text(e.outer, e.channels, e.inner), size), ErrorCode::overflow);
  }
}

void refuse_extents(Operation& op, RowExtent& extent, std::int64_t size) {
  refuse(op, extent, {-1, 20}, "extent.rows is -1, want >= 0");
  refuse(op, extent, {3, 0}, "extent.length is 0, want >= 1");
  refuse(op, extent, {3, -20}, "extent.length is -20, want >= 1");
  refuse(op, extent, {big, big}, too_large("RowExtent{1099511627776, 1099511627776}", size), ErrorCode::overflow);
}

void refuse_groups(Operation& op, Groups& groups, bool instances) {
  const auto bad = ErrorCode::bad_extent;
  const std::string rows = std::to_string(groups.extent.outer);
  op.wants("sample_rows", groups.sample_rows, {2, 0, -3}, "a divisor of extent.outer = " + rows, bad);
  if (instances) return op.wants("groups", groups.groups, {2, 3}, "0 or extent.channels = 4", bad);
  op.wants("groups", groups.groups, {3, 8, -1}, "a divisor of extent.channels = 4", bad);
}

void refuse_eps(Operation& op, double& eps, const Flat& flat) {
  op.wants("eps", eps, {nan, inf, -inf}, "a finite number", ErrorCode::bad_epsilon);
  for (const char* given : {"var", "running_var", "m2"}) {
    if (!op.reads(given)) continue;
    for (const auto& [var, bad] : {std::pair{0.0, 0.0}, {-1.0, 1e-5}, {0.01, -0.01}}) {
      const Flat one{"channel 2", [](std::int64_t k) { return k == 2; }, var};
      refuse_flat(op, eps, bad, *op.find(given), one, "var + eps is " + core::number(var) + " + ", Walk::automatic);
    }
  }
  if (op.find("x") == nullptr || op.reads("var")) return;
  const std::string what = op.name.starts_with("rms") ? "mean(x^2)" : "var";
  for (const Walk walk : {Walk::automatic, Walk::resident, Walk::streamed}) {
    for (const double bad : {0.0, -1e-3}) {
      refuse_flat(op, eps, bad, *op.find("x"), flat, what + " + eps is 0 + ", walk);
    }
  }
}

void refuse_weights(Operation& op) {
  for (const double bad : {-1.0, nan, inf}) {
    op.refuses(ErrorCode::bad_argument, "weight[3] is " + core::number(bad) + ", want a finite number >= 0",
               [set = op.find("weight")->set, bad] { set(3, bad); });
  }
}

}  // namespace unitvar::test
