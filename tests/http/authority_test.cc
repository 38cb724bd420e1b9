// Who may publish: every single fact that a keyless publish needs is taken away in turn.
#include "http/authority.h"

#include <gtest/gtest.h>

#include "http/site_fixture.h"

namespace sluice::http {
namespace {

constexpr PeerFacts kLocal{.is_loopback = true, .is_admin_listener = false};
constexpr PeerFacts kRemote{.is_loopback = false, .is_admin_listener = false};

std::string Publish(SiteFixture* fixture, const std::string& lines, PeerFacts peer = kLocal,
                    const std::string& target = "/broadcast") {
  const std::string request =
      "POST " + target + " HTTP/1.1\r\n" + lines + "Content-Length: 1\r\n\r\n1";
  return Converse(fixture->site, request, {}, peer).replies;
}

int Status(const std::string& replies) { return StatusesOf(replies).at(0); }

TEST(Authority, KeylessPublishFromThisHost) {
  SiteFixture f;
  for (const char* host :
       {"localhost", "LocalHost:8181", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::1]:8181"}) {
    EXPECT_EQ(Status(Publish(&f, std::string("Host: ") + host + "\r\n")), 200) << host;
  }
  EXPECT_EQ(f.services.published.size(), 6u);
}

TEST(Authority, KeylessPublishNeedsALoopbackPeer) {
  SiteFixture f;
  const std::string reply = Publish(&f, "Host: localhost\r\n", kRemote);
  EXPECT_EQ(Status(reply), 403);
  EXPECT_NE(reply.find("\"error\":\"forbidden\""), std::string::npos);
  EXPECT_NE(reply.find("--publish-key-file"), std::string::npos) << "the way out";
  EXPECT_TRUE(f.services.published.empty());
}

TEST(Authority, KeylessPublishNeedsALoopbackHost) {
  SiteFixture f;
  for (const char* host :
       {"example.com", "localhost.evil.com", "127.0.0.1.evil.com", "evil:80", "192.168.0.1",
        "0.0.0.0", "[::2]", "128.0.0.1", "127.1", "2130706433", "", "0127.0.0.1"}) {
    EXPECT_EQ(Status(Publish(&f, std::string("Host: ") + host + "\r\n")), 403) << host;
  }
  EXPECT_EQ(Status(Publish(&f, "Host: localhost\r\n", kLocal, "http://evil.com/broadcast")), 403);
  EXPECT_EQ(Status(Publish(&f, "Host: evil.com\r\n", kLocal, "http://localhost/broadcast")), 403);
  EXPECT_EQ(Status(Publish(&f, "Host: localhost\r\n", kLocal, "http://localhost/broadcast")), 200);
  // HTTP/1.0 may leave the Host out, a keyless publish may not.
  EXPECT_EQ(
      Status(Converse(f.site, "POST /broadcast HTTP/1.0\r\nContent-Length: 1\r\n\r\n1").replies),
      403);
}

TEST(Authority, KeylessPublishTakesNoOriginButOurs) {
  SiteFixture f;
  const auto with = [&](const std::string& host, const std::string& origin) {
    return Status(Publish(&f, "Host: " + host + "\r\nOrigin: " + origin + "\r\n"));
  };
  EXPECT_EQ(with("localhost:8181", "http://localhost:8181"), 200);
  EXPECT_EQ(with("localhost", "http://localhost"), 200);
  EXPECT_EQ(with("localhost:80", "http://localhost"), 200);
  EXPECT_EQ(with("[::1]:8181", "http://[::1]:8181"), 200);
  for (const char* origin :
       {"http://localhost:3000", "http://localhost", "https://localhost:8181",
        "http://127.0.0.1:8181", "http://evil.com", "null", "", "http://localhost:8181.evil.com",
        "file://", "localhost:8181", "http://localhost:8181/", "http://evil@localhost:8181"}) {
    EXPECT_EQ(with("localhost:8181", origin), 403) << origin;
  }
}

TEST(Authority, KeylessPublishTakesNothingThroughAProxy) {
  SiteFixture f;
  for (const char* line :
       {"Forwarded: for=1.2.3.4", "X-Forwarded-For: 1.2.3.4", "x-forwarded-proto: https",
        "X-FORWARDED-HOST: a", "X-Forwarded-: a", "X-Real-IP: 1.2.3.4", "Via: 1.1 nginx", "via:"}) {
    EXPECT_EQ(Status(Publish(&f, std::string("Host: localhost\r\n") + line + "\r\n")), 403) << line;
  }
  EXPECT_EQ(Status(Publish(&f, "Host: localhost\r\nX-Forward: a\r\nVias: b\r\n")), 200);
}

TEST(Authority, KeylessPublishCanBeSwitchedOff) {
  Options options;
  options.keyless_publish = false;
  SiteFixture f(options);
  const std::string reply = Publish(&f, "Host: localhost\r\n");
  EXPECT_EQ(Status(reply), 403);
  EXPECT_NE(reply.find("--keyless-publish"), std::string::npos);
}

constexpr std::string_view kKeys = "first-key-0123456789\nsecond-key-0123456789\n";

TEST(Authority, AKeyPublishesFromAnywhere) {
  SiteFixture f({}, kKeys);
  ASSERT_TRUE(f.key_status.ok());
  for (const char* line :
       {"Authorization: Bearer first-key-0123456789", "authorization: bearer second-key-0123456789",
        "Authorization: BEARER   second-key-0123456789"}) {
    EXPECT_EQ(Status(Publish(&f,
                             std::string("Host: x.com\r\nOrigin: http://y.com\r\nVia: 1.1 z\r\n") +
                                 line + "\r\n",
                             kRemote)),
              200)
        << line;
  }
}

TEST(Authority, WithoutTheRightKeyNobodyPublishes) {
  SiteFixture f({}, kKeys);
  const std::string missing = Publish(&f, "Host: localhost\r\n");
  EXPECT_EQ(Status(missing), 401);
  EXPECT_NE(missing.find("WWW-Authenticate: Bearer realm=\"sluice\"\r\n"), std::string::npos);
  EXPECT_NE(missing.find("\"error\":\"key_missing\""), std::string::npos);
  const std::string wrong =
      Publish(&f, "Host: localhost\r\nAuthorization: Bearer first-key-012345678\r\n");
  EXPECT_EQ(Status(wrong), 401);
  EXPECT_NE(wrong.find("\"error\":\"key_wrong\""), std::string::npos);
  EXPECT_EQ(wrong.find("first-key"), std::string::npos) << "a key is never echoed";
  for (const char* line :
       {"Authorization: Basic Zmlyc3Qta2V5LTAxMjM0NTY3ODk=", "Authorization: Bearer",
        "Authorization: Bearer ", "Authorization:", "Authorization: first-key-0123456789"}) {
    EXPECT_EQ(Status(Publish(&f, std::string("Host: localhost\r\n") + line + "\r\n")), 401) << line;
  }
  EXPECT_TRUE(f.services.published.empty());
  EXPECT_EQ(f.site.counters().refusals(Refusal::kKeyWrong).value(), 1u);
}

TEST(Authority, TwoAuthorizationsAreAmbiguous) {
  SiteFixture f({}, kKeys);
  EXPECT_EQ(Status(Publish(&f,
                           "Host: a\r\nAuthorization: Bearer first-key-0123456789\r\n"
                           "Authorization: Bearer x\r\n")),
            400);
}

TEST(Authority, StatsAskTheSameOrStandOnTheAdminListener) {
  const std::string get = "GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n";
  constexpr PeerFacts kAdmin{.is_loopback = false, .is_admin_listener = true};
  SiteFixture keyless;
  EXPECT_EQ(Status(Converse(keyless.site, get, {}, kLocal).replies), 200);
  EXPECT_EQ(Status(Converse(keyless.site, get, {}, kRemote).replies), 403);
  EXPECT_EQ(Status(Converse(keyless.site, get, {}, kAdmin).replies), 200);
  SiteFixture keyed({}, kKeys);
  EXPECT_EQ(Status(Converse(keyed.site, get, {}, kLocal).replies), 401);
  EXPECT_EQ(Status(Converse(keyed.site, get, {}, kAdmin).replies), 200);
  // Nothing else stands there.
  EXPECT_EQ(Status(Publish(&keyed, "Host: localhost\r\n", kAdmin)), 404);
}

}  // namespace
}  // namespace sluice::http
