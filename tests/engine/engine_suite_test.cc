// The contract of engine.h, on every engine.
#include "engine/engine_suite.h"

#include <algorithm>
#include <set>
#include <thread>

namespace sluice {

void EngineSuite::Start(WorldOptions options) {
  world_.reset();
  world_ = GetParam().make(options);
  ASSERT_NE(world_, nullptr);
  ASSERT_EQ(engine().kind(), GetParam().kind);
}

size_t EngineSuite::Turn(int64_t deadline_ns) {
  std::vector<EngineEvent> turn(room_);
  size_t count = engine().Wait(deadline_ns, turn);
  EXPECT_LE(count, room_);
  for (size_t i = 0; i < count; ++i) {
    received_.emplace_back(turn[i].bytes.data(), turn[i].bytes.size());
    turn[i].bytes = {};
    events_.push_back(turn[i]);
  }
  return count;
}

bool EngineSuite::Until(const std::function<bool()>& fact) {
  int64_t end_ns = engine().Now() + kPatienceNs;
  while (!fact()) {
    if (engine().Now() >= end_ns) return false;
    world().Step();
    Turn(engine().Now() + kNsPerMs);
  }
  return true;
}

void EngineSuite::Settle() {
  int quiet = 0;
  while (quiet < 5) {
    world().Step();
    quiet = Turn(engine().Now() + 2 * kNsPerMs) == 0 ? quiet + 1 : 0;
  }
}

EngineSuite::Pair EngineSuite::Open(PeerFamily family) {
  size_t before = events_.size();
  Pair pair;
  pair.peer = world().Connect(family);
  EXPECT_GE(pair.peer, 0);
  size_t at = before;
  bool is_there = Until([&] {
    while (at < events_.size() && events_[at].kind != EngineEventKind::kAccepted) ++at;
    return at < events_.size();
  });
  EXPECT_TRUE(is_there) << "the connection was not accepted";
  if (!is_there) return pair;
  pair.connection = events_[at].connection;
  pair.address = events_[at].peer;
  pair.listener = events_[at].listener;
  return pair;
}

int32_t EngineSuite::Send(ConnectionId connection, std::string_view bytes) {
  iovec vec{const_cast<char*>(bytes.data()), bytes.size()};
  SendRequest request{connection, &vec, 1, 12345};
  engine().Send({&request, 1});
  return request.result;
}

std::string EngineSuite::Fill(ConnectionId connection) {
  std::string taken;
  std::string block(64 * 1024, 'x');
  for (int i = 0;; ++i) {
    for (size_t at = 0; at < block.size(); ++at) block[at] = static_cast<char>('a' + (at + i) % 26);
    int32_t result = Send(connection, block);
    if (result < 0) {
      EXPECT_EQ(result, -EAGAIN);
      return taken;
    }
    EXPECT_LE(result, static_cast<int32_t>(block.size()));
    taken.append(block, 0, static_cast<size_t>(result));
  }
}

void EngineSuite::FillForGood(std::vector<Pair>* pairs, std::vector<std::string>* taken) {
  for (int quiet = 0; quiet < 3;) {
    bool is_quiet = true;
    for (size_t i = 0; i < pairs->size(); ++i) {
      std::string more = Fill((*pairs)[i].connection);
      is_quiet &= more.empty();
      (*taken)[i] += more;
    }
    Settle();
    quiet = is_quiet ? quiet + 1 : 0;
  }
}

std::string EngineSuite::ReadAll(int peer, size_t bytes) {
  std::string got;
  bool is_end = false;
  Until([&] {
    got += world().ReadSome(peer, bytes - got.size(), &is_end);
    return got.size() == bytes || is_end;
  });
  return got;
}

bool EngineSuite::UntilPeerEnd(int peer) {
  bool is_end = false;
  return Until([&] {
    world().ReadSome(peer, 1 << 20, &is_end);
    return is_end;
  });
}

const EngineEvent* EngineSuite::Find(EngineEventKind kind, ConnectionId connection) const {
  for (const EngineEvent& event : events_) {
    if (event.kind == kind && event.connection == connection) return &event;
  }
  return nullptr;
}

size_t EngineSuite::Count(EngineEventKind kind, ConnectionId connection) const {
  size_t count = 0;
  for (const EngineEvent& event : events_) {
    count += event.kind == kind && event.connection == connection;
  }
  return count;
}

std::string EngineSuite::Received(ConnectionId connection) const {
  std::string bytes;
  for (size_t i = 0; i < events_.size(); ++i) {
    if (events_[i].connection == connection) bytes += received_[i];
  }
  return bytes;
}

namespace {

using enum EngineEventKind;

TEST_P(EngineSuite, AcceptsWithThePeersAddress) {
  Start();
  Pair v4 = Open(PeerFamily::kIpv4);
  EXPECT_EQ(v4.address.family, AF_INET);
  EXPECT_EQ(v4.address.ToString(), "127.0.0.1:" + std::to_string(world().port(v4.peer)));
  EXPECT_EQ(v4.listener, 0u);
  Pair v6 = Open(PeerFamily::kIpv6);
  EXPECT_EQ(v6.address.ToString(), "[::1]:" + std::to_string(world().port(v6.peer)));
  EXPECT_EQ(v6.listener, 1u);
  Pair local = Open(PeerFamily::kUnix);
  EXPECT_EQ(local.address.family, AF_UNIX);
  EXPECT_EQ(local.listener, 2u);
  for (const Pair& pair : {v4, v6, local}) EXPECT_TRUE(pair.address.is_loopback());
  EXPECT_EQ(engine().connections(), 3u);
  EXPECT_NE(v4.connection.slot, v6.connection.slot);
  EXPECT_LT(local.connection.slot, engine().connections_max());
}

TEST_P(EngineSuite, ReadsNothingWhilePaused) {
  Start();
  Pair pair = Open();
  world().Write(pair.peer, "too early");
  Settle();
  EXPECT_EQ(Count(kReceived, pair.connection), 0u);
  engine().Read(pair.connection, ReadMode::kReceive);
  EXPECT_TRUE(Until([&] { return Received(pair.connection) == "too early"; }));
}

TEST_P(EngineSuite, ReceivesThenGoesOnReceiving) {
  Start();
  for (PeerFamily family : {PeerFamily::kIpv4, PeerFamily::kIpv6, PeerFamily::kUnix}) {
    Forget();
    Pair pair = Open(family);
    engine().Read(pair.connection, ReadMode::kReceive);
    std::string want;
    for (int i = 0; i < 50; ++i) {
      std::string part = "part " + std::to_string(i) + ";";
      world().Write(pair.peer, part);
      want += part;
      ASSERT_TRUE(Until([&] { return Received(pair.connection) == want; })) << i;
    }
  }
}

TEST_P(EngineSuite, ServesEveryoneWhileOneSendsWithoutEnd) {
  Start();
  Pair loud = Open();
  Pair quiet = Open();
  engine().Read(loud.connection, ReadMode::kReceive);
  engine().Read(quiet.connection, ReadMode::kReceive);
  std::string block(256 * 1024, 'l');
  size_t written = 0;
  size_t loud_got = 0;
  std::string quiet_got;
  Forget();
  auto take = [&] {
    // One Wait: at most one receive a connection, and a bounded one.
    EXPECT_LE(Count(kReceived, loud.connection), 1u);
    loud_got += Received(loud.connection).size();
    EXPECT_LE(Received(loud.connection).size(), 16u * 1024);
    quiet_got += Received(quiet.connection);
    Forget();
  };
  std::string want;
  for (int i = 0; i < 20; ++i) {
    std::string part = "q" + std::to_string(i) + ";";
    want += part;
    world().Write(quiet.peer, part);
    ASSERT_TRUE(Until([&] {
      take();
      // Its side never runs dry.
      if (written - loud_got < block.size()) written += world().Write(loud.peer, block);
      return quiet_got == want;
    }));
  }
  EXPECT_TRUE(Until([&] {
    take();
    return loud_got == written;
  }));
}

TEST_P(EngineSuite, KeepsTheOrderOfALargeInput) {
  Start();
  Pair pair = Open();
  engine().Read(pair.connection, ReadMode::kReceive);
  std::string all(3'000'000, 0);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<char>(i * 2654435761u >> 13);
  size_t written = 0;
  std::string got;
  ASSERT_TRUE(Until([&] {
    written += world().Write(pair.peer, std::string_view(all).substr(written));
    got += Received(pair.connection);
    Forget();
    return got.size() == all.size();
  }));
  EXPECT_TRUE(got == all);
}

TEST_P(EngineSuite, TellsTheReadEndOnceAfterTheBytesAndMaySendOn) {
  Start();
  for (PeerFamily family : {PeerFamily::kIpv4, PeerFamily::kUnix}) {
    Forget();
    Pair pair = Open(family);
    engine().Read(pair.connection, ReadMode::kReceive);
    world().Write(pair.peer, "last words");
    world().ShutdownWrite(pair.peer);
    ASSERT_TRUE(Until([&] { return Count(kReadEnd, pair.connection) == 1; }));
    EXPECT_EQ(Received(pair.connection), "last words");
    EXPECT_EQ(events_.back().kind, kReadEnd);
    Settle();
    EXPECT_EQ(Count(kReadEnd, pair.connection), 1u);
    EXPECT_EQ(Count(kHangUp, pair.connection), 0u);
    EXPECT_EQ(Send(pair.connection, "answer"), 6);
    EXPECT_EQ(ReadAll(pair.peer, 6), "answer");
  }
}

TEST_P(EngineSuite, TellsAFinAsHangUpWhileWatching) {
  Start();
  for (PeerFamily family : {PeerFamily::kIpv4, PeerFamily::kUnix}) {
    Pair pair = Open(family);
    engine().Read(pair.connection, ReadMode::kWatch);
    Settle();
    EXPECT_EQ(Count(kHangUp, pair.connection), 0u);
    world().ShutdownWrite(pair.peer);
    ASSERT_TRUE(Until([&] { return Count(kHangUp, pair.connection) == 1; }));
    EXPECT_EQ(Find(kHangUp, pair.connection)->error, 0);
    Settle();
    EXPECT_EQ(Count(kHangUp, pair.connection), 1u);
  }
}

TEST_P(EngineSuite, TellsAFinThatCameWhilePausedOnceItWatches) {
  Start();
  Pair pair = Open();
  world().ShutdownWrite(pair.peer);
  Settle();
  EXPECT_EQ(Count(kHangUp, pair.connection), 0u);
  engine().Read(pair.connection, ReadMode::kWatch);
  EXPECT_TRUE(Until([&] { return Count(kHangUp, pair.connection) == 1; }));
}

TEST_P(EngineSuite, WatchesWithoutReadingWhatThePeerSends) {
  Start();
  Pair pair = Open();
  engine().Read(pair.connection, ReadMode::kReceive);
  world().Write(pair.peer, "request");
  ASSERT_TRUE(Until([&] { return Received(pair.connection) == "request"; }));
  engine().Read(pair.connection, ReadMode::kWatch);
  Settle();
  world().Write(pair.peer, "noise");
  Settle();
  EXPECT_EQ(Count(kHangUp, pair.connection), 0u);
  // Back to reading, as a closing connection does: what was left is there, then the end.
  world().ShutdownWrite(pair.peer);
  ASSERT_TRUE(Until([&] { return Count(kHangUp, pair.connection) == 1; }));
  engine().Read(pair.connection, ReadMode::kReceive);
  ASSERT_TRUE(Until([&] { return Count(kReadEnd, pair.connection) == 1; }));
  EXPECT_EQ(Received(pair.connection), "requestnoise");
}

TEST_P(EngineSuite, TellsAResetWithItsError) {
  Start();
  for (ReadMode mode : {ReadMode::kReceive, ReadMode::kWatch}) {
    Pair pair = Open();
    engine().Read(pair.connection, mode);
    Settle();
    world().Reset(pair.peer);
    ASSERT_TRUE(Until([&] { return Count(kHangUp, pair.connection) == 1; }));
    EXPECT_EQ(Find(kHangUp, pair.connection)->error, ECONNRESET);
    Settle();
    EXPECT_EQ(Count(kHangUp, pair.connection), 1u);
    EXPECT_LT(Send(pair.connection, "into the void"), 0);
    engine().Close(pair.connection);
  }
}

TEST_P(EngineSuite, TellsAResetAfterTheReadEnd) {
  Start();
  Pair pair = Open();
  engine().Read(pair.connection, ReadMode::kReceive);
  world().ShutdownWrite(pair.peer);
  ASSERT_TRUE(Until([&] { return Count(kReadEnd, pair.connection) == 1; }));
  Settle();
  world().Reset(pair.peer);
  ASSERT_TRUE(Until([&] { return Count(kHangUp, pair.connection) == 1; }));
  EXPECT_EQ(Find(kHangUp, pair.connection)->error, ECONNRESET);
}

TEST_P(EngineSuite, TellsAHangUpToWhoWatchesAfterTheReadEnd) {
  Start();
  Pair pair = Open();
  engine().Read(pair.connection, ReadMode::kReceive);
  world().ShutdownWrite(pair.peer);
  ASSERT_TRUE(Until([&] { return Count(kReadEnd, pair.connection) == 1; }));
  engine().Read(pair.connection, ReadMode::kWatch);
  ASSERT_TRUE(Until([&] { return Count(kHangUp, pair.connection) == 1; }));
  EXPECT_EQ(Find(kHangUp, pair.connection)->error, 0);
  Settle();
  EXPECT_EQ(Count(kHangUp, pair.connection), 1u);
}

TEST_P(EngineSuite, FollowsEveryChangeOfTheReadMode) {
  Start();
  Pair pair = Open();
  std::string want;
  for (int i = 0; i < 60; ++i) {
    engine().Read(pair.connection, ReadMode(i % 3));
    if (i % 4 == 0) engine().Read(pair.connection, ReadMode((i + 1) % 3));
    if (i % 2 == 0) Turn(0);
    std::string part = std::to_string(i) + ",";
    world().Write(pair.peer, part);
    want += part;
    Turn(engine().Now() + 100 * kNsPerUs);
  }
  engine().Read(pair.connection, ReadMode::kReceive);
  EXPECT_TRUE(Until([&] { return Received(pair.connection) == want; }))
      << Received(pair.connection);
  engine().Read(pair.connection, ReadMode::kWatch);
  Settle();
  EXPECT_EQ(Count(kHangUp, pair.connection), 0u);
  world().ShutdownWrite(pair.peer);
  EXPECT_TRUE(Until([&] { return Count(kHangUp, pair.connection) == 1; }));
}

TEST_P(EngineSuite, RunsOnAnotherThreadThanTheOneThatMadeIt) {
  Start();
  std::thread owner([&] {
    Pair pair = Open();
    engine().Read(pair.connection, ReadMode::kReceive);
    EXPECT_EQ(Send(pair.connection, "over here"), 9);
    EXPECT_EQ(ReadAll(pair.peer, 9), "over here");
    world().Write(pair.peer, "and back");
    EXPECT_TRUE(Until([&] { return Received(pair.connection) == "and back"; }));
  });
  owner.join();
}

TEST_P(EngineSuite, SendsOneAndManyPieces) {
  Start();
  Pair pair = Open();
  EXPECT_EQ(Send(pair.connection, "one"), 3);
  std::string pieces[] = {"a", "", "bcd", std::string(5'000, 'e')};
  iovec vecs[4];
  for (int i = 0; i < 4; ++i) vecs[i] = {pieces[i].data(), pieces[i].size()};
  SendRequest request{pair.connection, vecs, 4, 0};
  engine().Send({&request, 1});
  ASSERT_GT(request.result, 0);
  std::string want = "oneabcd" + pieces[3];
  want.resize(3 + static_cast<size_t>(request.result));
  EXPECT_EQ(ReadAll(pair.peer, want.size()), want);
}

TEST_P(EngineSuite, SaysEagainToAFullPeerThenWritableOnce) {
  Start();
  for (PeerFamily family : {PeerFamily::kIpv4, PeerFamily::kUnix}) {
    Forget();
    Pair pair = Open(family);
    engine().Read(pair.connection, ReadMode::kWatch);
    std::vector<Pair> one{pair};
    std::vector<std::string> all(1);
    std::string& taken = all[0];
    // On a busy machine the kernel may move bytes to the peer's buffer even later: then there is
    // room, and to say so is right. Filled anew, until there is nothing to say.
    bool is_full = false;
    for (int attempt = 0; attempt < 100 && !is_full; ++attempt) {
      Forget();
      FillForGood(&one, &all);
      engine().WatchWritable(pair.connection);
      engine().WatchWritable(pair.connection);
      Settle();
      if (Count(kWritable, pair.connection) != 0) continue;
      const int32_t sent = Send(pair.connection, "x");
      is_full = sent == -EAGAIN;
      if (sent > 0) taken += "x";
    }
    ASSERT_TRUE(is_full);
    EXPECT_TRUE(ReadAll(pair.peer, taken.size()) == taken);
    ASSERT_TRUE(Until([&] { return Count(kWritable, pair.connection) == 1; }));
    EXPECT_EQ(Send(pair.connection, "again"), 5);
    EXPECT_EQ(ReadAll(pair.peer, 5), "again");
    Settle();
    EXPECT_EQ(Count(kWritable, pair.connection), 1u);
  }
}

TEST_P(EngineSuite, TellsWritableThoughTheRoomCameBeforeItWasAskedFor) {
  Start();
  Pair pair = Open();
  std::string taken = Fill(pair.connection);
  EXPECT_TRUE(ReadAll(pair.peer, taken.size()) == taken);  // turns of the engine in between
  Settle();
  engine().WatchWritable(pair.connection);
  EXPECT_TRUE(Until([&] { return Count(kWritable, pair.connection) == 1; }));
}

TEST_P(EngineSuite, SendsABatchInOrderWithDeadAndBlockedConnections) {
  Start();
  constexpr size_t kConnections = 96;
  std::vector<Pair> pairs;
  for (size_t i = 0; i < kConnections; ++i) pairs.push_back(Open());
  ConnectionId stale = Open().connection;
  engine().Close(stale);
  std::vector<Pair> blocked;
  for (size_t i = 0; i < kConnections; ++i) {
    engine().Read(pairs[i].connection, ReadMode::kWatch);
    if (i % 8 == 3) blocked.push_back(pairs[i]);
    if (i % 8 == 5) world().Reset(pairs[i].peer);
  }
  Settle();
  std::vector<std::string> taken(blocked.size());
  FillForGood(&blocked, &taken);
  std::vector<std::string> frames(kConnections);
  std::vector<iovec> vecs(kConnections + 1);
  std::vector<SendRequest> batch(kConnections + 1);
  for (size_t i = 0; i < kConnections; ++i) {
    frames[i] = "frame " + std::to_string(i);
    vecs[i] = {frames[i].data(), frames[i].size()};
    batch[i] = {pairs[i].connection, &vecs[i], 1, 12345};
  }
  batch[kConnections] = {stale, &vecs[0], 1, 12345};
  engine().Send(batch);
  for (size_t i = 0; i < kConnections; ++i) {
    if (i % 8 == 3) {
      EXPECT_EQ(batch[i].result, -EAGAIN) << i;
    } else if (i % 8 == 5) {
      EXPECT_LT(batch[i].result, 0) << i;
      EXPECT_NE(batch[i].result, -EAGAIN) << i;
    } else {
      ASSERT_EQ(batch[i].result, static_cast<int32_t>(frames[i].size())) << i;
      EXPECT_EQ(ReadAll(pairs[i].peer, frames[i].size()), frames[i]);
    }
  }
  EXPECT_EQ(batch[kConnections].result, -EBADF);
}

TEST_P(EngineSuite, SendsALargeBatchToManyConnections) {
  Start();
  constexpr size_t kConnections = 1'024;
  std::vector<Pair> pairs;
  for (size_t i = 0; i < kConnections; ++i) pairs.push_back(Open());
  std::vector<std::string> frames(kConnections);
  std::vector<iovec> vecs(2 * kConnections);
  std::vector<SendRequest> batch(kConnections);
  for (size_t round = 0; round < 3; ++round) {
    for (size_t i = 0; i < kConnections; ++i) {
      frames[i] = "round " + std::to_string(round) + " frame " + std::to_string(i);
      vecs[2 * i] = {frames[i].data(), 6};
      vecs[2 * i + 1] = {frames[i].data() + 6, frames[i].size() - 6};
      batch[i] = {pairs[i].connection, &vecs[2 * i], 2, 12345};
    }
    engine().Send(batch);
    for (size_t i = 0; i < kConnections; ++i) {
      ASSERT_EQ(batch[i].result, static_cast<int32_t>(frames[i].size())) << i;
      ASSERT_EQ(ReadAll(pairs[i].peer, frames[i].size()), frames[i]);
    }
  }
}

TEST_P(EngineSuite, CloseEndsThePeerAtOnceWhateverIsArmed) {
  Start();
  for (PeerFamily family : {PeerFamily::kIpv4, PeerFamily::kUnix}) {
    for (ReadMode mode : {ReadMode::kPaused, ReadMode::kReceive, ReadMode::kWatch}) {
      Forget();
      Pair pair = Open(family);
      engine().Read(pair.connection, mode);
      std::string taken = Fill(pair.connection);
      engine().WatchWritable(pair.connection);
      Settle();
      engine().Close(pair.connection);
      size_t before = events_.size();
      EXPECT_TRUE(UntilPeerEnd(pair.peer));
      for (size_t i = before; i < events_.size(); ++i) {
        EXPECT_NE(events_[i].connection, pair.connection);
      }
      EXPECT_TRUE(Until([&] { return engine().connections() == 0; }));
      world().Vanish(pair.peer);
    }
  }
}

TEST_P(EngineSuite, ShutdownEndsOurSideAndGoesOnReceiving) {
  Start();
  Pair pair = Open();
  engine().Read(pair.connection, ReadMode::kReceive);
  Settle();
  EXPECT_EQ(Send(pair.connection, "bye"), 3);
  engine().Shutdown(pair.connection);
  EXPECT_EQ(ReadAll(pair.peer, 3), "bye");
  EXPECT_TRUE(UntilPeerEnd(pair.peer));
  world().Write(pair.peer, "still here");
  EXPECT_TRUE(Until([&] { return Received(pair.connection) == "still here"; }));
  world().ShutdownWrite(pair.peer);
  EXPECT_TRUE(Until([&] { return Count(kReadEnd, pair.connection) == 1; }));
}

TEST_P(EngineSuite, IgnoresStaleIds) {
  Start();
  WorldOptions options;
  options.engine.connections_max = 1;
  Start(options);
  Pair old = Open();
  engine().Close(old.connection);
  Pair young = Open();
  EXPECT_EQ(young.connection.slot, old.connection.slot);
  EXPECT_NE(young.connection.generation, old.connection.generation);
  engine().Read(old.connection, ReadMode::kReceive);
  engine().WatchWritable(old.connection);
  engine().Shutdown(old.connection);
  engine().Close(old.connection);
  EXPECT_EQ(Send(old.connection, "x"), -EBADF);
  world().Write(young.peer, "y");
  Settle();
  EXPECT_EQ(Count(kReceived, young.connection), 0u);
  EXPECT_EQ(Count(kWritable, young.connection), 0u);
  EXPECT_EQ(Send(young.connection, "z"), 1);
  EXPECT_EQ(ReadAll(young.peer, 1), "z");
}

TEST_P(EngineSuite, UsesSlotsAgainOverManyConnections) {
  WorldOptions options;
  options.engine.connections_max = 8;
  Start(options);
  std::set<std::pair<uint32_t, uint32_t>> ids;
  for (int i = 0; i < 3'000; ++i) {
    Forget();
    Pair pair = Open(i % 2 ? PeerFamily::kIpv4 : PeerFamily::kUnix);
    ASSERT_LT(pair.connection.slot, 8u);
    ASSERT_TRUE(ids.insert({pair.connection.slot, pair.connection.generation}).second);
    if (i % 3 == 0) engine().Read(pair.connection, ReadMode::kReceive);
    if (i % 3 == 1) engine().Read(pair.connection, ReadMode::kWatch);
    if (i % 5 == 0) {
      world().Reset(pair.peer);
      engine().Close(pair.connection);
    } else {
      ASSERT_EQ(Send(pair.connection, "hello"), 5);
      engine().Close(pair.connection);
      ASSERT_EQ(ReadAll(pair.peer, 100), "hello");
      world().Vanish(pair.peer);
    }
  }
  EXPECT_TRUE(Until([&] { return engine().connections() == 0; }));
}

TEST_P(EngineSuite, LeavesConnectionsAloneWhileNotAccepting) {
  Start();
  Open();
  engine().Accepting(false);
  Settle();
  Forget();
  world().Connect();
  Settle();
  // What the kernel had taken before the change may still be told, nothing later.
  size_t late = events_.size();
  world().Connect();
  world().Connect();
  Settle();
  EXPECT_EQ(late, 0u);
  EXPECT_EQ(events_.size(), 0u);
  EXPECT_EQ(engine().connections(), 1u);
  engine().Accepting(true);
  EXPECT_TRUE(Until([&] { return engine().connections() == 4; }));
}

TEST_P(EngineSuite, StopsAcceptingWhenFullAndGoesOnAfterAClose) {
  WorldOptions options;
  options.engine.connections_max = 5;
  Start(options);
  EXPECT_EQ(engine().connections_max(), 5u);
  std::vector<int> peers;
  for (int i = 0; i < 9; ++i) peers.push_back(world().Connect());
  ASSERT_TRUE(Until([&] { return engine().connections() == 5; }));
  Settle();
  ASSERT_EQ(events_.size(), 5u);
  ConnectionId first = events_[0].connection;
  engine().Close(first);
  ASSERT_TRUE(Until([&] { return events_.size() == 6; }));
  EXPECT_EQ(events_[5].connection.slot, first.slot);
  Settle();
  EXPECT_EQ(engine().connections(), 5u);
  for (int i = 1; i < 4; ++i) engine().Close(events_[static_cast<size_t>(i)].connection);
  EXPECT_TRUE(Until([&] { return events_.size() == 9; }));
  std::set<uint32_t> slots;
  for (size_t i = 4; i < 9; ++i) slots.insert(events_[i].connection.slot);
  EXPECT_EQ(slots.size(), 5u);
  EXPECT_EQ(*slots.rbegin(), 4u);
}

TEST_P(EngineSuite, ReportsEverythingThoughOneEventFitsAWait) {
  Start();
  std::vector<Pair> pairs;
  for (int i = 0; i < 20; ++i) pairs.push_back(Open());
  Forget();
  for (Pair& pair : pairs) {
    engine().Read(pair.connection, ReadMode::kReceive);
    engine().WatchWritable(pair.connection);
    world().Write(pair.peer, "data");
    world().ShutdownWrite(pair.peer);
  }
  for (int i = 0; i < 20; ++i) world().Connect();
  engine().Wake();
  room_ = 1;
  EXPECT_TRUE(Until([&] { return events_.size() == 20 * 3 + 20 + 1; })) << events_.size();
  for (Pair& pair : pairs) {
    EXPECT_EQ(Received(pair.connection), "data");
    EXPECT_EQ(Count(kWritable, pair.connection), 1u);
    EXPECT_EQ(Count(kReadEnd, pair.connection), 1u);
  }
}

TEST_P(EngineSuite, WakesFromOtherThreads) {
  Start();
  for (int i = 0; i < 20; ++i) {
    Forget();
    std::thread waker([&] { engine().Wake(); });
    while (events_.empty()) Turn(INT64_MAX);
    waker.join();
    EXPECT_EQ(events_[0].kind, kWoken);
    EXPECT_EQ(Turn(0), 0u);
  }
  // A wake before the Wait is not lost, and several are one.
  engine().Wake();
  engine().Wake();
  Forget();
  EXPECT_EQ(Turn(INT64_MAX), 1u);
  EXPECT_EQ(events_[0].kind, kWoken);
  EXPECT_EQ(Turn(0), 0u);
}

TEST_P(EngineSuite, ReturnsAtTheDeadlineAndNotBefore) {
  Start();
  Turn(0);
  for (int64_t delay_ns : {int64_t{0}, 300 * kNsPerUs, 20 * kNsPerMs}) {
    int64_t deadline_ns = engine().Now() + delay_ns;
    EXPECT_EQ(Turn(deadline_ns), 0u);
    EXPECT_GE(engine().Now(), deadline_ns);
  }
}

}  // namespace
}  // namespace sluice
