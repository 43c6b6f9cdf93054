#pragma once
#include <cstdint>
#include <optional>
#include <vector>

/// Who computes what in bench/digits.cpp.
namespace unitvar::bench {

/// One batch of images of float, channels first or last, gamma and beta being 1 and 0.
struct Images {
  std::int64_t n, c, h, w;
  bool channels_last;
  std::vector<float> x, dy;
};

/// Training forward, then backward with the statistics that the forward saved.
struct Outcome {
  std::vector<float> y, dx, dgamma, dbeta;
};

/// What oneDNN makes of the images; nothing if the program was built without it.
std::optional<Outcome> run_onednn(const Images& images, float eps);

}  // namespace unitvar::bench
