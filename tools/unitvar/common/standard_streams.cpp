#include "common/standard_streams.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/failure.hpp"

namespace unitvar::tool {

void open_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // Opened for reading only, standard output still refuses what is printed.
    if (::fcntl(stream, F_GETFD) < 0) (void)::open("/dev/null", O_RDONLY);
  }
}

void print(std::string_view text, std::FILE* to) {
  std::fwrite(text.data(), 1, text.size(), to);
  if (std::fflush(to) == 0 && std::ferror(to) == 0) return;
  throw Failure("cannot write standard {}: {}", to == stdout ? "output" : "error", std::strerror(errno));
}

}  // namespace unitvar::tool
