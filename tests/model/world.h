// Where a run takes place: a gateway that lives, dies and lives again over one journal, and peers
// of it. Real sockets and processes, or simulated ones.
//
// Thread: the driver's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/story.h"

namespace sluice::model {

class World {
 public:
  using Peer = size_t;
  virtual ~World() = default;

  // The gateway serves, after this. False: it does not; `why` says so.
  virtual bool Start(std::string* why) = 0;
  // At once; what is under way is lost.
  virtual void Kill(Ending ending) = 0;
  // What was written and not synced goes too.
  virtual bool CanLosePower() const = 0;
  // In order: Step until it has ended.
  virtual void BeginStop() = 0;
  virtual bool HasStopped() = 0;

  // A peer that takes little at once fills up soon.
  virtual Peer Connect(bool takes_little) = 0;
  virtual void Write(Peer peer, std::string_view bytes) = 0;
  virtual std::string Read(Peer peer, size_t bytes_max) = 0;
  // Nothing comes any more.
  virtual bool IsAtEnd(Peer peer) = 0;
  // In the middle of whatever it is; with a reset or without.
  virtual void Cut(Peer peer, bool with_reset) = 0;
  // The gateway gets further; returns soon if one of these peers has something to read.
  virtual void Step(const std::vector<Peer>& awaited) = 0;
  // Something that is slow for a while is slow, or not any more, if the world has such a thing.
  virtual void SlowDisk(bool on) = 0;
};

}  // namespace sluice::model
