// print_bits [--hostile] FILE [RECORDED]: writes a hash of the bits of every operation's results to FILE, and compares
// them with those recorded. The bits are the same for every thread count, instruction set, walk and machine, and, which
// --hostile shows, for every floating-point setting of the caller.
#include <cstring>
#include <fstream>
#include <sstream>

#include "bits.hpp"

namespace {

std::vector<std::string> lines_of(const char* path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

/// Which of a line's hashes are others: "dx dgamma".
std::string differing_results(const std::string& seen, const std::string& recorded) {
  std::istringstream a(seen), b(recorded);
  std::string names;
  for (std::string one, other; a >> one && b >> other;) {
    if (one != other) names += " " + one.substr(0, one.find('='));
  }
  return names;
}

int compare(const char* path, const char* recorded_path) {
  const auto seen = lines_of(path), recorded = lines_of(recorded_path);
  int differing = 0;
  for (std::size_t k = 0; k < seen.size() && k < recorded.size(); ++k) {
    if (seen[k] == recorded[k]) continue;
    if (++differing <= 20) {
      std::fprintf(stderr, "other bits in %s:%s\n", seen[k].substr(0, seen[k].find(':')).c_str(),
                   differing_results(seen[k], recorded[k]).c_str());
    }
  }
  if (differing == 0 && seen.size() == recorded.size()) return 0;
  std::fprintf(
      stderr,
      "print_bits: %d of %zu lines differ from %s, which has %zu. If bits were meant to change: copy %s there, "
      "and say in the commit why\n",
      differing, seen.size(), recorded_path, recorded.size(), path);
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
