// What the kernels link of Highway's library, for the cross build: Debian's package has the headers for every machine
// and the library for the machine that it runs on. Every 64-bit Arm has NEON; unitvar does not ask for more.
#include <hwy/targets.h>

namespace hwy {

int64_t SupportedTargets() { return HWY_NEON | HWY_EMU128 | HWY_SCALAR; }

ChosenTarget& GetChosenTarget() {
  static ChosenTarget chosen;
  return chosen;
}

}  // namespace hwy
