#include "unit/refused_description.hpp"

#include <map>
#include <sstream>
#include <stdexcept>

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
  std::vector<std::function<void(std::int64_t, double)>> setters = {span.set};
  if (span.name == "x" && op.reads("residual"))
    setters.push_back(op.find("residual")->set);  // x is what is normalized, or the sum
  const auto spoil = [flat, setters, n = span.length.elements, &eps, bad] {
    for (std::int64_t k = 0; k < n; ++k) {
      if (!flat.holds(k)) continue;
      for (const auto& set : setters) set(k, flat.constant);
    }
    eps = bad;
  };
  op.refuses(ErrorCode::bad_epsilon, message + core::number(bad) + " in " + flat.where + ", want > 0", spoil,
             {.cpu = {.walk = walk}});
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
      const std::string name = op.reads("running_var") ? "running_var" : "var";
      refuse_flat(op, eps, bad, *op.find(given), one, name + " + eps is " + core::number(var) + " + ", Walk::automatic);
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

void refuse_options(Operation& op) {
  const auto refused = [&](const std::string& message, const CpuOptions& cpu,
                           ErrorCode code = ErrorCode::bad_argument) {
    op.refuses(code, "options.cpu." + message, [] {}, {.cpu = cpu});
  };
  refused("threads is -1, want 0 (the default) or more", {.threads = -1});
  refused("walk is -1, want a value of unitvar::Walk, 0 to 2", {.walk = static_cast<Walk>(-1)});
  refused("walk is 3, want a value of unitvar::Walk, 0 to 2", {.walk = static_cast<Walk>(3)});
  refused("isa is 77, want a value of unitvar::Isa, 0 to 5", {.isa = static_cast<Isa>(77)});
  alignas(PrecisionCounts) static char memory[sizeof(PrecisionCounts) + 4];
  refused("counts is misaligned: its address is a multiple of 8 plus 4, want a multiple of 8",
          {.counts = reinterpret_cast<PrecisionCounts*>(memory + 4)});
  const Isa best = supported_isas().front(), absent = best == Isa::neon ? Isa::avx2 : Isa::neon;
  refused("isa is " + std::string(isa_name(absent)) +
              ", want one this machine and build have: " + std::string(isa_name(best)),
          {.isa = absent}, ErrorCode::unsupported_isa);
}

/// Adds the spans of the text.
void add_spans(Operation& op, const std::vector<NamedSpan>& spans, const Lengths& n, const std::string& text) {
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const std::string name = word.substr(0, word.find_first_of("!?~="));
    const auto has = [&](char mark) { return word.find(mark) != std::string::npos; };
    const auto found = std::ranges::find(spans, name, &NamedSpan::name);
    if (found == spans.end()) throw std::logic_error(op.name + " has no span " + name);
    Length length = n.*found->length;
    if (has('~')) length.meaning += ", the length of " + op.arguments.front().name;
    const Role role = found->span.is_const ? Role::input : has('!') ? Role::both : Role::output;
    op.add(name, found->span, length, role, has('?'));
    std::istringstream inputs(has('=') ? word.substr(word.find('=') + 1) : "");
    for (std::string input; std::getline(inputs, input, '=');) op.same.push_back({name, input});
    op.first_tells = op.first_tells || has('~');
  }
}

/// What an extent is set to, and refuses; the lengths that follow, and what can be made flat.
struct Setting {
  Operation& op;
  const Extent& e;
  Layout layout;
  std::int64_t size;

  using Result = std::pair<Lengths, Flat>;
  [[nodiscard]] Result set(Extent& extent) const;
  [[nodiscard]] Result set(Extent& extent, std::int64_t& ghost) const;
  [[nodiscard]] Result set(RowExtent& extent) const;
  [[nodiscard]] Result set(Groups& groups) const;
  [[nodiscard]] Result set(WeightExtent& extent) const;
  [[nodiscard]] Result without_extent() const;
  [[nodiscard]] Result set(const Members& members) const {
    if (members.groups != nullptr) return set(*members.groups);
    if (members.rows != nullptr) return set(*members.rows);
    if (members.weight != nullptr) return set(*members.weight);
    if (members.ghost != nullptr) return set(*members.extent, *members.ghost);
    return members.extent != nullptr ? set(*members.extent) : without_extent();
  }
};

Setting::Result Setting::without_extent() const {
  const Length channels{"C", e.channels};
  const Length mask{"batch_norm_act_mask_bytes(extent, activation)", batch_norm_act_mask_bytes(e)};
  return {{{"N*C*S", e.size()}, channels, channels, {"N*S", e.count()}, mask},
          {"channel 3", [](std::int64_t k) { return k / 5 % 4 == 3; }}};
}

