// Goal: what counts as JSON is RFC 8259 to the letter, in valid UTF-8.
// Method: cases by hand for each production; then random documents and mutations of them, where
// simdjson's DOM is the oracle: whatever it accepts must be accepted, and what it refuses may only
// be accepted for the reasons we know of (large numbers and lone surrogates).
#include "http/json_text.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <random>

namespace sluice::http {
namespace {

bool IsJson(std::string_view text, uint32_t depth_max = 512) {
  // A heap copy of the exact size, so that a sanitizer sees any read past the end.
  const std::vector<char> exact(text.begin(), text.end());
  return !CheckJson({exact.data(), exact.size()}, depth_max).has_value();
}

TEST(JsonText, TakesWhatTheGrammarHas) {
  for (const std::string_view text : {
           "{}",
           "[]",
           "\"\"",
           "0",
           "-0",
           "1",
           "true",
           "false",
           "null",
           " \t\r\n1 \t\r\n",
           "{\"a\":1}",
           "{ \"a\" : [ 1 , 2 ] , \"b\" : { } }",
           "{\"a\":1,\"a\":2}",
           "{\"\":0}",
           "[[[]],{\"a\":[{}]}]",
           "0.0",
           "-0.5e-7",
           "1E+2",
           "1e0",
           "10.01e10",
           "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uFFff\"",
           "\"\x7f\"",
           "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"",
           "[1,\n\n2]",
       }) {
    EXPECT_TRUE(IsJson(text)) << text;
  }
}

TEST(JsonText, TakesWhatTheDomRefusesWrongly) {
  simdjson::dom::parser dom;
  for (const std::string_view text : {
           "18446744073709551616",
           "-9223372036854775809",
           "[123456789012345678901234567890]",
           "1e400",
           "-1e400",
           "1e99999999999999999999",
           "{\"a\":1e309}",
           "\"\\ud800\"",
           "\"\\udc00\"",
           "\"\\ud800\\ud800\"",
           "\"\\ud800x\"",
           "\"\\udbff\\n\"",
       }) {
    EXPECT_TRUE(IsJson(text)) << text;
    EXPECT_NE(dom.parse(std::string(text)).error(), simdjson::SUCCESS)
        << text << ": simdjson takes it now; is the walk still needed?";
  }
  EXPECT_TRUE(IsJson(std::string(100'000, '9')));
}

TEST(JsonText, RefusesWhatIsNoDocument) {
  using namespace std::string_view_literals;
  for (const std::string_view text : {
           ""sv,
           " "sv,
           "{"sv,
           "["sv,
           "}"sv,
           "]"sv,
           "[}"sv,
           "{]"sv,
           "[1"sv,
           "[1,"sv,
           "[1,]"sv,
           "[,1]"sv,
           "[1 2]"sv,
           "{\"a\"}"sv,
           "{\"a\":}"sv,
           "{\"a\":1,}"sv,
           "{,}"sv,
           "{1:2}"sv,
           "{a:1}"sv,
           "{'a':1}"sv,
           "{\"a\" 1}"sv,
           "{\"a\":1 \"b\":2}"sv,
           "{\"a\"::1}"sv,
           "01"sv,
           "[01]"sv,
           "-"sv,
           "-01"sv,
           "+1"sv,
           "1."sv,
           ".5"sv,
           "1e"sv,
           "1e+"sv,
           "0x1"sv,
           "1_000"sv,
           "NaN"sv,
           "Infinity"sv,
           "-Infinity"sv,
           "--1"sv,
           "1.e1"sv,
           "00"sv,
           "True"sv,
           "nul"sv,
           "nulll"sv,
           "truefalse"sv,
           "tru"sv,
           "undefined"sv,
           "\""sv,
           "\"a"sv,
           "'a'"sv,
           "\"\\"sv,
           "\"\\\""sv,
           "\"\\x\""sv,
           "\"\\u12\""sv,
           "\"\\u12G4\""sv,
           "\"\\U1234\""sv,
           "\"\t\""sv,
           "\"\n\""sv,
           "\"\x01\""sv,
           "\"\0\""sv,
           "\"\\\0\""sv,
           "1 2"sv,
           "{} {}"sv,
           "[]]"sv,
           "{}x"sv,
           "1\0"sv,
           "\0"sv,
           "[1]\0"sv,
           "\xef\xbb\xbf{}"sv,
           "\xef\xbb\xbf"sv,
           "\v1"sv,
           "\f1"sv,
           "\xc2\xa0"
           "1"sv,
           "// c\n1"sv,
           "/* c */1"sv,
           "1,"sv,
           "1//"sv,
           "\"\xff\""sv,
           "\"\xc0\x80\""sv,
           "\"\xed\xa0\x80\""sv,
           "\"\xf4\x90\x80\x80\""sv,
           "\"\xe2\x82\""sv,
           "\"\xc3"sv,
           "\"\x80\""sv,
           "\xff"sv,
       }) {
    EXPECT_FALSE(IsJson(text)) << text;
  }
}

TEST(JsonText, BoundsTheDepth) {
  const auto nested = [](size_t depth, char open, char close) {
    return std::string(depth, open) + std::string(depth, close);
  };
  EXPECT_TRUE(IsJson(nested(512, '[', ']')));
  EXPECT_FALSE(IsJson(nested(513, '[', ']')));
  EXPECT_TRUE(IsJson(nested(1, '[', ']'), 1));
  EXPECT_FALSE(IsJson(nested(2, '[', ']'), 1));
  EXPECT_TRUE(IsJson("1", 0));
  EXPECT_FALSE(IsJson("[]", 0));
  // Past the ceiling whatever is configured: never past the end of the walk's stack.
  EXPECT_TRUE(IsJson(nested(kJsonDepthCeiling, '[', ']'), UINT32_MAX));
  EXPECT_FALSE(IsJson(nested(kJsonDepthCeiling + 1, '[', ']'), UINT32_MAX));
  EXPECT_FALSE(IsJson(std::string(1'000'000, '['), UINT32_MAX));
  std::string objects;
  for (int i = 0; i < 512; ++i) objects += "{\"a\":";
  EXPECT_TRUE(IsJson(objects + "1" + std::string(512, '}')));
  // Siblings are no depth.
  std::string siblings = "[";
  for (int i = 0; i < 2'000; ++i) siblings += "[],";
  EXPECT_TRUE(IsJson(siblings + "{}]", 2));
}

TEST(JsonText, SaysWhereAndWhat) {
  const auto fault = [](std::string_view text) {
    const auto found = CheckJson(text, 512);
    return found ? found->Describe(text) : std::string("accepted");
  };
  EXPECT_EQ(fault("{\"a\":}"), "at byte 5 of 6: expected a value");
  EXPECT_EQ(fault(""), "at byte 0 of 0: expected a value");
  EXPECT_EQ(fault("[1 2]"), "at byte 3 of 5: expected ',' or ']'");
  EXPECT_EQ(fault("{\"a\":1"), "at byte 6 of 6: expected ',' or '}'");
  EXPECT_EQ(fault("{\"a\":1,}"), "at byte 7 of 8: expected a key in double quotes");
  EXPECT_EQ(fault("[01]"), "at byte 2 of 4: expected ',' or ']'");
  EXPECT_EQ(fault("{} {}"), "at byte 3 of 5: expected the end: one document only");
  EXPECT_EQ(fault("\"ab\xff\""), "at byte 3 of 5: not valid UTF-8");
  EXPECT_EQ(fault("\xef\xbb\xbf{}"), "at byte 0 of 5: a byte order mark is not allowed");
  EXPECT_EQ(fault("\"0123456789\n\""),
            "at byte 11 of 13: a control character in a string must be escaped");
}

// Every place of a stop within the eight bytes that are looked at together, and every length
// around.
TEST(JsonText, FindsStopsAtEveryOffset) {
  for (size_t before = 0; before < 24; ++before) {
    for (size_t after = 0; after < 10; ++after) {
      const std::string pad(before, 'x');
      const std::string tail(after, '\xc3');
      std::string text = "\"" + pad;
      for (size_t i = 0; i < after; ++i) text += "\xc3\xa9";
      EXPECT_TRUE(IsJson(text + "\""));
      EXPECT_FALSE(IsJson(text));
      EXPECT_FALSE(IsJson(text + "\x1f\""));
      EXPECT_TRUE(IsJson(text + " \""));
      EXPECT_TRUE(IsJson(text + "\\\"\""));
      EXPECT_FALSE(IsJson(text + "\\\""));
    }
  }
}

class Documents {
 public:
  explicit Documents(unsigned seed) : random_(seed) {}

  std::string Value(int depth) {
    switch (Draw(depth > 4 ? 6 : 9)) {
      case 0:
        return "true";
      case 1:
        return "null";
      case 2:
        return std::to_string(static_cast<int>(random_()));
      case 3:
        return Join({std::to_string(Draw(1000)), ".", std::to_string(Draw(1000)), "e-3"});
      case 4:
        return Join({"\"", Characters(), "\""});
      case 5:
        return std::string(Draw(30) + 1, '7');
      case 6:
        return Draw(2) ? "[]" : "{}";
      case 7:
        return Join({"[", Value(depth + 1), Space(), ",", Value(depth + 1), "]"});
      default:
        return Join({"{\"", Characters(), "\"", Space(), ":", Value(depth + 1),
                     ",\"k\":", Value(depth + 1), Space(), "}"});
    }
  }
  std::string Mutate(std::string text) {
    static constexpr std::string_view kBytes =
        "{}[]\",:\\u0123e.-+ \n\tdD8cntf\x01\x7f\xc3\xa9\xed\xff";
    for (size_t n = Draw(3) + 1; n > 0 && !text.empty(); --n) {
      const size_t at = Draw(text.size());
      switch (Draw(3)) {
        case 0:
          text[at] = kBytes[Draw(kBytes.size())];
          break;
        case 1:
          text.erase(at, 1);
          break;
        default:
          text.insert(at, 1, kBytes[Draw(kBytes.size())]);
      }
    }
    return text;
  }

 private:
  static std::string Join(std::initializer_list<std::string_view> parts) {
    std::string text;
    for (const std::string_view part : parts) text.append(part);
    return text;
  }
  size_t Draw(size_t below) { return random_() % below; }
  std::string_view Space() { return Draw(4) == 0 ? " \n" : ""; }
  std::string Characters() {
    static const char* const kParts[] = {"abc",
                                         "\\n",
                                         "\\\"",
                                         "\xc3\xa9",
                                         "\\u00e9",
                                         "\\ud83d\\ude00",
                                         "\xf0\x9f\x98\x80",
                                         " ",
                                         "longer plain text",
                                         "\\\\"};
    std::string text;
    for (size_t n = Draw(5); n > 0; --n) text += kParts[Draw(std::size(kParts))];
    return text;
  }
  std::mt19937 random_;
};

TEST(JsonText, AgreesWithTheDomWhereverItAccepts) {
  constexpr unsigned kSeed = 8'259;
  Documents documents(kSeed);
  simdjson::dom::parser dom;
  size_t accepted = 0;
  size_t refused = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string text = documents.Value(0);
    if (round % 4 != 0) text = documents.Mutate(std::move(text));
    const auto error = dom.parse(text).error();
    const bool is_json = IsJson(text);
    is_json ? ++accepted : ++refused;
    if (error == simdjson::SUCCESS) {
      ASSERT_TRUE(is_json) << "seed " << kSeed << ", round " << round << ": " << text;
    } else if (is_json) {
      const bool is_known = error == simdjson::NUMBER_ERROR || error == simdjson::STRING_ERROR;
      ASSERT_TRUE(is_known) << "seed " << kSeed << ", round " << round << ": " << text;
    }
  }
  // Both sides were really visited.
  EXPECT_GT(accepted, 10'000u);
  EXPECT_GT(refused, 10'000u);
}

}  // namespace
}  // namespace sluice::http
