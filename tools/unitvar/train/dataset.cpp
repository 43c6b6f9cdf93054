#include "train/dataset.hpp"

#include <zlib.h>

#include <string>

#include "common/failure.hpp"
#include "train/idx.hpp"

namespace unitvar::train {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t max_pixels = 65'536;

fs::path find_file(const fs::path& folder, const std::string& name) {
  std::error_code status;
  if (!fs::is_directory(folder, status)) {
    throw tool::Failure("--data {} is not a folder; Debian's package dataset-fashion-mnist brings one",
                        folder.string());
  }
  for (const char* ending : {".gz", ""}) {
    fs::path path = folder / (name + ending);
    if (fs::exists(path, status)) return path;
  }
  throw tool::Failure("--data {} has neither {}.gz nor {}", folder.string(), name, name);
}

void check_labels(const fs::path& path, const Images& images) {
  for (std::size_t i = 0; i < images.labels.size(); ++i) {
    if (images.labels[i] >= class_count) {
      throw tool::Failure("{}: label {} is {}, want 0 to {}", path.string(), i, images.labels[i], class_count - 1);
    }
  }
}

Images read_images(const fs::path& folder, const std::string& prefix) {
  const fs::path images_path = find_file(folder, prefix + "-images-idx3-ubyte");
  const fs::path labels_path = find_file(folder, prefix + "-labels-idx1-ubyte");
  Idx values = read_idx(images_path, 3);
  Idx labels = read_idx(labels_path, 1);
  Images images{values.shape[0], values.shape[1], values.shape[2], std::move(values.values), std::move(labels.values)};
  if (labels.shape[0] != images.count) {
    throw tool::Failure("{} has {} labels, want {} as {} has images", labels_path.string(), labels.shape[0],
                        images.count, images_path.filename().string());
  }
  if (images.size() > max_pixels) {
    throw tool::Failure("{}: images of {} x {} pixels, want at most {} pixels", images_path.string(), images.rows,
                        images.columns, max_pixels);
  }
  check_labels(labels_path, images);
  return images;
}

std::uint32_t add_checksum(std::uint32_t checksum, const std::vector<std::uint8_t>& bytes) {
  return static_cast<std::uint32_t>(crc32_z(checksum, bytes.data(), bytes.size()));
}

}  // namespace

Dataset read_dataset(const fs::path& folder) {
  Dataset data{read_images(folder, "train"), read_images(folder, "t10k"), 0};
  if (data.test.rows != data.training.rows || data.test.columns != data.training.columns) {
    throw tool::Failure("{}: test images are {} x {}, want {} x {} as the training images", folder.string(),
                        data.test.rows, data.test.columns, data.training.rows, data.training.columns);
  }
  for (const Images* images : {&data.training, &data.test}) {
    data.checksum = add_checksum(data.checksum, images->pixels);
    data.checksum = add_checksum(data.checksum, images->labels);
  }
  return data;
}

}  // namespace unitvar::train
