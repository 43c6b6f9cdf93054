#include "train/safetensors.hpp"

#include <fmt/ranges.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "common/failure.hpp"
#include "common/output_file.hpp"

static_assert(std::endian::native == std::endian::little, "safetensors data are little-endian");

namespace unitvar::train {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t max_header = 100'000'000;  // the limit of the format's own reader
constexpr std::array<std::pair<std::string_view, std::uint64_t>, 4> dtypes = {
    {{"F32", 4}, {"F64", 8}, {"I64", 8}, {"U64", 8}}};

std::uint64_t width(std::string_view dtype) {
  const auto found = std::ranges::find(dtypes, dtype, &std::pair<std::string_view, std::uint64_t>::first);
  if (found == dtypes.end()) throw tool::Failure("dtype {} is unknown", dtype);
  return found->second;
}

uLong add_crc(uLong crc, const void* data, std::size_t size) {
  if (size == 0) return crc;  // For zlib a null pointer means: begin anew.
  return crc32_z(crc, static_cast<const Bytef*>(data), size);
}

uLong metadata_crc(const Metadata& metadata) {
  uLong crc = 0;
  for (const auto& [key, value] : metadata) {
    if (key == "crc32") continue;
    crc = add_crc(crc, key.c_str(), key.size() + 1);
    crc = add_crc(crc, value.c_str(), value.size() + 1);
  }
  return crc;
}

std::string header_text(const std::vector<Tensor>& tensors, const Metadata& metadata) {
  Json header;
  header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const Tensor& tensor : tensors) {
    const std::uint64_t end = offset + tensor.bytes.size();
    header[tensor.name] = {{"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // The format asks that the data begin on a multiple of 8.
  return text;
}

std::uint64_t byte_count(std::string_view dtype, const std::vector<std::int64_t>& shape) {
  std::uint64_t bytes = width(dtype);
  for (std::int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes)) {
      throw tool::Failure("shape [{}] is impossible", fmt::join(shape, ", "));
    }
  }
  return bytes;
}

SafetensorsReader::Entry parse_entry(const Json& json) {
  SafetensorsReader::Entry entry;
  json.at("dtype").get_to(entry.dtype);
  for (const Json& size : json.at("shape")) {
    if (!size.is_number_unsigned()) throw tool::Failure("a shape is no list of counts");
    entry.shape.push_back(size.get<std::int64_t>());
  }
  const Json& offsets = json.at("data_offsets");
  if (offsets.size() != 2 || !offsets.at(0).is_number_unsigned() || !offsets.at(1).is_number_unsigned()) {
    throw tool::Failure("data_offsets are no two counts");
  }
  offsets.at(0).get_to(entry.begin);
  offsets.at(1).get_to(entry.end);
  if (entry.end < entry.begin || entry.end - entry.begin != byte_count(entry.dtype, entry.shape)) {
    throw tool::Failure("data_offsets do not fit dtype and shape");
  }
  return entry;
}

// A name given twice would let two readers see two different files.
Json parse_without_duplicates(const std::string& text) {
  std::vector<std::string> seen;
  const auto note_key = [&seen](int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::key && depth == 1) seen.push_back(parsed.get<std::string>());
    return true;
  };
  Json header = Json::parse(text, note_key);
  std::ranges::sort(seen);
  const auto twice = std::ranges::adjacent_find(seen);
  if (twice != seen.end()) throw tool::Failure("{} is there twice", *twice);
  return header;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::vector<Tensor> tensors, Metadata metadata) {
  // Wide types first, so that every tensor is aligned to its type.
  std::ranges::stable_sort(tensors, std::ranges::greater{}, [](const Tensor& tensor) { return width(tensor.dtype); });
  uLong crc = metadata_crc(metadata);
  for (const Tensor& tensor : tensors) crc = add_crc(crc, tensor.bytes.data(), tensor.bytes.size());
  metadata["crc32"] = fmt::format("{:08x}", crc);
  const std::string header = header_text(tensors, metadata);
  const std::uint64_t header_size = header.size();
  std::vector<std::span<const std::byte>> parts = {std::as_bytes(std::span(&header_size, 1)),
                                                   std::as_bytes(std::span(header))};
  for (const Tensor& tensor : tensors) parts.emplace_back(tensor.bytes);
  tool::write_file(path, parts);
}

