// One random run: publishers and readers against a world, through several lives of its gateway. The
// same code whatever the world; what happened is in the story, for the judge.
//
// At the end nobody publishes any more, all readers come back, others begin at a quiet gateway, and
// everybody reads until an event that is the last.
//
// Thread: the driver's.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "model/judge.h"
#include "model/matcher.h"
#include "model/plan.h"
#include "model/publisher.h"
#include "model/story.h"
#include "model/world.h"

namespace sluice::model {

struct DriverBounds {
  int lives = 4;
  int steps = 700;         // of a life
  int patience = 200'000;  // steps until somebody who waits gives up: the run has failed
};

class Driver {
 public:
  static constexpr size_t kReadersMax = 22;
  static constexpr int kAttempts = 20;

  Driver(World& world, Story& story, Plan& plan, const DriverBounds& bounds)
      : world_(world), story_(story), plan_(plan), bounds_(bounds) {}

  // The numbers of the events that came last. Empty: it broke off, and the story says why.
  std::vector<size_t> Run() {
    for (int life = 1; life <= bounds_.lives; ++life) {
      if (!Begin()) return {};
      const int quiet_until = plan_.OneIn(2) ? bounds_.steps / 6 : 0;
      for (int step = 0; step < bounds_.steps; ++step) Act(step < quiet_until);
      if (life < bounds_.lives) End();
    }
    return Settle();
  }

 private:
  struct User {
    size_t reader = 0;  // of the story
    World::Peer peer = 0;
    bool is_connected = false;
    bool is_witness = false;  // asks for everything, and reads always
    size_t reads_max = SIZE_MAX;
    BlockSplitter splitter;
    std::string last_id;
    bool is_open = false;
    size_t seen = SIZE_MAX;  // the number that came last
    From from = From::kNow;
    uint32_t newest_count = 0;
  };

  Reader& ReaderOf(const User& user) { return story_.readers[user.reader]; }
  size_t life() const { return story_.lives.size() - 1; }

  User& AddUser(std::vector<std::string> patterns) {
    User user;
    user.reader = story_.readers.size();
    story_.readers.emplace_back().patterns = std::move(patterns);
    users_.push_back(std::move(user));
    return users_.back();
  }

  // --- Lives ---

  // Before anybody publishes, somebody asks where this life begins.
  bool Begin() {
    std::string why;
    if (!world_.Start(&why)) {
      story_.faults.push_back("it does not start: " + why);
      return false;
    }
    story_.lives.emplace_back();
    User probe;
    probe.reader = story_.readers.size();
    story_.readers.push_back({.patterns = {"**"}, .connections = {}, .reads_to_the_end = false});
    Connect(&probe);
    if (!Await(
            [&] {
              Read(&probe);
              if (!probe.is_connected) Connect(&probe);
              return probe.is_open;
            },
            {&probe})) {
      return false;
    }
    story_.lives.back().first_sequence = ParseOwnId(probe.last_id).sequence + 1;
    // Known before any other block of this life is looked at, as it is told to who comes first.
    world_.Cut(probe.peer, false);
    if (users_.empty()) {
      AddUser({"**"}).is_witness = true;
      for (int i = 0; i < 3; ++i) publishers_.emplace_back(world_, story_, plan_, repeatables_);
    }
    Connect(&users_.front());
    return true;
  }

  void End() {
    const bool stops = plan_.OneIn(4);
    const bool cuts_power = !stops && world_.CanLosePower() && plan_.OneIn(2);
    story_.lives.back().ending = stops        ? Ending::kStop
                                 : cuts_power ? Ending::kPowerLoss
                                              : Ending::kKill;
    if (stops) {
      world_.BeginStop();
      for (User& user : users_) user.reads_max = SIZE_MAX;
      Await([&] {
        ReadAll();
        return world_.HasStopped();
      });
    } else {
      world_.Kill(story_.lives.back().ending);
    }
    // Some have what was on its way, some do not.
    for (User& user : users_) {
      if (user.is_connected && !plan_.OneIn(3)) Read(&user);
      if (user.is_connected) Disconnect(&user);
    }
    for (Publisher& publisher : publishers_) {
      publisher.Read();
      publisher.Forget();
    }
  }

  // Turns until it is so; false, and a fault, if that takes too long.
  template <typename Fact>
  bool Await(Fact&& fact, std::vector<User*> who = {}) {
    for (int step = 0; step < bounds_.patience && story_.faults.empty(); ++step) {
      if (fact()) return true;
      Step(who);
    }
    if (story_.faults.empty()) story_.faults.push_back("what is waited for does not come" + Lot());
    return false;
  }

  // For messages: how it stands with all.
  std::string Lot() const {
    std::string text;
    for (const User& user : users_) {
      text += "\n  reader " + std::to_string(user.reader) + (user.is_connected ? "" : " away") +
              (user.is_open ? "" : " not open") + ", last id " + user.last_id;
    }
    for (const Publisher& publisher : publishers_) {
      text += std::string("\n  publisher") + (publisher.is_connected() ? "" : " away") +
              (publisher.awaits() ? " waits" : "");
    }
    return text;
  }

