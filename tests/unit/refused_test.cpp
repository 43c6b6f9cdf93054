#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "support/expect_error.hpp"
#include "unit/refused_operations.hpp"

namespace unitvar::test {
namespace {

/// Nothing at all may have been written.
void expect_refused(Operation& op, const Refusal& refusal) {
  const auto before = op.snapshot();
  expect_error(refusal.code, {refusal.message}, [&] { op.call(refusal.options); });
  EXPECT_TRUE(op.snapshot() == before) << "written in spite of: " << refusal.message;
  op.restore(before);
}
void expect_refused(Operation& op, ErrorCode code, const std::string& message) {
  expect_refused(op, {code, op.name + ": " + message});
}
void expect_wrong_length(Operation& op, const Argument& a, std::int64_t seen, std::int64_t wanted) {
  expect_refused(
      op, ErrorCode::wrong_length,
      a.name + " has " + std::to_string(seen) + " elements, want " + a.length.meaning + " = " + std::to_string(wanted));
}
void expect_accepted(Operation& op, const std::string& what) {
  const auto before = op.snapshot();
  EXPECT_NO_THROW(op.call()) << what;
  op.restore(before);
}

std::byte* at_or_before(std::byte* place, std::size_t alignment) {
  return place - reinterpret_cast<std::uintptr_t>(place) % alignment;
}
std::byte* at_or_after(std::byte* place, std::size_t alignment) {
  return at_or_before(place + alignment - 1, alignment);
}

/// One operation, by all its descriptions. Each bad call is the legal one with one thing spoilt.
class Refusals : public ::testing::TestWithParam<OperationCase> {
 protected:
  template <class Body>
  static void with_each(const Extent& extent, const Body& body) {
    for (std::size_t k = 0; k < GetParam().descriptions.size(); ++k) {
      SCOPED_TRACE(GetParam().name + ", description " + std::to_string(k));
      Operation op(GetParam().name);
      GetParam().descriptions[k](op, extent);
      body(op);
    }
  }
  static constexpr Extent usual{3, 4, 5}, empty{0, 4, 5}, one_value{1, 60, 1};
};

TEST_P(Refusals, LetTheLegalCallWriteAllOutputsAndNothingElse) {
  with_each(usual, [](Operation& op) {
    const auto before = op.snapshot();
    op.call();
    const auto after = op.snapshot();
    const auto values = [&](const Argument& a, const std::vector<std::byte>& of) {
      return a.values(of.data() + (a.place - op.memory()));
    };
    for (const Argument& a : op.arguments) {
      EXPECT_EQ(a.is_written(), values(a, after) != values(a, before)) << a.name;
      std::ranges::copy(values(a, before), a.place);
    }
    EXPECT_TRUE(op.snapshot() == before) << "written beside the outputs";
    for (const auto& [output, input] : op.same) {
      op.find(output)->point(op.find(input)->place, op.find(input)->length.elements);
      EXPECT_NO_THROW(op.call()) << output << " on " << input;
      EXPECT_EQ(op.find(input)->values(op.find(input)->place), values(*op.find(output), after));
      op.find(output)->point_back();
      op.restore(before);
    }
  });
}

TEST_P(Refusals, LetOptionalSpansAndWholeBatchesBeEmpty) {
  with_each(usual, [](Operation& op) {
    for (const Argument& a : op.arguments) {
      if (!a.optional) continue;
      a.point_nowhere();
      expect_accepted(op, "without " + a.name);
      a.point_back();
    }
  });
  with_each(empty, [](Operation& op) { expect_accepted(op, "an empty batch"); });
}

TEST_P(Refusals, NameSpansThatAreNullOrOfAWrongLength) {
  with_each(usual, [](Operation& op) {
    for (const Argument& a : op.arguments) {
      const std::int64_t n = a.length.elements;
      a.point(nullptr, n);
      expect_refused(op, ErrorCode::null_data, a.name + " is null, want " + std::to_string(n) + " elements");
      for (const std::int64_t seen : {n - 1, n + 1, std::int64_t{0}}) {
        if (seen == 0 && a.optional) continue;
        a.point(a.place, seen);
        if (op.first_tells && &a == op.arguments.data()) {
          expect_wrong_length(op, op.arguments[1], n, seen);
        } else {
          expect_wrong_length(op, a, seen, n);
        }
      }
      a.point_back();
    }
  });
}

/// Non-temporal stores to such an address stop the program.
TEST_P(Refusals, NameSpansThatAreMisaligned) {
  with_each(usual, [](Operation& op) {
    for (const Argument& a : op.arguments) {
      const std::string want = std::to_string(a.alignment);
      for (std::size_t past = 1; past < a.alignment; ++past) {
        a.point(a.place + past, a.length.elements);
        expect_refused(op, ErrorCode::bad_argument,
                       a.name + " is misaligned: its address is a multiple of " + want + " plus " +
                           std::to_string(past) + ", want a multiple of " + want);
      }
      a.point_back();
    }
  });
}

/// Inputs are checked that no output needs.
TEST_P(Refusals, NameInputsOfAWrongLengthWithoutOptionalOutputs) {
  with_each(usual, [](Operation& op) {
    for (const Argument& a : op.arguments) {
      if (a.optional && a.is_written()) a.point_nowhere();
    }
    for (const Argument& a : op.arguments) {
      if (a.is_written() || op.first_tells) continue;
      a.point(a.place, a.length.elements - 1);
      expect_wrong_length(op, a, a.length.elements - 1, a.length.elements);
      a.point_back();
    }
  });
}

void overlap(Operation& op, const Argument& out, const Argument& other) {
  const bool turned = other.is_written() && &other < &out;
  const std::string first = turned ? other.name : out.name, second = turned ? out.name : other.name;
  const bool may_be_same = std::ranges::count(op.same, std::pair{first, second}) > 0;
  std::byte *begin = other.place, *end = begin + other.bytes();
  const std::size_t step = out.alignment;
  const auto bytes = static_cast<std::ptrdiff_t>(out.bytes());
  for (std::byte* place : {at_or_before(begin, step), at_or_before(begin, step) + step, at_or_before(end - 1, step),
                           at_or_after(begin - bytes + 1, step)}) {
    if (may_be_same && place == begin) continue;
    out.point(place, out.length.elements);
    expect_refused(op, ErrorCode::overlap,
                   first + " overlaps " + second + ", want " +
                       (may_be_same ? "exactly the same or separate memory" : "separate memory"));
  }
  for (std::byte* place : {at_or_after(end, step), at_or_before(begin - bytes, step)}) {
    out.point(place, out.length.elements);
    expect_accepted(op, out.name + " beside " + other.name);
  }
  out.point_back();
}

TEST_P(Refusals, NameOutputsThatOverlapAnotherArgument) {
  with_each(usual, [](Operation& op) {
    for (const Argument& out : op.arguments) {
      for (const Argument& other : op.arguments) {
        if (out.is_written() && &other != &out) overlap(op, out, other);
      }
    }
  });
}

TEST_P(Refusals, NameCountsThatOverlapAnArgument) {
  const bool has_counted = GetParam().name.ends_with("::finish");  // the tiles that were added
  for (const Description& description : GetParam().descriptions) {
    if (!description.has_options || has_counted) continue;
    Operation op(GetParam().name);
    description(op, usual);
    for (const Argument& a : op.arguments) {
      for (std::byte* place : {a.place, a.place + a.bytes() - 1}) {
        auto* const counts = reinterpret_cast<PrecisionCounts*>(at_or_before(place, alignof(PrecisionCounts)));
        expect_refused(op, {ErrorCode::overlap,
                            op.name + ": options.cpu.counts overlaps " + a.name + ", want separate memory",
                            [] {},
                            {.cpu = {.counts = counts}}});
      }
    }
  }
}

TEST_P(Refusals, NameAThirdArgumentOnAnOutputAndTheInputThatItMayBe) {
  with_each(usual, [](Operation& op) {
    for (const auto& [output, input] : op.same) {
      const Argument &out = *op.find(output), &in = *op.find(input);
      out.point(in.place, in.length.elements);
      for (const Argument& third : op.arguments) {
        if (third.is_written() || &third == &in || third.bytes() != in.bytes()) continue;
        if (std::ranges::count(op.same, std::pair{output, third.name}) > 0) continue;  // it may be all of them
        third.point(in.place, in.length.elements);
        expect_refused(op, ErrorCode::overlap, output + " overlaps " + third.name + ", want separate memory");
        third.point_back();
      }
      out.point_back();
    }
  });
}

TEST_P(Refusals, NameExtentsValuesAndOptionsOutsideTheirRange) {
  std::size_t most = 1;
  for (std::size_t k = 0; k < most; ++k) {
    with_each(usual, [&](Operation& op) {
      most = std::max(most, op.refusals.size());
      if (k >= op.refusals.size()) return;
      op.refusals[k].spoil();
      expect_refused(op, op.refusals[k]);
    });
  }
}

TEST_P(Refusals, MeetOneValuePerChannelWhereTheStatisticsAreTheBatchs) {
  with_each(one_value, [](Operation& op) {
    if (op.few.empty()) return expect_accepted(op, "one value per channel");
    expect_refused(op, ErrorCode::too_few_values, op.few);
  });
}

std::string test_name(const ::testing::TestParamInfo<OperationCase>& info) {
  std::string name = info.param.name;
  std::erase(name, ':');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Of, Refusals, ::testing::ValuesIn(all_operations()), test_name);

}  // namespace
}  // namespace unitvar::test
