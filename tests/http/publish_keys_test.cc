#include "http/publish_keys.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

namespace sluice::http {
namespace {

TEST(PublishKeys, HoldsOneKeyALine) {
  PublishKeys keys;
  ASSERT_TRUE(
      keys.Parse("# first\nabcdefghijklmnop\n\n  \nqrstuvwxyz012345 \t\r\n#x\nlast-key-of-the-file",
                 "keys")
          .ok());
  EXPECT_EQ(keys.size(), 3u);
  EXPECT_TRUE(keys.Matches("abcdefghijklmnop"));
  EXPECT_TRUE(keys.Matches("qrstuvwxyz012345"));
  EXPECT_TRUE(keys.Matches("last-key-of-the-file"));
}

TEST(PublishKeys, MatchesNothingElse) {
  PublishKeys keys;
  EXPECT_FALSE(keys.Matches(""));
  ASSERT_TRUE(keys.Parse("abcdefghijklmnop\n", "keys").ok());
  for (const std::string_view key : {"", "a", "abcdefghijklmno", "abcdefghijklmnopq",
                                     "abcdefghijklmnoP", "Abcdefghijklmnop", "# first"}) {
    EXPECT_FALSE(keys.Matches(key)) << key;
  }
  EXPECT_FALSE(keys.Matches(std::string("abcdefghijklmnop\0", 17)));
  EXPECT_FALSE(keys.Matches("abcdefghijklmnop" + std::string(500, 'x')));
}

TEST(PublishKeys, RefusesAFileThatCannotBeMeant) {
  const auto refusal = [](std::string_view text) {
    PublishKeys keys;
    const Status status = keys.Parse(text, "keys");
    EXPECT_TRUE(keys.empty());
    return status.ok() ? std::string("accepted") : status.message();
  };
  EXPECT_NE(refusal("").find("holds no key"), std::string::npos);
  EXPECT_NE(refusal("# only\n\n").find("holds no key"), std::string::npos);
  EXPECT_NE(refusal("abcdefghijklmnop\nshort\n").find("line 2: a key of 5 bytes"),
            std::string::npos);
  EXPECT_NE(refusal("abcdefgh ijklmnop\n").find("visible ASCII"), std::string::npos);
  EXPECT_NE(refusal(std::string(257, 'x')).find("256 bytes"), std::string::npos);
  EXPECT_NE(refusal("abcdefghijklmno").find("line 1: a key of 15"), std::string::npos);
}

class KeyFile : public testing::Test {
 protected:
  KeyFile() {
    char name[] = "/tmp/sluice_keys_XXXXXX";
    const int fd = mkstemp(name);
    close(fd);
    path_ = name;
  }
  ~KeyFile() override { std::remove(path_.c_str()); }
  void Write(std::string_view text) { std::ofstream(path_) << text; }

  std::string path_;
};

TEST_F(KeyFile, IsReadAndWarnsWhenAllMayReadIt) {
  Write("abcdefghijklmnop\n");
  PublishKeys keys;
  std::string warning;
  ASSERT_TRUE(keys.Load(path_, &warning).ok());
  EXPECT_EQ(warning, "");
  EXPECT_EQ(keys.size(), 1u);
  ASSERT_EQ(chmod(path_.c_str(), 0644), 0);
  ASSERT_TRUE(keys.Load(path_, &warning).ok());
  EXPECT_NE(warning.find("chmod o-r"), std::string::npos);
}

TEST_F(KeyFile, KeepsTheOldKeysWhenTheNewAreWrong) {
  Write("abcdefghijklmnop\n");
  PublishKeys keys;
  std::string warning;
  ASSERT_TRUE(keys.Load(path_, &warning).ok());
  Write("");
  EXPECT_NE(keys.Load(path_, &warning).message().find("holds no key"), std::string::npos);
  EXPECT_TRUE(keys.Matches("abcdefghijklmnop"));
}

TEST_F(KeyFile, ThatIsMissingIsNamed) {
  PublishKeys keys;
  std::string warning;
  const Status status = keys.Load("/nonexistent/keys", &warning);
  EXPECT_NE(status.message().find("/nonexistent/keys"), std::string::npos);
  EXPECT_NE(status.message().find("No such file"), std::string::npos);
}

}  // namespace
}  // namespace sluice::http
