#include "engine/engine.h"
#include "engine/epoll_engine.h"
#include "engine/io_uring_engine.h"

namespace sluice {

Status CreateEngine(EngineKind kind, const EngineOptions& options,
                    std::unique_ptr<Engine>* engine) {
  switch (kind) {
    case EngineKind::kEpoll:
      return EpollEngine::Create(options, engine);
    case EngineKind::kIoUring:
      return IoUringEngine::Create(options, /*table_size=*/0, engine);
    case EngineKind::kSimulated:
      break;
  }
  // It has peers to be driven: who wants it makes it, with a seed (simulated_engine.h).
  return Status::Unsupported("the simulated engine is for tests: choose io_uring or epoll");
}

}  // namespace sluice