  void Step(const std::vector<User*>& also = {}) {
    std::vector<World::Peer> awaited;
    for (const User& user : users_) {
      if (user.is_connected && user.reads_max != 0) awaited.push_back(user.peer);
    }
    for (const User* user : also) awaited.push_back(user->peer);
    for (const Publisher& publisher : publishers_) {
      if (publisher.is_connected()) awaited.push_back(publisher.peer());
    }
    world_.Step(awaited);
  }

  // --- A life ---

  void Act(bool is_quiet) {
    switch (plan_.Below(10)) {
      case 0:
        if (users_.size() < kReadersMax) {
          Connect(&AddUser(plan_.Patterns()));
          break;
        }
        [[fallthrough]];
      case 1:
        Behave(&users_[plan_.Below(static_cast<uint32_t>(users_.size()))]);
        break;
      case 2:
      case 3:
      case 4:
        if (!is_quiet) publishers_[plan_.Below(3)].Act();
        break;
      case 5:
      case 6:
        ReadAll();
        if (plan_.OneIn(20)) world_.SlowDisk(plan_.OneIn(2));
        break;
      default:
        Step();
    }
  }

  void Behave(User* user) {
    if (!user->is_connected) return Connect(user);
    if (user->is_witness) return;
    switch (plan_.Below(10)) {
      case 0:
        // At whatever byte it is.
        Read(user);
        if (user->is_connected) world_.Cut(user->peer, plan_.OneIn(2));
        Disconnect(user);
        if (plan_.OneIn(2)) Connect(user);
        break;
      default:
        if (user->reads_max == 0 && !plan_.OneIn(5)) break;  // for a while
        constexpr size_t kReads[] = {0, 0, 30, 300, 3000, SIZE_MAX, SIZE_MAX};
        user->reads_max = kReads[plan_.Below(7)];
    }
  }

  // --- Readers ---

  void DrawStart(User* user) {
    switch (plan_.Below(9)) {
      case 0:
      case 1:
        user->from = From::kEarliest;
        break;
      case 2:
        user->from = From::kNewest;
        user->newest_count = 1 + plan_.Below(30);
        break;
      case 3:
      case 4:
        user->from = From::kValues;
        break;
      case 5:
        user->last_id = plan_.OneIn(2) ? "nobody-knows" : "0123456789ab-17";
        break;
      case 6:
        if (const std::string id = SomeId(); !id.empty()) user->last_id = id;
        break;
      default:
        user->from = From::kNow;
    }
  }

  // Of an event that another has been told of.
  std::string SomeId() {
    if (story_.sent.empty()) return "";
    const auto count = static_cast<uint32_t>(story_.sent.size());
    return story_.sent[plan_.Below(count)].told_id;
  }

  // With its last id; without one, where it wants to begin.
  void Connect(User* user) {
    const bool is_probe = !ReaderOf(*user).reads_to_the_end;
    if (user->last_id.empty() && !user->is_witness && !is_probe) DrawStart(user);
    Connection connection{.life = life(),
                          .last_id = user->last_id,
                          .from = user->from,
                          .newest_count = user->newest_count,
                          .begun_at = story_.Next(),
                          .blocks = {}};
    const auto& patterns = ReaderOf(*user).patterns;
    std::string target = "/stream?";
    for (const std::string& pattern : patterns) target += "topic=" + pattern + "&";
    if (patterns.size() == 1 && plan_.OneIn(2)) target = "/stream/" + patterns[0] + "?";
    if (user->from == From::kEarliest) target += "from=earliest&";
    if (user->from == From::kValues) target += "from=values&";
    if (user->from == From::kNewest) target += "from=-" + std::to_string(user->newest_count) + "&";
    std::string header;
    if (!user->last_id.empty() && plan_.OneIn(4)) {
      target += "last_event_id=" + user->last_id;
    } else if (!user->last_id.empty()) {
      header = "Last-Event-ID: " + user->last_id + "\r\n";
    }
    ReaderOf(*user).connections.push_back(std::move(connection));
    user->peer = world_.Connect(!user->is_witness && !is_probe && !plan_.OneIn(4));
    user->is_connected = true;
    user->is_open = false;
    user->splitter = BlockSplitter();
    if (!user->is_witness && !is_probe && plan_.OneIn(3)) user->reads_max = 0;
    world_.Write(user->peer, "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" +
                                 "Accept: text/event-stream\r\n" + header + "\r\n");
  }

  void Disconnect(User* user) { user->is_connected = user->is_open = false; }

