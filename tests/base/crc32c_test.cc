// Goal: the checksum is the one that the standard names, however the bytes are cut.
#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

TEST(Crc32c, HasTheValueOfTheStandardsCheck) { EXPECT_EQ(Crc32c(0, "123456789", 9), 0xe3069283u); }

TEST(Crc32c, MayBeContinuedAnywhere) {
  const std::string text = "The quick brown fox jumps over the lazy dog";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    const uint32_t first = Crc32c(7, text.data(), cut);
    EXPECT_EQ(Crc32c(first, text.data() + cut, text.size() - cut),
              Crc32c(7, text.data(), text.size()));
  }
}

}  // namespace
}  // namespace sluice
