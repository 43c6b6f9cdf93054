#include "bench/roofline.hpp"

#include <omp.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "bench/traffic_simd.hpp"

namespace unitvar::bench {
namespace {

constexpr std::size_t page = 4096;
// Small enough that going backwards from block to block finds what the cache holds, large enough to stream in.
constexpr std::size_t block = 64 * page;
// Below this, waking threads may cost more than they save.
constexpr std::size_t little = std::size_t{4} << 20;

enum class Copy { vectors, libc };

struct Way {
  Moving how;
  Copy copy;
  int threads;
};

// One thread's part of the memory: whole pages.
struct Part {
  std::size_t begin, end;
};

Part part_of(std::size_t bytes, int thread, int threads) {
  const std::size_t pages = (bytes + page - 1) / page;
  const auto cut = [&](int t) {
    return std::min(bytes, pages * static_cast<std::size_t>(t) / static_cast<std::size_t>(threads) * page);
  };
  return {cut(thread), cut(thread + 1)};
}

template <class Body>
void on_threads(std::size_t bytes, int threads, const Body& body) {
  if (threads == 1) return body(Part{0, bytes});
#pragma omp parallel num_threads(threads)
  body(part_of(bytes, omp_get_thread_num(), omp_get_num_threads()));
}

void move_range(const Traffic& t, const Way& way, std::size_t begin, std::size_t bytes) {
  if (t.pass == Pass::backward) {
    triad_bytes(t.x + begin, t.dy + begin, t.out + begin, bytes, way.how);
  } else if (way.copy == Copy::libc) {
    std::memcpy(t.out + begin, t.x + begin, bytes);
  } else {
    copy_bytes(t.x + begin, t.out + begin, bytes, way.how);
  }
}

void move_once(const Traffic& t, const Way& way) {
  on_threads(t.bytes, way.threads, [&](Part part) { move_range(t, way, part.begin, part.end - part.begin); });
}

void read_inputs(const Traffic& t, const Way& way, Part part) {
  for (std::size_t begin = part.begin; begin < part.end; begin += block) {
    const std::size_t bytes = std::min(block, part.end - begin);
    read_bytes(t.x + begin, bytes, way.how);
    if (t.pass == Pass::backward) read_bytes(t.dy + begin, bytes, way.how);
  }
}

void move_in_reverse(const Traffic& t, const Way& way, Part part) {
  const std::size_t blocks = (part.end - part.begin + block - 1) / block;
  for (std::size_t k = blocks; k-- > 0;) {
    const std::size_t begin = part.begin + k * block;
    move_range(t, way, begin, std::min(block, part.end - begin));
  }
}

void read_and_move(const Traffic& t, const Way& way) {
  on_threads(t.bytes, way.threads, [&](Part part) { read_inputs(t, way, part); });
  on_threads(t.bytes, way.threads, [&](Part part) { move_in_reverse(t, way, part); });
}

std::string name_of(const Way& way, int most_threads) {
  std::string name = way.copy == Copy::libc ? "memcpy" : way.how.stream ? "streaming" : "plain";
  if (way.how.prefetch) name += "+prefetch";
  return way.threads < most_threads ? name + " (1 thread)" : name;
}

std::vector<Way> ways_on(const Traffic& t, int threads) {
  std::vector<Way> ways;
  for (const bool stream : {false, true}) {
    for (const bool prefetch : {false, true}) ways.push_back({{stream, prefetch}, Copy::vectors, threads});
  }
  if (t.pass != Pass::backward) ways.push_back({{false, false}, Copy::libc, threads});
  return ways;
}

}  // namespace

std::vector<Rival> roofline_rivals(const Traffic& t) {
  std::vector<Way> ways = ways_on(t, t.threads);
  if (t.threads > 1 && t.bytes <= little) {
    for (const Way& way : ways_on(t, 1)) ways.push_back(way);
  }
  std::vector<Rival> rivals;
  for (const Way& way : ways) {
    const bool twice = t.walk == Walk::streamed;
    rivals.push_back({name_of(way, t.threads), [t, way, twice] { twice ? read_and_move(t, way) : move_once(t, way); }});
  }
  return rivals;
}

}  // namespace unitvar::bench
