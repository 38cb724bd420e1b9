#include "engine/engine.h"
#include "engine/epoll_engine.h"

namespace sluice {

Status CreateEngine(EngineKind kind, const EngineOptions& options,
                    std::unique_ptr<Engine>* engine) {
  switch (kind) {
    case EngineKind::kEpoll:
      return EpollEngine::Create(options, engine);
    case EngineKind::kIoUring:
    case EngineKind::kSimulated:
      break;
  }
  return Status::Unsupported("no engine of this kind is built in: choose epoll");
}

}  // namespace sluice
