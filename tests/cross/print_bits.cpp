// print_bits [--hostile] FILE [RECORDED]: writes a hash of the bits of every operation's results to FILE, and compares
// them with those recorded. The bits are the same for every thread count, instruction set, walk and machine, and, which
// --hostile shows, for every floating-point setting of the caller.
#include <algorithm>
#include <cstring>
#include <fstream>

#include "bits.hpp"
#include "compare.hpp"

namespace {

std::vector<std::string> lines_of(const char* path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

/// The first of so many lines.
void print(const char* what, const std::vector<std::string>& lines) {
  constexpr std::size_t kMost = 20;
  for (std::size_t k = 0; k < std::min(kMost, lines.size()); ++k) {
    std::fprintf(stderr, "%s %s\n", what, lines[k].c_str());
  }
}

int compare(const char* path, const char* recorded_path) {
  using namespace unitvar::cross;
  const Difference d = difference(lines_of(path), lines_of(recorded_path));
  if (d.none()) return 0;
  print("other bits in", d.other);
  print("not recorded:", d.added);
  print("recorded, but missing:", d.missing);
  std::fprintf(stderr, "print_bits: beside %s, %zu lines have other bits, %zu are new and %zu are missing. ",
               recorded_path, d.other.size(), d.added.size(), d.missing.size());
  if (hostile_caller) {
    std::fprintf(stderr, "Unless they are without --hostile, too: an operation computes under its caller's settings\n");
  } else {
    std::fprintf(stderr, "If bits were meant to change: copy %s there, and say in the commit why\n", path);
  }
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace unitvar::cross;
  if (argc > 1 && std::strcmp(argv[1], "--hostile") == 0) hostile_caller = true, ++argv, --argc;
  std::FILE* file = argc == 2 || argc == 3 ? std::fopen(argv[1], "w") : nullptr;
  if (file == nullptr) {
    std::fprintf(stderr, "print_bits: want a file to write, and perhaps one to compare it with\n");
    return 1;
  }
  Report report;
  for (const auto write : {write_batch_norm, write_variants, write_derivatives, write_phases, write_group_norm,
                           write_row_norms, write_instance_norm, write_layers_and_ranks}) {
    write(report);
  }
  report.print(file);
  if (std::fclose(file) != 0) return 1;
  return argc == 3 ? compare(argv[1], argv[2]) : 0;
}
