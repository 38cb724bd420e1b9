// Tests run on each engine that this host offers.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "engine/engine.h"
#include "sluice/options.h"

namespace sluice::test {

// Why this host cannot run it; nothing if it can. epoll is there always.
inline std::optional<std::string> WhyNotOffered(EngineChoice choice) {
  for (const EngineOffer& offer : ProbeEngines()) {
    if (offer.kind == EngineKind::kIoUring && !offer.is_available &&
        choice == EngineChoice::kIoUring) {
      return offer.reason;
    }
  }
  return std::nullopt;
}

}  // namespace sluice::test
