#include "cpu/passes/traversal.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <random>
#include <vector>

#include "core/divide_up.hpp"

/// Passes that mark what they are given, in place of numbers: whatever the schedule, each element is summed once, is
/// mapped once, and comes with what stands between the passes. Elements of many bytes give small tensors many threads.
namespace unitvar {
namespace {

using cpu::Schedule;
using cpu::WorkItem;
using std::int64_t;

using Marks = std::vector<std::atomic<int>>;

struct Marked {
  explicit Marked(const Schedule& s)
      : sums(static_cast<std::size_t>(s.parts() * s.tiling.extent.count())),
        maps(sums.size()),
        merges(static_cast<std::size_t>(s.parts())),
        finishes(merges.size()),
        mask(static_cast<std::size_t>(s.tiling.extent.outer *
                                      core::divide_up(s.channels() * s.tiling.extent.inner, 8))) {}

  Marks sums, maps, merges, finishes;
  Marks mask;  ///< of each byte, the last item that wrote there
  std::atomic<int> items = 0, faults = 0;
};

struct MarkingPass {
  const Schedule& s;
  Marked& marked;
  int64_t group;
  bool has_bits;

  static std::atomic<int>& at(Marks& marks, int64_t k) { return marks[static_cast<std::size_t>(k)]; }
  void want(bool holds) const noexcept {
    if (!holds) ++marked.faults;
  }
  template <class F>
  void for_elements(const WorkItem& item, const F& f) const {
    for (int64_t r = 0; r < item.tile.rows; ++r) {
      for (int64_t part = item.begin; part < item.end; ++part) {
        for (int64_t i = 0; i < item.tile.cols; ++i) {
          f(s.tiling.extent.index(item.tile.row + r, part, item.tile.col + i), part);
        }
      }
    }
  }
  void use_scratch(const WorkItem& item) const noexcept {
    want(item.begin < item.end && item.channels() <= s.run_channels);
    std::memset(item.scratch, 1, static_cast<std::size_t>(cpu::scratch_bytes(s.tiling, item.channels())));
  }

