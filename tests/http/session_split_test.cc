// Goal: what a session answers depends on the bytes only, never on how they were split.
// Method: each vector is fed whole, byte by byte and at seeded random splits; the replies must be
// the same to the byte, and have the statuses that the vector names.
#include <gtest/gtest.h>

#include <random>

#include "http/request_vectors.h"
#include "http/site_fixture.h"

namespace sluice::http {
namespace {

std::vector<size_t> RandomCuts(size_t bytes, std::mt19937* random) {
  std::vector<size_t> cuts;
  for (size_t at = 0; bytes > 1;) {
    at += 1 + (*random)() % std::min<size_t>(bytes, 1 + (*random)() % 64);
    if (at >= bytes) break;
    cuts.push_back(at);
  }
  return cuts;
}

TEST(SessionSplit, EveryVectorGetsItsStatuses) {
  for (const RequestVector& vector : RequestVectors()) {
    SiteFixture fixture(VectorOptions());
    const Talk talk = Converse(fixture.site, vector.bytes);
    std::vector<int> expected = vector.statuses;
    // A head has no body, so the reader of replies cannot tell where it ends: look at it alone.
    if (std::string_view(vector.name) == "head of health") {
      EXPECT_TRUE(talk.replies.starts_with("HTTP/1.1 200")) << talk.replies;
    } else {
      EXPECT_EQ(StatusesOf(talk.replies), expected) << vector.name << "\n" << talk.replies;
    }
    EXPECT_EQ(talk.next, vector.next) << vector.name << "\n" << talk.replies;
  }
}

TEST(SessionSplit, ByteByByteEqualsWhole) {
  for (const RequestVector& vector : RequestVectors()) {
    SiteFixture whole(VectorOptions());
    SiteFixture split(VectorOptions());
    EXPECT_EQ(Converse(split.site, vector.bytes, EveryByte(vector.bytes.size())),
              Converse(whole.site, vector.bytes))
        << vector.name;
    EXPECT_EQ(split.services.published, whole.services.published) << vector.name;
  }
}

TEST(SessionSplit, RandomSplitsEqualWhole) {
  constexpr unsigned kSeed = 20'240'601;
  std::mt19937 random(kSeed);
  for (const RequestVector& vector : RequestVectors()) {
    SiteFixture whole(VectorOptions());
    const Talk expected = Converse(whole.site, vector.bytes);
    for (int round = 0; round < 40; ++round) {
      SiteFixture split(VectorOptions());
      const auto cuts = RandomCuts(vector.bytes.size(), &random);
      EXPECT_EQ(Converse(split.site, vector.bytes, cuts), expected)
          << vector.name << ", seed " << kSeed << ", round " << round;
      EXPECT_EQ(split.services.published, whole.services.published) << vector.name;
    }
  }
}

TEST(SessionSplit, AllVectorsThatGoOnAreOnePipeline) {
  std::string pipeline;
  std::vector<int> statuses;
  for (const RequestVector& vector : RequestVectors()) {
    const bool is_whole = !vector.statuses.empty() && vector.next == Next::kReceive &&
                          std::string_view(vector.name) != "head of health";
    if (!is_whole) continue;
    pipeline += vector.bytes;
    statuses.insert(statuses.end(), vector.statuses.begin(), vector.statuses.end());
  }
  SiteFixture whole(VectorOptions());
  SiteFixture split(VectorOptions());
  const Talk talk = Converse(whole.site, pipeline);
  EXPECT_EQ(StatusesOf(talk.replies), statuses);
  EXPECT_GT(statuses.size(), 50u);
  EXPECT_EQ(Converse(split.site, pipeline, EveryByte(pipeline.size())), talk);
}

}  // namespace
}  // namespace sluice::http
