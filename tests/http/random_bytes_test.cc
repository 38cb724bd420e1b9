// Goal: the properties of tests/fuzz hold with any compiler, in every run of the tests.
// Method: the fuzz targets' entry points on seeded mutations of good and bad requests; coverage-led
// search is libFuzzer's part.
#include <gtest/gtest.h>

#include <random>

#include "fuzz/http_entry.h"

namespace sluice::http {
namespace {

constexpr unsigned kSeed = 1'791;

// Changes, cuts, repeats or splices a few places of one vector with another.
std::string Mutate(const std::vector<std::string>& seeds, std::mt19937* random) {
  static constexpr std::string_view kBytes = "\r\n\t :;,/?%&=0159afAF\"\\{}[]\x01\x7f\xc3\xff";
  const auto draw = [&](size_t below) { return below == 0 ? 0 : (*random)() % below; };
  std::string bytes = seeds[draw(seeds.size())];
  for (size_t n = draw(4); n > 0 && !bytes.empty(); --n) {
    const size_t at = draw(bytes.size());
    switch (draw(5)) {
      case 0:
        bytes[at] = kBytes[draw(kBytes.size())];
        break;
      case 1:
        bytes.insert(at, 1, kBytes[draw(kBytes.size())]);
        break;
      case 2:
        bytes.erase(at, 1 + draw(6));
        break;
      case 3:
        bytes.insert(at, bytes.substr(draw(bytes.size()), draw(30)));
        break;
      default: {
        const std::string& other = seeds[draw(seeds.size())];
        bytes.replace(at, draw(20), other.substr(draw(other.size()), draw(80)));
      }
    }
  }
  return bytes;
}

TEST(RandomBytes, SessionAnswersAlikeAtAnySplit) {
  std::vector<std::string> seeds;
  for (const RequestVector& vector : RequestVectors()) {
    if (vector.bytes.size() < 2'000) seeds.push_back(vector.bytes);
  }
  std::mt19937 random(kSeed);
  for (int round = 0; round < 20'000; ++round) {
    SCOPED_TRACE(round);
    CheckSession(Mutate(seeds, &random), random());
  }
}

TEST(RandomBytes, ChunkedBodyIsLlhttpsToo) {
  const std::vector<std::string> seeds = {
      "2\r\n[1\r\n3\r\n,2]\r\n0\r\n\r\n", "A\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
      "1;a=b\r\nx\r\n00\r\n\r\n", "0\r\n\r\n", "3\r\n\r\n0\r\n0\r\nA:b\r\nC: d\r\n\r\nGET"};
  std::mt19937 random(kSeed);
  for (int round = 0; round < 50'000; ++round) CheckChunked(Mutate(seeds, &random), random());
}

TEST(RandomBytes, EventsAreTheDomsToo) {
  const std::vector<std::string> seeds = {
      "{\"topics\":[\"orders/42\",\"a\"],\"event\":\"e\",\"id\":\"x\",\"retry\":900,\"key\":\"k\","
      "\"data\":{\"a\":[1,2.5,\"\\u00e9\"]}}",
      "[{\"data\":1},{\"data\":\"text \\ud83d\\ude00\",\"id\":\"y\"},{\"data\":[ ]}]",
      "{\"data\":18446744073709551616}",
      "{\"d\\u0061ta\":\"\\ud800\"}",
      "[]",
      "{\"data\":null}"};
  std::mt19937 random(kSeed);
  for (int round = 0; round < 50'000; ++round) CheckEvents(Mutate(seeds, &random));
}

TEST(RandomBytes, JsonIsTheDomsToo) {
  const std::vector<std::string> seeds = {
      "{\"id\":12345,\"price\":101.25,\"ok\":true,\"none\":null,\"text\":\"a\\n\\u00e9 \xc3\xa9\"}",
      "[[1,2,{\"a\":[]}],-0.5e+10,\"\\ud83d\\ude00\"]",
      "18446744073709551616",
      "\"\\ud800\"",
      " [ ] ",
      "1e400"};
  std::mt19937 random(kSeed);
  for (int round = 0; round < 50'000; ++round) CheckJsonText(Mutate(seeds, &random));
}

}  // namespace
}  // namespace sluice::http