SafetensorsReader::SafetensorsReader(const std::filesystem::path& path) : path_(path) {
  errno = 0;
  file_.open(path, std::ios::binary);
  if (!file_) throw tool::Failure("cannot open {}: {}", path.string(), std::strerror(errno));
  try {
    read_header();
    check_layout();
  } catch (const Json::exception&) {
    throw tool::Failure("{}: not a safetensors file, its header is malformed", path.string());
  } catch (const tool::Failure& failure) {
    throw tool::Failure("{}: {}", path.string(), failure.what());
  }
}

void SafetensorsReader::read_header() {
  std::error_code status;
  const std::uint64_t file_size = std::filesystem::file_size(path_, status);
  if (status) throw tool::Failure("cannot be read: {}", status.message());
  std::uint64_t header_size = 0;
  if (file_size < sizeof(header_size)) throw tool::Failure("truncated, {} bytes are no safetensors file", file_size);
  file_.read(reinterpret_cast<char*>(&header_size), sizeof(header_size));
  const std::uint64_t rest = file_size - sizeof(header_size);
  if (header_size > std::min(rest, max_header)) {
    throw tool::Failure("truncated or corrupt, the header claims {} bytes of {}", header_size, rest);
  }
  data_size_ = rest - header_size;
  std::string text(header_size, '\0');
  file_.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file_) throw tool::Failure("cannot be read");
  parse_header(text);
}

void SafetensorsReader::parse_header(const std::string& text) {
  const Json header = parse_without_duplicates(text);
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      value.get_to(metadata_);
      continue;
    }
    try {
      entries_.emplace(name, parse_entry(value));
    } catch (const tool::Failure& failure) {
      throw tool::Failure("tensor {}: {}", name, failure.what());
    }
  }
}

void SafetensorsReader::check_layout() const {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> places;
  for (const auto& [name, entry] : entries_) places.emplace_back(entry.begin, entry.end);
  std::ranges::sort(places);
  std::uint64_t covered = 0;
  for (const auto& [begin, end] : places) {
    if (begin != covered)
      throw tool::Failure("corrupt, tensors overlap or leave a gap at byte {} of the data", covered);
    covered = end;
  }
  if (covered != data_size_)
    throw tool::Failure("truncated or corrupt, {} bytes of data, want {}", data_size_, covered);
}

void SafetensorsReader::check_against(const std::vector<Tensor>& tensors) const {
  for (const Tensor& tensor : tensors) {
    const auto found = entries_.find(tensor.name);
    if (found == entries_.end()) throw tool::Failure("{}: tensor {} is missing", path_.string(), tensor.name);
    const Entry& entry = found->second;
    if (entry.dtype != tensor.dtype || entry.shape != tensor.shape) {
      throw tool::Failure("{}: tensor {} is {} [{}], want {} [{}]", path_.string(), tensor.name, entry.dtype,
                          fmt::join(entry.shape, ", "), tensor.dtype, fmt::join(tensor.shape, ", "));
    }
  }
  if (entries_.size() != tensors.size()) {
    throw tool::Failure("{}: {} tensors, want {}", path_.string(), entries_.size(), tensors.size());
  }
}

void SafetensorsReader::read(const std::vector<Tensor>& tensors) {
  check_against(tensors);
  std::vector<char> data(data_size_);
  file_.read(data.data(), static_cast<std::streamsize>(data.size()));
  if (!file_) throw tool::Failure("cannot read {}", path_.string());
  const auto written = metadata_.find("crc32");
  const std::string crc = fmt::format("{:08x}", add_crc(metadata_crc(metadata_), data.data(), data.size()));
  if (written == metadata_.end() || written->second != crc) {
    throw tool::Failure("{}: corrupt, its checksum is {}, want {}", path_.string(), crc,
                        written == metadata_.end() ? "one in the metadata" : written->second);
  }
  for (const Tensor& tensor : tensors) {
    const Entry& entry = entries_.at(tensor.name);
    if (!tensor.bytes.empty()) std::memcpy(tensor.bytes.data(), data.data() + entry.begin, tensor.bytes.size());
  }
}

}  // namespace unitvar::train