  // As a browser keeps the last id: of each whole block.
  void Read(User* user) {
    const std::string bytes = world_.Read(user->peer, user->reads_max);
    std::vector<Block> blocks;
    if (!user->splitter.Feed(bytes, story_.Next(), &blocks)) {
      story_.faults.push_back("a stream is refused: " + user->splitter.head());
    }
    auto& heard = ReaderOf(*user).connections.back().blocks;
    for (Block& block : blocks) {
      if (const std::string id = FieldOf(block.text, "id"); !id.empty()) user->last_id = id;
      if (IsOf(block.text, "sluice.open")) user->is_open = true;
      if (const size_t number = NumberOf(block.text); number != SIZE_MAX) user->seen = number;
      heard.push_back(std::move(block));
    }
    if (bytes.empty() && world_.IsAtEnd(user->peer)) {
      world_.Cut(user->peer, false);
      Disconnect(user);
    }
  }

  void ReadAll() {
    for (User& user : users_) {
      if (user.is_connected && user.reads_max != 0) Read(&user);
      if (user.is_witness && !user.is_connected && !world_.HasStopped()) Connect(&user);
    }
    for (Publisher& publisher : publishers_) publisher.Read();
  }

  // --- The end ---

  std::vector<size_t> Settle() {
    world_.SlowDisk(false);
    for (Publisher& publisher : publishers_) publisher.EndLines();
    if (!Await([&] {
          ReadAll();
          return std::none_of(publishers_.begin(), publishers_.end(),
                              [](const Publisher& publisher) { return publisher.awaits(); });
        })) {
      return {};
    }
    // What is there now is known to the last event.
    for (int i = 0; i < 12; ++i) Connect(&AddUser(plan_.Patterns()));
    for (User& user : users_) user.reads_max = SIZE_MAX;
    if (!Await([&] {
          ReadAndReturn();
          return std::all_of(users_.begin(), users_.end(),
                             [](const User& user) { return user.is_open; });
        })) {
      return {};
    }
    // Who is cut off before it has any id begins anew behind them: then there are others.
    for (int attempt = 0; attempt < kAttempts && story_.faults.empty(); ++attempt) {
      const std::vector<size_t> ends = PublishEnds();
      for (int step = 0; step < bounds_.patience / kAttempts; ++step) {
        ReadAndReturn();
        if (AllHave(ends)) return ends;
        Step();
      }
    }
    story_.faults.push_back("somebody never gets to the end" + Lot());
    return {};
  }

  // To all that ask for a topic, then to all that ask for none.
  std::vector<size_t> PublishEnds() {
    std::vector<size_t> ends;
    for (const bool has_topics : {true, false}) {
      const size_t number = story_.sent.size();
      Sent sent;
      sent.key = "end";
      sent.data = "e" + std::to_string(number) + " end";
      sent.life = life();
      if (has_topics) sent.topics = Names();
      if (has_topics) sent.topics.push_back("none/a");
      sent.sent_at = story_.Next();
      story_.sent.push_back(std::move(sent));
      ends.push_back(number);
      Await([&] {
        ReadAndReturn();
        publishers_[0].SendSurely(number);
        return story_.sent[number].fate == Fate::kAccepted;
      });
    }
    return ends;
  }

  void ReadAndReturn() {
    ReadAll();
    for (User& user : users_) {
      if (!user.is_connected) Connect(&user);
      user.reads_max = SIZE_MAX;
    }
  }

  bool AllHave(const std::vector<size_t>& ends) const {
    return std::all_of(users_.begin(), users_.end(), [&](const User& user) {
      const auto& patterns = story_.readers[user.reader].patterns;
      return user.seen == (WantsNoTopic(patterns) ? ends[1] : ends[0]);
    });
  }

  World& world_;
  Story& story_;
  Plan& plan_;
  const DriverBounds bounds_;
  std::deque<User> users_;  // they keep their place
  std::deque<Publisher> publishers_;
  std::vector<Repeatable> repeatables_;
};

// What is wrong with a run; nothing if the model allows all of it.
inline std::vector<std::string> JudgeRun(const Story& story, const std::vector<size_t>& ends,
                                         Counts* counts) {
  std::vector<std::string> faults = story.faults;
  const Truth truth(story);
  faults.insert(faults.end(), truth.faults().begin(), truth.faults().end());
  for (size_t i = 0; i < story.readers.size(); ++i) {
    const Reader& reader = story.readers[i];
    const auto fault = Judge(story, truth, reader, counts).Look(ends);
    if (!fault) continue;
    std::string asked;
    for (const std::string& pattern : reader.patterns) asked += " " + pattern;
    faults.push_back("reader " + std::to_string(i) + " of" + asked + ": " + *fault);
  }
  (*counts)["unplaced events"] += truth.unplaced();
  (*counts)["events sent"] += story.sent.size();
  (*counts)["repeats"] += story.repeats;
  for (const Life& life : story.lives) {
    if (life.ending == Ending::kStop) ++(*counts)["stops"];
    if (life.ending == Ending::kKill) ++(*counts)["kills"];
    if (life.ending == Ending::kPowerLoss) ++(*counts)["losses of power"];
  }
  return faults;
}

}  // namespace sluice::model
