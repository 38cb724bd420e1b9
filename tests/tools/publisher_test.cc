#include "publisher.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::bench {
namespace {

TEST(Publisher, FindsTheEndOfAnAnswer) {
  int status = 0;
  const std::string with_length = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
  EXPECT_EQ(AnswerEnd(with_length + "HTTP/1.1", &status), with_length.size());
  EXPECT_EQ(status, 200);
  for (size_t cut = 0; cut < with_length.size(); ++cut) {
    EXPECT_EQ(AnswerEnd(with_length.substr(0, cut), &status), 0u) << cut;
  }
  const std::string empty = "HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n";
  EXPECT_EQ(AnswerEnd(empty, &status), empty.size());
  EXPECT_EQ(status, 204);
  const std::string chunked =
      "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
  EXPECT_EQ(AnswerEnd(chunked, &status), chunked.size());
  EXPECT_EQ(AnswerEnd(chunked.substr(0, chunked.size() - 7), &status), 0u);
}

TEST(Publisher, KnowsAnAnswerThatClosesTheConnection) {
  EXPECT_TRUE(AnswerCloses("HTTP/1.1 200 OK\r\nCONNECTION:  Close\r\n\r\n"));
  EXPECT_TRUE(AnswerCloses("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_FALSE(AnswerCloses("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"));
  EXPECT_FALSE(AnswerCloses("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n"));
  EXPECT_FALSE(AnswerCloses("HTTP/1.1 200 OK\r\nX: y\r\n\r\nConnection: close\r\n"));
}

}  // namespace
}  // namespace sluice::bench
