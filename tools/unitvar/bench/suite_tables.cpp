#include "bench/suites.hpp"

/// The shapes of the built-in suites: numbers only.
namespace unitvar::bench {
namespace {

constexpr Shape images(std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w, std::int64_t count = 1) {
  return {.n = n, .c = c, .d = 1, .h = h, .w = w, .count = count};
}

Suite short_look() {
  return {"default",
          {images(32, 64, 56, 56), images(32, 256, 14, 14), images(32, 512, 7, 7), images(60, 100, 1, 1),
           images(12, 4, 8, 8)}};
}

// Training with 50 images of 224 x 224 pixels.
Suite resnet_50() {
  return {"resnet_50",
          {
              images(50, 64, 112, 112, 1),
              images(50, 256, 56, 56, 4),
              images(50, 64, 56, 56, 6),
              images(50, 512, 28, 28, 5),
              images(50, 128, 28, 28, 8),
              images(50, 1024, 14, 14, 7),
              images(50, 256, 14, 14, 12),
              images(50, 2048, 7, 7, 4),
              images(50, 512, 7, 7, 6),
          }};
}

// One image: inference and fine-tuning.
Suite densenet_121() {
  return {
      "densenet_121",
      {
          images(1, 64, 112, 112, 1), images(1, 64, 57, 57, 1),  images(1, 128, 57, 57, 7),  images(1, 96, 57, 57, 1),
          images(1, 160, 57, 57, 1),  images(1, 192, 57, 57, 1), images(1, 224, 57, 57, 1),  images(1, 256, 57, 57, 1),
          images(1, 128, 29, 29, 13), images(1, 160, 29, 29, 1), images(1, 192, 29, 29, 1),  images(1, 224, 29, 29, 1),
          images(1, 256, 29, 29, 1),  images(1, 288, 29, 29, 1), images(1, 320, 29, 29, 1),  images(1, 352, 29, 29, 1),
          images(1, 384, 29, 29, 1),  images(1, 416, 29, 29, 1), images(1, 448, 29, 29, 1),  images(1, 480, 29, 29, 1),
          images(1, 512, 29, 29, 1),  images(1, 256, 15, 15, 1), images(1, 128, 15, 15, 24), images(1, 288, 15, 15, 1),
          images(1, 320, 15, 15, 1),  images(1, 352, 15, 15, 1), images(1, 384, 15, 15, 1),  images(1, 416, 15, 15, 1),
          images(1, 448, 15, 15, 1),  images(1, 480, 15, 15, 1), images(1, 512, 15, 15, 1),  images(1, 544, 15, 15, 1),
          images(1, 576, 15, 15, 1),  images(1, 608, 15, 15, 1), images(1, 640, 15, 15, 1),  images(1, 672, 15, 15, 1),
          images(1, 704, 15, 15, 1),  images(1, 736, 15, 15, 1), images(1, 768, 15, 15, 1),  images(1, 800, 15, 15, 1),
          images(1, 832, 15, 15, 1),  images(1, 864, 15, 15, 1), images(1, 896, 15, 15, 1),  images(1, 928, 15, 15, 1),
          images(1, 960, 15, 15, 1),  images(1, 992, 15, 15, 1), images(1, 1024, 15, 15, 1), images(1, 512, 8, 8, 1),
          images(1, 128, 8, 8, 16),   images(1, 544, 8, 8, 1),   images(1, 576, 8, 8, 1),    images(1, 608, 8, 8, 1),
          images(1, 640, 8, 8, 1),    images(1, 672, 8, 8, 1),   images(1, 704, 8, 8, 1),    images(1, 736, 8, 8, 1),
          images(1, 768, 8, 8, 1),    images(1, 800, 8, 8, 1),   images(1, 832, 8, 8, 1),    images(1, 864, 8, 8, 1),
          images(1, 896, 8, 8, 1),    images(1, 928, 8, 8, 1),   images(1, 960, 8, 8, 1),    images(1, 992, 8, 8, 1),
          images(1, 1024, 8, 8, 1),
      }};
}

// Rows of layer and RMS normalization, larger than the caches.
Suite rows() {
  return {"rows",
          {images(65536, 64, 1, 1), images(32768, 256, 1, 1), images(16384, 768, 1, 1), images(4096, 4096, 1, 1),
           images(1024, 16384, 1, 1)}};
}

// Images of the stages of a ResNet, whose channels 32 divides.
Suite groups() {
  return {"groups",
          {images(32, 64, 112, 112), images(32, 256, 56, 56), images(32, 512, 28, 28), images(32, 1024, 14, 14)}};
}

}  // namespace

const std::vector<Suite>& built_in_suites() {
  static const std::vector<Suite> suites = {short_look(), resnet_50(), densenet_121(), rows(), groups()};
  return suites;
}

}  // namespace unitvar::bench
