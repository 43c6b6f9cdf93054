#include "bench/machine.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <thread>

namespace unitvar::bench {
namespace {

std::int64_t ask_system([[maybe_unused]] int name) { return std::max<std::int64_t>(0, ::sysconf(name)); }

std::string trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// What the system says of its first processor.
std::map<std::string, std::string> first_processor() {
  std::map<std::string, std::string> fields;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line) && !line.empty();) {
    const std::size_t colon = line.find(':');
    if (colon != std::string::npos) fields.emplace(trimmed(line.substr(0, colon)), trimmed(line.substr(colon + 1)));
  }
  return fields;
}

// Clouds hide the model in the name, but not in its number.
std::string processor_name() {
  const auto fields = first_processor();
  const auto field = [&](const char* name) -> std::string {
    const auto found = fields.find(name);
    return found == fields.end() ? "" : found->second;
  };
  const std::string name = field("model name"), family = field("cpu family");
  if (name.empty()) return "unknown";
  return family.empty() ? name : fmt::format("{} (family {}, model {})", name, family, field("model"));
}

}  // namespace

Machine this_machine(Isa isa) {
  const int processors = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
#ifdef _SC_LEVEL2_CACHE_SIZE
  const std::int64_t l1 = ask_system(_SC_LEVEL1_DCACHE_SIZE), l2 = ask_system(_SC_LEVEL2_CACHE_SIZE);
#else
  const std::int64_t l1 = 0, l2 = 0;
#endif
  return {processor_name(), isa, l1, l2, processors};
}

std::string kind_of(const Machine& machine) {
  const std::string l2 = machine.l2 == 0 ? "unknown" : fmt::format("{}k", machine.l2 >> 10);
  return fmt::format("{}-{}", isa_name(machine.isa), l2);
}

}  // namespace unitvar::bench
