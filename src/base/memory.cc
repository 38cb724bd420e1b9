#include "base/memory.h"

// mimalloc's, where the program is linked with it (mimalloc 2.0, mi_collect).
extern "C" void mi_collect(bool force) __attribute__((weak));

namespace sluice {

void GiveBackMemory() {
  if (mi_collect != nullptr) mi_collect(false);
}

}  // namespace sluice
