#include "http/request_vectors.h"

namespace sluice::http {
namespace {

using std::string;
using namespace std::string_literals;

const string kHost = "Host: localhost\r\n";

string Get(const string& lines) { return "GET /healthz HTTP/1.1\r\n" + kHost + lines + "\r\n"; }
string Post(const string& lines, const string& body) {
  return "POST /broadcast HTTP/1.1\r\n" + kHost + lines + "\r\n" + body;
}
string Plain(const string& body) {
  return Post("Content-Length: " + std::to_string(body.size()) + "\r\n", body);
}
string Chunked(const string& body) { return Post("Transfer-Encoding: chunked\r\n", body); }

// A good request after the one in question: served only if the connection goes on.
const string kNext = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

void AddRequestLines(std::vector<RequestVector>* v) {
  const auto line = [](const string& text) { return text + "\r\n" + kHost + "\r\n" + kNext; };
  const auto add = [&](const char* name, const string& text, std::vector<int> statuses, Next next) {
    v->push_back({name, line(text), std::move(statuses), next});
  };
  add("plain get", "GET /healthz HTTP/1.1", {200, 200}, Next::kReceive);
  add("absolute form", "GET http://localhost/healthz HTTP/1.1", {200, 200}, Next::kReceive);
  add("absolute form, scheme in capitals", "GET HTTP://localhost/healthz?x HTTP/1.1", {200, 200},
      Next::kReceive);
  add("percent-encoded path", "GET /%68ealthz HTTP/1.1", {200, 200}, Next::kReceive);
  add("bad percent-encoding", "GET /%6 HTTP/1.1", {400, 200}, Next::kReceive);
  add("encoded NUL in the path", "GET /healthz%00 HTTP/1.1", {404, 200}, Next::kReceive);
  add("no such path", "GET /nothing HTTP/1.1", {404, 200}, Next::kReceive);
  add("path with a slash after it", "GET /healthz/ HTTP/1.1", {404, 200}, Next::kReceive);
  add("HTTP/1.0 closes", "GET /healthz HTTP/1.0", {200}, Next::kClose);
  add("HTTP/1.2", "GET /healthz HTTP/1.2", {505}, Next::kClose);
  add("HTTP/2.0", "GET /healthz HTTP/2.0", {505}, Next::kClose);
  add("HTTP/0.9 by name", "GET /healthz HTTP/0.9", {505}, Next::kClose);
  add("HTTP/0.9 without a version", "GET /healthz", {400}, Next::kClose);
  add("version in small letters", "GET /healthz http/1.1", {400}, Next::kClose);
  add("version with a space after", "GET /healthz HTTP/1.1 ", {400}, Next::kClose);
  add("other protocol", "GET /healthz ICE/1.0", {400}, Next::kClose);
  add("two spaces before the target", "GET  /healthz HTTP/1.1", {400}, Next::kClose);
  add("two spaces after the target", "GET /healthz  HTTP/1.1", {400}, Next::kClose);
  add("tab in the target", "GET /healthz\tx HTTP/1.1", {400}, Next::kClose);
  add("control byte in the target", "GET /healthz\x01 HTTP/1.1", {400}, Next::kClose);
  add("raw UTF-8 in the target", "GET /h\xc3\xa9 HTTP/1.1", {400}, Next::kClose);
  add("fragment", "GET /healthz#x HTTP/1.1", {400}, Next::kClose);
  add("target without a slash", "GET healthz HTTP/1.1", {400}, Next::kClose);
  add("small-letter method", "get /healthz HTTP/1.1", {501}, Next::kClose);
  add("unknown method", "BREW /healthz HTTP/1.1", {501}, Next::kClose);
  add("method not taken here", "DELETE /healthz HTTP/1.1", {405, 200}, Next::kReceive);
  add("get on broadcast", "GET /broadcast HTTP/1.1", {405, 200}, Next::kReceive);
  add("connect", "CONNECT localhost:80 HTTP/1.1", {400, 200}, Next::kReceive);
  add("options of all", "OPTIONS * HTTP/1.1", {204, 200}, Next::kReceive);
  add("options of a path", "OPTIONS /broadcast HTTP/1.1", {204, 200}, Next::kReceive);
  add("head of health", "HEAD /healthz HTTP/1.1", {200}, Next::kReceive);
  add("long target", "GET /" + string(300, 'a') + " HTTP/1.1", {414}, Next::kClose);
  add("longest target", "GET /" + string(255, 'a') + " HTTP/1.1", {404, 200}, Next::kReceive);
  add("long target and line that never ends", "GET /" + string(5'000, 'a'), {414}, Next::kClose);
  add("long method", string(2'000, 'A'), {431}, Next::kClose);
  v->push_back({"TLS", "\x16\x03\x01\x02\x00\x01"s, {400}, Next::kClose});
  v->push_back({"empty lines before", "\r\n\r\n" + kNext, {200}, Next::kReceive});
  v->push_back({"bare LF before", "\n" + kNext, {400}, Next::kClose});
  v->push_back({"bare CR before", "\r" + kNext, {400}, Next::kClose});
  v->push_back({"nothing", "", {}, Next::kReceive});
  v->push_back({"unfinished head", "GET / HTTP/1.1\r\nHost: x", {}, Next::kReceive});
}

void AddFields(std::vector<RequestVector>* v) {
  const auto bad = [&](const char* name, const string& lines, int status = 400) {
    v->push_back({name, Get(lines) + kNext, {status}, Next::kClose});
  };
  const auto good = [&](const char* name, const string& lines) {
    v->push_back({name, Get(lines) + kNext, {200, 200}, Next::kReceive});
  };
  bad("header line without a colon", "Foo\r\n");
  bad("header line without a colon, with one after it", "Foo\r\nBar: x\r\n");
  bad("space before the colon", "Foo : x\r\n");
  bad("tab before the colon", "Foo\t: x\r\n");
  bad("folded line", "Foo: x\r\n y\r\n");
  bad("folded line, tab", "Foo: x\r\n\ty\r\n");
  bad("line of spaces", "  \r\n");
  bad("no name", ": x\r\n");
  bad("name with a parenthesis", "Fo(o: x\r\n");
  bad("name with UTF-8", "Fo\xc3\xa9: x\r\n");
  bad("NUL in a value", "Foo: a\0b\r\n"s);
  bad("control byte in a value", "Foo: a\x01 b\r\n");
  bad("DEL in a value", "Foo: a\x7f\r\n");
  bad("bare CR in a value", "Foo: a\rBar: b\r\n");
  bad("CR CR LF", "Foo: a\r\r\n");
  bad("bare LF after a value", "Foo: a\nBar: b\r\n");
  bad("bare LF as the end", "Foo: a\r\n\n");
  bad("two Hosts", "Host: localhost\r\n");
  bad("two Hosts that differ", "hOST: evil\r\n");
  for (const char* host :
       {"a b", "user@localhost", "localhost/", "a,b", "localhost?", "a\\b", "a\tb", "caf\xc3\xa9",
        "[::1", "[]", "[::1]x", "a:b:c", "a:port", "localhost:8a", "localhost:999999", "a]"}) {
    v->push_back({"Host that is none",
                  "GET /healthz HTTP/1.1\r\nHost: " + string(host) + "\r\n\r\n" + kNext,
                  {400},
                  Next::kClose});
  }
  v->push_back(
      {"empty Host", "GET /healthz HTTP/1.1\r\nHost:\r\n\r\n" + kNext, {200, 200}, Next::kReceive});
  bad("two Origins", "Origin: http://a\r\nOrigin: http://b\r\n");
  bad("unknown expectation", "Expect: magic\r\n", 417);
  bad("header too large", "Foo: " + string(2'000, 'x') + "\r\n", 431);
  bad(
      "many headers",
      [] {
        string lines;
        for (int i = 0; i < 200; ++i) lines += "A: b\r\n";
        return lines;
      }(),
      431);
  good("tab and bytes past ASCII in a value", "Foo: a\tb\xff\xe9\r\n");
  good("empty value", "Foo:\r\nBar: \r\n");
  good("no space after the colon", "Foo:bar\r\n");
  good("upgrade is ignored", "Connection: upgrade\r\nUpgrade: websocket\r\n");
  v->push_back({"connection close", Get("Connection: close\r\n") + kNext, {200}, Next::kClose});
  v->push_back(
      {"close among others", Get("Connection: foo, Close\r\n") + kNext, {200}, Next::kClose});
  v->push_back({"no Host", "GET /healthz HTTP/1.1\r\n\r\n" + kNext, {400}, Next::kClose});
  v->push_back({"no Host in 1.0", "GET /healthz HTTP/1.0\r\n\r\n", {200}, Next::kClose});
  v->push_back({"1.0 kept alive",
                "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + kNext,
                {200, 200},
                Next::kReceive});
}

void AddLengths(std::vector<RequestVector>* v) {
  const auto add = [&](const char* name, const string& bytes, std::vector<int> statuses,
                       Next next) {
    v->push_back({name, bytes + kNext, std::move(statuses), next});
  };
  add("publish", Plain("{\"a\":1}"), {200, 200}, Next::kReceive);
  add("publish thrice", Plain("1") + Plain("2") + Plain("3"), {200, 200, 200, 200}, Next::kReceive);
  add("no JSON", Plain("{\"a\":}"), {400, 200}, Next::kReceive);
  add("empty body", Plain(""), {400, 200}, Next::kReceive);
  add("largest body", Plain('"' + string(62, 'x') + '"'), {200, 200}, Next::kReceive);
  add("body too large", Plain('"' + string(63, 'x') + '"'), {413}, Next::kClose);
  add("length beyond 64 bits", Post("Content-Length: 99999999999999999999999\r\n", ""), {413},
      Next::kClose);
  add("no length", Post("", ""), {411}, Next::kClose);
  add("two equal lengths", Post("Content-Length: 1\r\nContent-Length: 1\r\n", "1"), {400},
      Next::kClose);
  add("two lengths", Post("Content-Length: 1\r\nContent-Length: 2\r\n", "1"), {400}, Next::kClose);
  add("length list", Post("Content-Length: 1, 1\r\n", "1"), {400}, Next::kClose);
  add("length with a sign", Post("Content-Length: +1\r\n", "1"), {400}, Next::kClose);
  add("negative length", Post("Content-Length: -1\r\n", "1"), {400}, Next::kClose);
  add("hexadecimal length", Post("Content-Length: 0x1\r\n", "1"), {400}, Next::kClose);
  add("empty length", Post("Content-Length:\r\n", "1"), {400}, Next::kClose);
  add("spaces around the length", Post("Content-Length:  1 \r\n", "1"), {200, 200}, Next::kReceive);
  add("length and coding", Post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "1"), {400},
      Next::kClose);
  add("coding and length", Post("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", "1"), {400},
      Next::kClose);
  add("get with a body", "GET /healthz HTTP/1.1\r\n" + kHost + "Content-Length: 3\r\n\r\nxyz",
      {200, 200}, Next::kReceive);
  add("refused, body read over",
      "POST /nothing HTTP/1.1\r\n" + kHost + "Content-Length: 3\r\n\r\nxyz", {404, 200},
      Next::kReceive);
  add("refused, chunked body read over",
      "POST /nothing HTTP/1.1\r\n" + kHost +
          "Transfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n",
      {404, 200}, Next::kReceive);
  add("refused, body too large",
      "POST /nothing HTTP/1.1\r\n" + kHost + "Content-Length: 99\r\n\r\n", {404}, Next::kClose);
  add("continue", Post("Content-Length: 1\r\nExpect: 100-continue\r\n", "1"), {100, 200, 200},
      Next::kReceive);
  add("continue, chunked",
      Post("Transfer-Encoding: chunked\r\nExpect: 100-Continue\r\n", "1\r\n1\r\n0\r\n\r\n"),
      {100, 200, 200}, Next::kReceive);
  add("continue, too large", Post("Content-Length: 65\r\nExpect: 100-continue\r\n", ""), {413},
      Next::kClose);
  add("continue, refused",
      "POST /nothing HTTP/1.1\r\n" + kHost + "Content-Length: 1\r\nExpect: 100-continue\r\n\r\n",
      {404}, Next::kClose);
  add("publish by 1.0", "POST /broadcast HTTP/1.0\r\n" + kHost + "Content-Length: 1\r\n\r\n1",
      {200}, Next::kClose);
  add("stream", "GET /stream HTTP/1.1\r\n" + kHost + "\r\n", {200}, Next::kStream);
  add("head of a stream", "HEAD /stream HTTP/1.1\r\n" + kHost + "\r\n", {200}, Next::kClose);
}

string PostTo(const string& target, const string& body, const string& lines = "") {
  return "POST " + target + " HTTP/1.1\r\n" + kHost + lines +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

void AddTopics(std::vector<RequestVector>* v) {
  const auto add = [&](const char* name, const string& bytes, std::vector<int> statuses,
                       Next next) {
    v->push_back({name, bytes + kNext, std::move(statuses), next});
  };
  const auto post = [&](const char* name, const string& target, const string& body, int status) {
    add(name, PostTo(target, body), {status, 200}, Next::kReceive);
  };
  post("publish to a topic", "/publish/orders/42?topic=b&event=e&id=x&retry=900&key=k", "1", 200);
  post("publish to an encoded topic", "/publish/orders%2f42", "{}", 200);
  post("publish to a pattern", "/publish/orders/*", "1", 400);
  post("publish to no topic", "/publish/", "1", 404);
  post("publish with a bad id", "/publish/a?id=%20", "1", 400);
  post("publish with a bad retry", "/publish/a?retry=1", "1", 400);
  post("broadcast with a topic", "/broadcast?topic=a", "1", 400);
  post("an event in JSON", "/publish", "{\"topics\":[\"a\"],\"data\":\"\\u00e9\"}", 200);
  post("events in JSON", "/publish", "[{\"data\":1},{\"data\":[2,{}],\"id\":\"y\"}]", 200);
  post("an event without data", "/publish", "{\"topics\":[\"a\"]}", 400);
  post("an event with a field twice", "/publish", "{\"data\":1,\"data\":2}", 400);
  post("no events", "/publish", "[]", 400);
  add("idempotent", PostTo("/publish/a", "1", "Idempotency-Key: k\r\n"), {200, 200},
      Next::kReceive);
  add("idempotency key with a space", PostTo("/publish/a", "1", "Idempotency-Key: k k\r\n"),
      {400, 200}, Next::kReceive);
  add("two idempotency keys",
      PostTo("/publish/a", "1", "Idempotency-Key: k\r\nIdempotency-Key: k\r\n"), {400},
      Next::kClose);
  const auto stream = [&](const char* name, const string& target, int status) {
    add(name, "GET " + target + " HTTP/1.1\r\n" + kHost + "Last-Event-ID: 7\r\n\r\n",
        status == 200 ? std::vector<int>{200} : std::vector<int>{status, 200},
        status == 200 ? Next::kStream : Next::kReceive);
  };
  stream("stream of topics", "/stream/a/*?topic=b/**&topic=c&from=-5&last_event_id=x&%", 200);
  stream("stream of everything", "/stream/%2a%2A", 200);
  stream("stream of no pattern", "/stream/a*", 400);
  stream("stream from nowhere", "/stream?from=there", 400);
}

void AddLines(std::vector<RequestVector>* v) {
  const string type = "Content-Type: application/x-ndjson\r\n";
  const auto chunked = [&](const string& body) {
    return "POST /publish?idempotent= HTTP/1.1\r\n" + kHost + type +
           "Transfer-Encoding: chunked\r\n\r\n" + body;
  };
  const auto lines = [&](const string& body) { return PostTo("/publish", body, type); };
  const auto add = [&](const char* name, const string& bytes, std::vector<int> statuses,
                       Next next) {
    v->push_back({name, bytes + kNext, std::move(statuses), next});
  };
  add("lines", lines("{\"data\":1}\n\n{\"data\":\"x\",\"topics\":[\"a\"]}\r\n{\"data\":3}"),
      {200, 200}, Next::kReceive);
  add("no lines", lines(""), {200, 200}, Next::kReceive);
  add("bad lines", lines("{\"data\":}\n1\n{}\n{\"data\":1,\"x\":2}\n[]\n\xff\n{\"data\":1}\n"),
      {200, 200}, Next::kReceive);
  add("a line too long", lines(string(200, '1') + "\n{\"data\":1}\n" + string(65, ' ') + "\n\n"),
      {200, 200}, Next::kReceive);
  add("lines of a bad parameter", chunked("b\r\n{\"data\":1}\n\r\n0\r\n\r\n"), {400}, Next::kClose);
  const auto good = [&](const char* name, const string& body, Next next) {
    string bytes = chunked(body);
    bytes.erase(bytes.find("?idempotent="), 12);
    add(name, bytes, next == Next::kClose ? std::vector<int>{200} : std::vector<int>{200, 200},
        next);
  };
  good("lines in chunks", "b\r\n{\"data\":1}\n\r\n5\r\n{\"dat\r\n5;x\r\na\":2}\r\n0\r\n\r\n",
       Next::kReceive);
  good("lines and a broken chunk", "b\r\n{\"data\":1}\n\r\nx", Next::kClose);
  v->push_back(
      {"lines by 1.0",
       "POST /publish HTTP/1.0\r\n" + kHost + type + "Content-Length: 11\r\n\r\n{\"data\":1}\n",
       {200},
       Next::kClose});
}

void AddChunks(std::vector<RequestVector>* v) {
  const auto good = [&](const char* name, const string& body) {
    v->push_back({name, Chunked(body) + kNext, {200, 200}, Next::kReceive});
  };
  const auto bad = [&](const char* name, const string& body, int status = 400) {
    v->push_back({name, Chunked(body) + kNext, {status}, Next::kClose});
  };
  const auto coding = [&](const char* name, const string& lines, int status) {
    v->push_back({name, Post(lines, "0\r\n\r\n") + kNext, {status}, Next::kClose});
  };
  good("chunks", "2\r\n[1\r\n3\r\n,2]\r\n0\r\n\r\n");
  good("chunk size in capitals with zeros", "00A\r\n\"12345678\"\r\n000\r\n\r\n");
  good("chunk extensions", "1;a=b;c=\"d e\"\r\n1\r\n0;x\r\n\r\n");
  good("trailers", "1\r\n1\r\n0\r\nX: y\r\nZ:\r\n\r\n");
  good("a length in a trailer changes nothing", "1\r\n1\r\n0\r\nContent-Length: 500\r\n\r\n");
  bad("chunk size ends in LF", "1\n1\r\n0\r\n\r\n");
  bad("chunk size ends in CR", "1\r1\r\n0\r\n\r\n");
  bad("chunk data end in LF", "1\r\n1\n0\r\n\r\n");
  bad("chunk data end in CR and another", "1\r\n1\rX0\r\n\r\n");
  bad("chunk data longer than its size", "1\r\n12\r\n0\r\n\r\n");
  bad("no chunk size", "\r\n1\r\n0\r\n\r\n");
  bad("chunk size with 0x", "0x1\r\n1\r\n0\r\n\r\n");
  bad("chunk size with a space", "1 \r\n1\r\n0\r\n\r\n");
  bad("negative chunk size", "-1\r\n1\r\n0\r\n\r\n");
  bad("control byte in an extension", "1;a\x01\r\n1\r\n0\r\n\r\n");
  bad("LF in an extension", "1;a\n1\r\n0\r\n\r\n");
  bad("LF in a quoted extension", "1;a=\"\n\"\r\n1\r\n0\r\n\r\n");
  bad("last chunk ends in LF", "1\r\n1\r\n0\r\n\n");
  bad("last chunk ends in CR and another", "1\r\n1\r\n0\r\n\rX");
  bad("trailer without a colon", "1\r\n1\r\n0\r\nX\r\n\r\n");
  bad("folded trailer", "1\r\n1\r\n0\r\nX: y\r\n z\r\n\r\n");
  bad("trailer that ends in LF", "1\r\n1\r\n0\r\nX: y\n\r\n");
  bad("chunk too large", "41\r\n", 413);
  bad("chunks too large in all", "21\r\n" + string(33, 'x') + "\r\n20\r\n", 413);
  bad("chunk size past 64 bits", "10000000000000001\r\n1\r\n0\r\n\r\n", 413);
  bad("endless zeros", string(20'000, '0'), 431);
  bad("endless extension", "1;" + string(20'000, 'x'), 431);
  bad("endless trailers", "0\r\nX: " + string(20'000, 'x'), 431);
  coding("gzip", "Transfer-Encoding: gzip\r\n", 501);
  coding("gzip then chunked", "Transfer-Encoding: gzip, chunked\r\n", 501);
  coding("identity", "Transfer-Encoding: identity\r\n", 501);
  coding("xchunked", "Transfer-Encoding: xchunked\r\n", 501);
  coding("chunked twice", "Transfer-Encoding: chunked, chunked\r\n", 400);
  coding("chunked in two fields", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
         400);
  coding("chunked then gzip", "Transfer-Encoding: chunked, gzip\r\n", 400);
  coding("empty coding", "Transfer-Encoding:\r\n", 501);
  coding("coding with a vertical tab", "Transfer-Encoding: \vchunked\r\n", 400);
  v->push_back({"chunked in 1.0",
                "POST /broadcast HTTP/1.0\r\n" + kHost +
                    "Transfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n",
                {400},
                Next::kClose});
}

}  // namespace

const std::vector<RequestVector>& RequestVectors() {
  static const std::vector<RequestVector> vectors = [] {
    std::vector<RequestVector> v;
    AddRequestLines(&v);
    AddFields(&v);
    AddLengths(&v);
    AddTopics(&v);
    AddLines(&v);
    AddChunks(&v);
    return v;
  }();
  return vectors;
}

}  // namespace sluice::http
