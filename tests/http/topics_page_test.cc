// Goal: a page that others gather is answered when it is whole, in the order of the requests, and
// what comes meanwhile is held up to a bound; a connection that goes away lets go of it. Method: a
// page that is ready when the test says so.
#include <gtest/gtest.h>

#include "http/client.h"

namespace sluice::http {
namespace {

constexpr PeerFacts kLocal{.is_loopback = true, .is_admin_listener = false};

class FakeTopics : public Topics {
 public:
  std::unique_ptr<TopicsPage> AskTopics(const TopicsRequest& request) override {
    asked.push_back(request);
    return std::make_unique<Page>(*this);
  }
  std::vector<TopicsRequest> asked;
  bool is_ready = false;
  int pages = 0;  // that are there now

 private:
  class Page : public TopicsPage {
   public:
    explicit Page(FakeTopics& of) : of_(of), text_("\"page " + std::to_string(of.asked.size())) {
      text_ += '"';
      ++of.pages;
    }
    ~Page() override { --of_.pages; }
    bool GoOn(int64_t) override { return of_.is_ready; }
    bool HasWork() const override { return of_.is_ready; }
    const std::string& text() const override { return text_; }

   private:
    FakeTopics& of_;
    std::string text_;
  };
};

class TopicsPageTest : public testing::Test {
 protected:
  TopicsPageTest()
      : site_(Options(), keys_, Services{&services_, &services_, &services_, &topics_}),
        session_(std::make_unique<Session>(site_)) {
    session_->Begin(kLocal, 0);
  }
  void Send(std::string_view bytes) { session_->Receive(bytes, 0); }
  static std::string Get(const std::string& target) {
    return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
  }
  std::string Take() {
    std::string out(session_->output());
    session_->Consume(out.size());
    return out;
  }

  RecordedServices services_;
  FakeTopics topics_;
  PublishKeys keys_;
  Site site_;
  std::unique_ptr<Session> session_;
};

TEST_F(TopicsPageTest, IsAnsweredWhenItIsWhole) {
  Send(Get("/topics?limit=7&prefix=a/&after=a/b%20c"));
  ASSERT_EQ(topics_.asked.size(), 1u);
  EXPECT_EQ(topics_.asked[0].limit, 7u);
  EXPECT_EQ(topics_.asked[0].prefix, "a/");
  EXPECT_EQ(topics_.asked[0].after, "a/b c");
  EXPECT_EQ(session_->next(), Next::kWaitsForPage);
  EXPECT_NE(session_->page(), nullptr);
  EXPECT_EQ(session_->ack_wait(), nullptr);
  session_->GoOnPage(0);
  session_->RetryAcks(0);
  session_->OnDeadline(session_->deadline_ns() - 1);
  EXPECT_EQ(Take(), "");
  topics_.is_ready = true;
  session_->GoOnPage(0);
  EXPECT_EQ(Body(Take()), "{\"success\":true,\"code\":200,\"data\":\"page 1\"}");
  EXPECT_EQ(session_->next(), Next::kReceive);
  EXPECT_EQ(session_->page(), nullptr);
  EXPECT_EQ(topics_.pages, 0);
  // The defaults, and what one request asked for is not the next one's.
  Send(Get("/topics"));
  EXPECT_EQ(topics_.asked[1].limit, 100u);
  EXPECT_EQ(topics_.asked[1].prefix, "");
  EXPECT_FALSE(topics_.asked[1].after.has_value());
}

TEST_F(TopicsPageTest, WhatComesMeanwhileIsHeldAndAnsweredBehindIt) {
  Send(Get("/topics") + Get("/healthz"));
  EXPECT_EQ(Take(), "");
  EXPECT_TRUE(session_->takes_more());
  for (int i = 0; i < 3'000; ++i) Send(Get("/healthz"));
  EXPECT_FALSE(session_->takes_more());
  Send(Get("/topics"));
  EXPECT_EQ(topics_.asked.size(), 1u);
  topics_.is_ready = true;
  std::string replies;
  for (int i = 0; i < 10'000 && topics_.asked.size() < 2; ++i) {
    session_->GoOnPage(0);
    replies += Take();
    if (session_->next() == Next::kPaused) session_->Resume(0);
  }
  ASSERT_EQ(session_->next(), Next::kWaitsForPage);
  session_->GoOnPage(0);
  replies += Take();
  const size_t first = replies.find("page 1");
  const size_t last = replies.find("page 2");
  ASSERT_NE(first, std::string::npos);
  ASSERT_NE(last, std::string::npos);
  EXPECT_LT(first, replies.find("\"ok\""));
  EXPECT_GT(last, replies.rfind("\"ok\""));
  EXPECT_EQ(StatusesOf(replies).size(), 3'003u);
}

TEST_F(TopicsPageTest, AHeadRequestHasNoBodyAndAnEndIsMetAfterTheReply) {
  topics_.is_ready = true;
  Send("HEAD /topics HTTP/1.1\r\nHost: localhost\r\n\r\n");
  session_->ReceiveEnd(0);
  EXPECT_EQ(session_->next(), Next::kWaitsForPage);
  session_->GoOnPage(0);
  EXPECT_EQ(Body(Take()), "");
  EXPECT_EQ(session_->next(), Next::kClose);
}

TEST_F(TopicsPageTest, WhoGoesAwayLetsGoOfIt) {
  Send(Get("/topics"));
  EXPECT_EQ(topics_.pages, 1);
  session_->LetGo();
  EXPECT_EQ(topics_.pages, 0);
  // The session is another connection's then.
  topics_.is_ready = true;
  session_->Begin(kLocal, 0);
  Send(Get("/healthz"));
  EXPECT_EQ(Status(Take()), 200);
  Send(Get("/topics"));
  session_->GoOnPage(0);
  EXPECT_TRUE(Has(Take(), "page 2"));
}

TEST_F(TopicsPageTest, AWrongQueryAsksNobody) {
  Send(Get("/topics?limit=x"));
  EXPECT_EQ(Status(Take()), 400);
  EXPECT_TRUE(topics_.asked.empty());
}

}  // namespace
}  // namespace sluice::http