Setting::Result Setting::set(Extent& extent) const {
  extent = e;
  refuse_extents(op, extent, size);
  return without_extent();
}

Setting::Result Setting::set(Extent& extent, std::int64_t& ghost) const {
  auto result = set(extent);
  ghost = 2;
  op.wants("ghost", ghost, {0, -2}, "1 or more");
  result.first.statistic = {"B*C", ghost_batches(e, 2) * e.channels};
  result.second = {"channel 7", [](std::int64_t k) { return k >= 55; }};
  return result;
}

Setting::Result Setting::set(RowExtent& extent) const {
  extent = {e.outer, e.channels * e.inner};
  refuse_extents(op, extent, size);
  return {{{"rows*D", e.size()}, {"D", extent.length}, {"rows", e.outer}, {}, {}},
          {"row 1", [](std::int64_t k) { return k / 20 == 1; }, op.name.starts_with("rms") ? 0 : 2.5}};
}

Setting::Result Setting::set(Groups& groups) const {
  const bool last = layout == Layout::channels_last, instances = op.name.starts_with("instance");
  const std::int64_t count = instances ? 0 : 2;
  groups = last ? Groups{{e.outer * e.inner, e.channels, 1}, e.inner, count} : Groups{e, 1, count};
  refuse_extents(op, groups.extent, size);
  refuse_groups(op, groups, instances);
  Lengths n = without_extent().first;
  n.statistic = {"N*G", groups.size()};
  return {n, {instances ? "channel 11" : "channel 5", [last, first = instances ? 3 : 2](std::int64_t k) {
                return k >= 40 && (last ? k % 4 : k / 5 % 4) >= first;
              }}};
}

Setting::Result Setting::set(WeightExtent& extent) const {
  extent = {2, {e.outer, e.channels / 2, e.inner}};
  refuse_extents(op, extent.block, size);
  op.wants("extent.groups", extent.groups, {0, -1}, "1 or more", ErrorCode::bad_extent);
  op.refuses(ErrorCode::overflow, "extent of 1152921504606846976 groups exceeds 64 bits, want fewer",
             [&extent] { extent.groups = big << 20; });
  auto result = without_extent();
  result.first.weight = {"the size of extent", e.size()};
  return result;
}

/// What a number among the arguments refuses. Of eps, beside variances that are given, or of x.
void refuse_number(Operation& op, const std::string& name, double& value, const Flat& flat) {
  if (name == "eps") return refuse_eps(op, value, flat);
  if (name == "activation.negative_slope") return op.wants(name, value, {nan, inf}, "a finite number");
  if (name == "negative_slope") {
    const bool in_place = op.name.find("in_place") != std::string::npos;
    op.wants(name, value, {nan, inf}, in_place ? "a finite number > 0" : "a finite number");
    if (in_place) op.wants(name, value, {0, -1}, "a finite number > 0");
    return;
  }
  if (name == "count" && op.name == "input_gradient") {
    op.wants(name, value, {0}, "> 0 for an extent that is not empty");
  }
  struct Bad {
    std::vector<double> values;
    const char* wanted;
  };
  const Bad counts{{-2, nan, inf}, "a finite number >= 0"};
  const std::map<std::string, Bad> bad{{"max_lost_digits", {{nan}, "a number"}},
                                       {"r_max", {{0.5, -1, nan}, "1 or more"}},
                                       {"d_max", {{-1, nan}, "0 or more"}},
                                       {"count", counts},
                                       {"count_a", counts},
                                       {"count_b", counts},
                                       {"momentum", {{nan, inf, -inf}, "a finite number"}}};
  op.wants(name, value, bad.at(name).values, bad.at(name).wanted);
  if (name == "count" && value == 0) value = 15;
}

void refuse_weights(Operation& op) {
  for (const double bad : {-1.0, nan, inf}) {
    op.refuses(ErrorCode::bad_argument, "weight[3] is " + core::number(bad) + ", want a finite number >= 0",
               [set = op.find("weight")->set, bad] { set(3, bad); });
  }
}

}  // namespace

void describe(Operation& op, const Description& d, const Members& members, const Extent& e) {
  op.few = d.few;
  // Of an accumulator, the constructor names itself in messages about extents and options.
  const std::string name = std::exchange(op.name, op.name.substr(0, op.name.find(':')));
  const auto [lengths, flat] = Setting{op, e, d.layout, d.size}.set(members);
  if (d.has_options) refuse_options(op);
  op.name = name;
  add_spans(op, members.spans, lengths, d.spans);
  for (const auto& [number, value] : members.numbers) refuse_number(op, number, *value, flat);
  if (op.name.find("weighted") != std::string::npos) refuse_weights(op);
}

}  // namespace unitvar::test
