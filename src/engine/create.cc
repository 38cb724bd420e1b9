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
  return Status::Unsupported("no engine of this kind is built in: choose epoll");
}

}  // namespace sluice
