#include "train/byte_source.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <utility>

#include "common/failure.hpp"

namespace unitvar::train {
namespace {

constexpr int gzip_window_bits = 15 + 16;  // 16: a gzip wrapper, and no other

}  // namespace

struct ByteSource::State {
  std::filesystem::path path;
  std::ifstream file;
  std::array<Bytef, 1U << 16> packed{};
  z_stream stream{};
  bool gzip = false;
  bool ended = false;

  explicit State(std::filesystem::path from) : path(std::move(from)) {
    std::error_code status;
    if (std::filesystem::is_directory(path, status)) throw tool::Failure("{} is a folder, want a file", path.string());
    errno = 0;
    file.open(path, std::ios::binary);
    if (!file) throw tool::Failure("cannot open {}: {}", path.string(), std::strerror(errno));
    refill();
    gzip = stream.avail_in >= 2 && packed[0] == 0x1f && packed[1] == 0x8b;
    if (gzip && inflateInit2(&stream, gzip_window_bits) != Z_OK) throw std::bad_alloc();
  }
  ~State() {
    if (gzip) inflateEnd(&stream);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // False at the end of the file.
  bool refill() {
    file.read(reinterpret_cast<char*>(packed.data()), static_cast<std::streamsize>(packed.size()));
    if (file.bad()) throw tool::Failure("cannot read {}", path.string());
    stream.next_in = packed.data();
    stream.avail_in = static_cast<uInt>(file.gcount());
    return stream.avail_in > 0;
  }

  std::size_t read_plain(std::span<std::uint8_t> out) {
    std::size_t done = 0;
    while (done < out.size() && (stream.avail_in > 0 || refill())) {
      const std::size_t part = std::min<std::size_t>(stream.avail_in, out.size() - done);
      std::memcpy(out.data() + done, stream.next_in, part);
      stream.next_in += part;
      stream.avail_in -= static_cast<uInt>(part);
      done += part;
    }
    return done;
  }

  std::size_t read_gzip(std::span<std::uint8_t> out) {
    stream.next_out = out.data();
    stream.avail_out = static_cast<uInt>(std::min<std::size_t>(out.size(), std::numeric_limits<uInt>::max()));
    const uInt wanted = stream.avail_out;
    while (stream.avail_out > 0 && !ended) inflate_some();
    return wanted - stream.avail_out;
  }

  void inflate_some() {
    if (stream.avail_in == 0 && !refill())
      throw tool::Failure("{}: truncated, the gzip stream ends early", path.string());
    const int status = inflate(&stream, Z_NO_FLUSH);
    if (status == Z_STREAM_END) {
      ended = true;
      if (stream.avail_in > 0 || refill())
        throw tool::Failure("{}: bytes behind the end of the gzip stream", path.string());
    } else if (status != Z_OK) {
      throw tool::Failure("{}: corrupt gzip data ({})", path.string(),
                          stream.msg != nullptr ? stream.msg : zError(status));
    }
  }
};

ByteSource::ByteSource(const std::filesystem::path& path) : state_(std::make_unique<State>(path)) {}
ByteSource::~ByteSource() = default;

std::size_t ByteSource::read(std::span<std::uint8_t> out) {
  return state_->gzip ? state_->read_gzip(out) : state_->read_plain(out);
}

}  // namespace unitvar::train
