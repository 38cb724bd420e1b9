// The answers themselves: publishes and their kinds of body, event names, streams and their
// refusals, CORS, the page, the reports.
#include <gtest/gtest.h>

#include "http/client.h"
#include "http/exchange.h"

namespace sluice::http {
namespace {

TEST(Broadcast, SendsTheBodyUnchanged) {
  Client client;
  const std::string body = " {\"a\" : [1,\n2]} \r\n";
  EXPECT_EQ(Status(client.Publish(body)), 200);
  ASSERT_EQ(client.fixture.services.published.size(), 1u);
  EXPECT_EQ(client.fixture.services.published[0], (std::pair<std::string, std::string>{"", body}));
}

TEST(Broadcast, StandsAtItsAliasToo) {
  Client client;
  EXPECT_EQ(Status(client.Ask("POST /api/v1/sso/broadcast", "", "1")), 200);
}

TEST(Broadcast, AnswersNoJsonWithThisEnvelope) {
  Client client;
  const std::string reply = client.Publish("{\"a\":");
  EXPECT_EQ(Status(reply), 400);
  EXPECT_EQ(Body(reply),
            "{\"success\":false,\"code\":400,\"message\":\"cant parse request\","
            "\"error\":\"invalid_json\",\"detail\":\"at byte 5 of 5: expected a value\"}");
  EXPECT_EQ(client.next, Next::kReceive);
  EXPECT_EQ(client.fixture.site.counters().refusals(Refusal::kInvalidJson).value(), 1u);
}

TEST(Broadcast, ReadsJsonUnderTheseTypes) {
  Client client;
  for (const char* type :
       {"application/json", "application/json; charset=utf-8", "APPLICATION/JSON;charset=\"UTF-8\"",
        "text/json", "application/x-www-form-urlencoded", "application/vnd.api+json",
        "application/json;charset=us-ascii;x=y", "application/ld+json ; a=b"}) {
    EXPECT_EQ(Status(client.Publish("{}", std::string("Content-Type: ") + type + "\r\n")), 200)
        << type;
    EXPECT_EQ(Status(client.Publish("a=b", std::string("Content-Type: ") + type + "\r\n")), 400)
        << type;
  }
  EXPECT_EQ(Status(client.Publish("{}", "Content-Type:\r\n")), 200);
}

TEST(Broadcast, ReadsAnyTextUnderTheseTypes) {
  Client client;
  for (const char* type : {"text/plain", "Text/Plain;charset=UTF-8", "application/octet-stream"}) {
    const std::string lines = std::string("Content-Type: ") + type + "\r\n";
    EXPECT_EQ(Status(client.Publish("two\nlines {", lines)), 200) << type;
    EXPECT_EQ(Status(client.Publish("", lines)), 200) << type;
    const std::string reply = client.Publish("ab\xff", lines);
    EXPECT_EQ(Status(reply), 400) << type;
    EXPECT_TRUE(Has(reply, "\"error\":\"invalid_utf8\",\"detail\":\"at byte 2 of 3"));
  }
}

TEST(Broadcast, Refuses415) {
  Client client;
  for (const char* line :
       {"Content-Type: multipart/form-data; boundary=x", "Content-Type: image/png",
        "Content-Type: text/html", "Content-Type: application/json; charset=iso-8859-1",
        "Content-Type: text/plain; charset=utf-16", "Content-Type: application/xml",
        "Content-Type: json", "Content-Type: text/plain;a=b;Charset=\"latin1\"",
        "Content-Encoding: gzip", "Content-Encoding: identity, br", "content-encoding: GZIP"}) {
    const std::string reply = client.Publish("{}", std::string(line) + "\r\n");
    EXPECT_EQ(Status(reply), 415) << line;
    EXPECT_TRUE(Has(reply, "\"error\":\"unsupported_media_type\"")) << line;
  }
  EXPECT_EQ(Status(client.Publish("{}", "Content-Encoding: Identity\r\n")), 200);
  EXPECT_EQ(Status(client.Publish("{}", "Content-Type: text/json\r\nContent-Type: text/json\r\n")),
            400);
  EXPECT_EQ(client.fixture.services.published.size(), 1u);
}

TEST(Broadcast, SetsTheEventsType) {
  Client client;
  const auto type_of = [&](const std::string& query) {
    EXPECT_EQ(Status(client.Publish("1", "", query)), 200) << query;
    return client.fixture.services.published.back().first;
  };
  EXPECT_EQ(type_of("?event=score"), "score");
  EXPECT_EQ(type_of("?x=1&event=a%20b&y"), "a b");
  EXPECT_EQ(type_of("?event=a+b%2Bc"), "a b+c");
  EXPECT_EQ(type_of("?%65vent=%C3%A9"), "\xc3\xa9");
  EXPECT_EQ(type_of("?event="), "");
  EXPECT_EQ(type_of("?event"), "");
  EXPECT_EQ(type_of("?"), "");
  EXPECT_EQ(type_of("?events=x"), "");
  EXPECT_EQ(type_of("?event=sluice"), "sluice");
  EXPECT_EQ(type_of("?event=" + std::string(256, 'n')), std::string(256, 'n'));
}

TEST(Broadcast, RefusesNamesThatCouldForgeLinesOrAreTaken) {
  Client client;
  for (const std::string query :
       {"?event=a%0Ab", "?event=a%0D", "?event=%0a", "?event=a%00b", "?event=%ff", "?event=%C3",
        "?event=sluice.open", "?event=sluice.", "?event=error", "?event=open", "?event=%6Fpen",
        "?event=%ED%A0%80"}) {
    const std::string reply = client.Publish("1", "", query);
    EXPECT_EQ(Status(reply), 400) << query;
    EXPECT_TRUE(Has(reply, "\"error\":\"invalid_event_name\"")) << reply;
  }
  EXPECT_TRUE(Has(client.Publish("1", "", "?event=" + std::string(257, 'n')),
                  "\"error\":\"invalid_event_name\""));
  for (const std::string query :
       {"?event=%", "?event=%1", "?event=%zz", "?event=a&event=b", "?x=%&event=a"}) {
    const std::string reply = client.Publish("1", "", query);
    EXPECT_EQ(Status(reply), 400) << query;
    EXPECT_TRUE(Has(reply, "\"error\":\"invalid_parameter\"")) << reply;
  }
  EXPECT_TRUE(client.fixture.services.published.empty());
}

TEST(Broadcast, HandsOnWhatThePublisherRefuses) {
  Client client;
  client.fixture.services.publish_refusal = Refusal::kRingFull;
  const std::string full = client.Publish("1");
  EXPECT_EQ(Status(full), 503);
  EXPECT_TRUE(Has(full, "Retry-After: 1\r\n"));
  EXPECT_TRUE(Has(full, "\"error\":\"ring_full\""));
  EXPECT_EQ(client.next, Next::kReceive);
  client.fixture.services.publish_refusal = Refusal::kFrameTooLarge;
  EXPECT_EQ(Status(client.Publish("1")), 413);
  client.fixture.services.publish_refusal = Refusal::kDraining;
  EXPECT_EQ(Status(client.Publish("1")), 503);
}

constexpr std::string_view kStreamHead =
    "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    "Content-Type: text/event-stream\r\nCache-Control: no-cache, no-store, no-transform\r\n"
    "X-Accel-Buffering: no\r\nAccess-Control-Allow-Origin: *\r\n"
    "Access-Control-Expose-Headers: Retry-After\r\nConnection: close\r\n\r\n";

TEST(Stream, OpensExactlySo) {
  for (const char* path : {"/stream", "/api/v1/sso/stream"}) {
    Client client;
    EXPECT_EQ(client.Ask(std::string("GET ") + path),
              std::string(kStreamHead) +
                  ":ok\nretry: 3000\nevent: sluice.open\ndata: {\"id\":\"abc-6\"}\nid: abc-6\n\n");
    EXPECT_EQ(client.next, Next::kStream);
    EXPECT_EQ(client.fixture.services.admissions, 1u);
  }
}

TEST(Stream, HeadIsTheHeadAloneAndAdmitsNobody) {
  Client client;
  EXPECT_EQ(client.Ask("HEAD /stream"), kStreamHead);
  EXPECT_EQ(client.next, Next::kClose);
  EXPECT_EQ(client.fixture.services.admissions, 0u);
}

TEST(Stream, RefusesAnEventSourceWithinAStream) {
  for (const Refusal refusal :
       {Refusal::kSubscribersFull, Refusal::kDraining, Refusal::kStarting}) {
    Client client;
    client.fixture.services.admission_refusal = refusal;
    const std::string reply = client.Ask("GET /stream", "Accept: text/event-stream\r\n");
    EXPECT_TRUE(reply.starts_with(std::string(kStreamHead) +
                                  "retry: 2500\nevent: sluice.error\ndata: {\"error\":\"" +
                                  std::string(Word(refusal)) + "\",\"message\":\""))
        << reply;
    EXPECT_TRUE(reply.ends_with("\"}\n\n"));
    EXPECT_EQ(client.next, Next::kClose);
    EXPECT_EQ(client.fixture.site.counters().refusals(refusal).value(), 1u);
  }
}

TEST(Stream, RefusesOthersByStatus) {
  Client client;
  client.fixture.services.admission_refusal = Refusal::kDraining;
  for (const char* accept : {"", "Accept: */*\r\n", "Accept: text/html\r\n"}) {
    const std::string reply = client.Ask("GET /stream", accept);
    EXPECT_EQ(Status(reply), 503) << accept;
    EXPECT_TRUE(Has(reply, "Retry-After: 3\r\n"));
    EXPECT_TRUE(Has(reply, "\"error\":\"draining\""));
  }
  for (const char* accept : {"Accept: text/html, Text/Event-Stream;q=0.5\r\n",
                             "Accept: text/html\r\nAccept: text/event-stream\r\n"}) {
    EXPECT_TRUE(Has(client.Ask("GET /stream", accept), "sluice.error")) << accept;
  }
}

TEST(Cors, StandsOnEveryAnswer) {
  Client client;
  const std::string any = "Access-Control-Allow-Origin: *\r\n";
  for (const char* line : {"GET /stream", "POST /broadcast", "GET /nothing", "DELETE /stream",
                           "GET /", "GET /healthz", "OPTIONS /stream", "GET /bad%"}) {
    EXPECT_TRUE(Has(client.Ask(line, "Origin: http://elsewhere.com\r\n"), any)) << line;
  }
  EXPECT_TRUE(Has(Converse(client.fixture.site, "bad\r\n\r\n").replies, any));
  EXPECT_FALSE(Has(client.Ask("GET /stream"), "Credentials"));
}

TEST(Cors, AnswersAPreflight) {
  Client client;
  const std::string reply =
      client.Ask("OPTIONS /broadcast",
                 "Origin: http://a.com\r\nAccess-Control-Request-Method: POST\r\n"
                 "Access-Control-Request-Headers: authorization\r\n");
  EXPECT_EQ(Status(reply), 204);
  EXPECT_TRUE(Has(reply, "Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n"));
  EXPECT_TRUE(Has(reply,
                  "Access-Control-Allow-Headers: Last-Event-ID, Authorization, Content-Type, "
                  "Cache-Control, Idempotency-Key\r\n"));
  EXPECT_TRUE(Has(reply, "Access-Control-Max-Age: "));
  EXPECT_TRUE(Has(reply, "Allow: POST, OPTIONS\r\n"));
  EXPECT_FALSE(Has(reply, "Content-Length"));
  EXPECT_FALSE(Has(client.Ask("OPTIONS /broadcast"), "Access-Control-Allow-Methods"));
}

TEST(Cors, AListOfOriginsGetsCredentialsAndVary) {
  Options options;
  options.cors_origins = {"https://a.com", "https://b.com"};
  Client client(options);
  const std::string allowed = client.Ask("GET /nothing", "Origin: https://b.com\r\n");
  EXPECT_TRUE(Has(allowed, "Access-Control-Allow-Origin: https://b.com\r\n"));
  EXPECT_TRUE(Has(allowed, "Access-Control-Allow-Credentials: true\r\n"));
  EXPECT_TRUE(Has(allowed, "Vary: Origin\r\n"));
  for (const char* lines :
       {"", "Origin: https://c.com\r\n", "Origin: https://a.com.evil\r\n", "Origin: null\r\n"}) {
    const std::string other = client.Ask("GET /nothing", lines);
    EXPECT_FALSE(Has(other, "Access-Control-Allow")) << lines;
    EXPECT_TRUE(Has(other, "Vary: Origin\r\n")) << lines;
  }
}

TEST(Answer, NamesTheMethodsAPathTakes) {
  Client client;
  const std::string broadcast = client.Ask("GET /broadcast");
  EXPECT_EQ(Status(broadcast), 405);
  EXPECT_TRUE(Has(broadcast, "Allow: POST, OPTIONS\r\n"));
  EXPECT_TRUE(Has(broadcast, "\"error\":\"method_not_allowed\""));
  EXPECT_TRUE(Has(client.Ask("PUT /stream"), "Allow: GET, HEAD, OPTIONS\r\n"));
}

TEST(Answer, SaysWhatToDoAboutAPathThatIsNotThere) {
  Client client;
  const std::string reply = client.Ask("GET /x\"%22");
  EXPECT_EQ(Status(reply), 404);
  EXPECT_TRUE(Has(reply,
                  "streams are at /stream and /stream/TOPIC, publishes go to /broadcast, "
                  "/publish/TOPIC and /publish"));
}

TEST(Answer, HeadIsTheReplyWithoutItsBody) {
  Client client;
  for (const char* path : {"/healthz", "/", "/nothing", "/stats", "/readyz"}) {
    const std::string get = client.Ask(std::string("GET ") + path);
    const std::string head = client.Ask(std::string("HEAD ") + path);
    EXPECT_EQ(head, get.substr(0, get.find("\r\n\r\n") + 4)) << path;
    EXPECT_EQ(client.next, Next::kReceive);
  }
}

TEST(Reports, TellHealthAndReadiness) {
  Client client;
  EXPECT_EQ(Body(client.Ask("GET /healthz")),
            "{\"success\":true,\"code\":200,\"data\":{\"status\":\"ok\"}}");
  EXPECT_EQ(Status(client.Ask("GET /readyz")), 200);
  client.fixture.services.not_ready = Refusal::kStarting;
  const std::string reply = client.Ask("GET /readyz");
  EXPECT_EQ(Status(reply), 503);
  EXPECT_TRUE(Has(reply, "\"error\":\"starting\""));
  EXPECT_EQ(Status(client.Ask("GET /healthz")), 200) << "alive all the same";
}

TEST(Reports, TellReadinessForPublishersApart) {
  Client client;
  EXPECT_EQ(Status(client.Ask("GET /readyz?for=publish")), 200);
  client.fixture.services.not_ready_to_publish = Refusal::kJournalUnavailable;
  const std::string reply = client.Ask("GET /readyz?for=publish");
  EXPECT_EQ(Status(reply), 503);
  EXPECT_TRUE(Has(reply, "\"error\":\"journal_unavailable\""));
  EXPECT_TRUE(Has(reply, "Retry-After: "));
  EXPECT_EQ(Status(client.Ask("GET /readyz")), 200);
  EXPECT_EQ(Status(client.Ask("GET /readyz?for=stream")), 200);
  EXPECT_EQ(Status(client.Ask("GET /readyz?for=lunch")), 400);
}

TEST(Reports, TellStatsPrettyOrNot) {
  Client client;
  EXPECT_EQ(Body(client.Ask("GET /stats")), "{}");
  EXPECT_EQ(Body(client.Ask("GET /stats?pretty")), "{\n}\n");
  EXPECT_EQ(Body(client.Ask("GET /stats?pretty=1")), "{\n}\n");
  EXPECT_EQ(Body(client.Ask("GET /stats?pretty=0")), "{}");
}

TEST(Page, IsServedWithPolicyAndETag) {
  Client client;
  const std::string page = client.Ask("GET /");
  EXPECT_EQ(Status(page), 200);
  EXPECT_TRUE(Has(page, "Content-Type: text/html; charset=utf-8\r\n"));
  EXPECT_TRUE(Has(page, "Content-Security-Policy: default-src 'self'"));
  EXPECT_TRUE(Has(page, "X-Content-Type-Options: nosniff\r\n"));
  ASSERT_FALSE(PageAssets().empty());
  for (const PageAsset& asset : PageAssets()) {
    const std::string path(asset.path);
    EXPECT_EQ(Body(client.Ask("GET " + path)), asset.bytes) << path;
    const std::string etag(asset.etag);
    EXPECT_TRUE(etag.size() > 8 && etag.front() == '"' && etag.back() == '"');
    const std::string same = client.Ask("GET " + path, "If-None-Match: W/\"x\", " + etag + "\r\n");
    EXPECT_EQ(Status(same), 304) << path;
    EXPECT_EQ(Body(same), "");
    EXPECT_TRUE(Has(same, "ETag: " + etag));
    EXPECT_EQ(Status(client.Ask("GET " + path, "If-None-Match: \"other\"\r\n")), 200);
  }
}

}  // namespace
}  // namespace sluice::http