  void reduce(const WorkItem& item, math::ChannelPairs out) const noexcept {
    use_scratch(item);
    const cpu::Tile tile = s.tiling.tile(item.t);
    const int64_t sub_batch = item.begin / s.channels();
    for_elements(item, [&](int64_t element, int64_t part) {
      ++at(marked.sums, element);
      const int64_t row = element / s.tiling.extent.inner / s.channels() - sub_batch * s.tiling.extent.outer;
      want(row >= tile.row && row < tile.row + tile.rows);
      want(element / s.tiling.extent.inner % s.channels() == part % s.channels());
    });
    for (int64_t k = 0; k < item.channels(); ++k) {
      out.first[k] = static_cast<double>(item.begin + k);
      out.second[k] = static_cast<double>(item.t);
    }
  }
  void merge(int64_t begin, int64_t end, const cpu::TileLeaves& leaves) const noexcept {
    for (int64_t t = 0; t < s.tiling.tiles(); ++t) {
      const math::ChannelPairs leaf = leaves(t);
      for (int64_t k = 0; k < end - begin; ++k) {
        want(leaf.first[k] == static_cast<double>(begin + k) && leaf.second[k] == static_cast<double>(t));
      }
    }
    for (int64_t part = begin; part < end; ++part) ++at(marked.merges, part);
  }
  void finish(int64_t begin, int64_t end) const noexcept {
    want(begin % group == 0 && end % group == 0 && begin / s.channels() == (end - 1) / s.channels());
    for (int64_t part = begin; part < end; ++part) {
      want(at(marked.merges, part) == 1);
      ++at(marked.finishes, part);
    }
  }
  void check() const noexcept {}
  void apply(const WorkItem& item) const noexcept {
    use_scratch(item);
    for_elements(item, [&](int64_t element, int64_t part) {
      ++at(marked.maps, element);
      want(at(marked.finishes, part) == 1);
    });
    if (!has_bits || s.tiling.shape == cpu::Shape::planar) return;
    const int id = ++marked.items;
    const int64_t inner = s.tiling.extent.inner, row_bytes = core::divide_up(s.channels() * inner, 8);
    for (int64_t r = 0; r < item.tile.rows; ++r) {
      for (int64_t byte = item.begin * inner / 8; byte < core::divide_up(item.end * inner, 8); ++byte) {
        const int before = at(marked.mask, (item.tile.row + r) * row_bytes + byte).exchange(id);
        want(before == 0 || before == id);
      }
    }
  }
  void apply_and_reduce(const WorkItem& item, const WorkItem& next, math::ChannelPairs out) const noexcept {
    want(item.scratch != next.scratch);
    apply(item);
    reduce(next, out);
  }
};

void expect_all(const Marks& marks, const char* what) {
  EXPECT_TRUE(std::ranges::all_of(marks, [](int n) { return n == 1; })) << what;
}

struct Case {
  Extent extent;
  cpu::ScheduleInput input;
};

class Cases {
 public:
  Case next() {
    Case c{{pick({0, 1, 3, 9, 49, 127, 128, 500, 801, 1601}), pick({1, 2, 3, 6, 12, 17, 48, 96, 257, 1025}),
            pick({1, 1, 1, 2, 7, 16, 49, 100, 4100, 9000})},
           {.bytes_per_element = pick({4, 512, 4096, 1 << 18}),
            .tensors_read = pick({1, 2}),
            .cache = {32 << 10, pick({1 << 12, 1 << 19, 1 << 22, 1 << 26})},
            .threads = static_cast<int>(pick({1, 2, 3, 5, 12})),
            .walk = static_cast<Walk>(pick({0, 0, 1, 2})),
            .has_bits = pick({0, 0, 1}) == 1}};
    if (!c.input.has_bits && c.extent.outer > 0) {
      c.input.sub_batches = pick({1, 1, 2, 5, 33});
      for (const int64_t group : {pick({2, 3, 6, 32}), c.extent.channels}) {
        if (pick({0, 1}) == 1 && c.extent.channels % group == 0) c.input.group_channels = group;
      }
    }
    return c;
  }

 private:
  int64_t pick(std::initializer_list<int64_t> values) { return values.begin()[random_() % values.size()]; }

  std::mt19937_64 random_{7};
};

TEST(Traversal, SumsMergesFinishesAndMapsEachElementOnce) {
  Cases cases;
  int together = 0, alone = 0, sub_batches = 0;
  for (int n = 0; n < 400;) {
    const Case c = cases.next();
    if (c.extent.size() * c.input.sub_batches > 50000) continue;
    ++n;
    const Schedule s = cpu::make_schedule(c.extent, c.input);
    SCOPED_TRACE(cpu::describe(s));
    EXPECT_TRUE(c.input.walk == Walk::automatic || c.input.walk == s.walk);
    Marked both(s), apart(s);
    cpu::Traversal(s).reduce_and_apply(MarkingPass{s, both, c.input.group_channels, c.input.has_bits});
    cpu::Traversal in_two(s);
    in_two.reduce_and_finish(MarkingPass{s, apart, c.input.group_channels, false});
    in_two.apply(MarkingPass{s, apart, c.input.group_channels, false});
    for (const Marked* marked : {&both, &apart}) {
      EXPECT_EQ(marked->faults, 0);
      expect_all(marked->sums, "sums");
      expect_all(marked->maps, "maps");
      expect_all(marked->merges, "merges");
      expect_all(marked->finishes, "finishes");
    }
    if (testing::Test::HasFailure()) return;
    together += s.together && s.threads > 1 ? 1 : 0;
    alone += !s.together && s.threads > 1 ? 1 : 0;
    sub_batches += s.sub_batches > 1 ? 1 : 0;
  }
  for (const int cases_of : {together, alone, sub_batches}) EXPECT_GT(cases_of, 40) << "few cases of a kind";
}

}  // namespace
}  // namespace unitvar
