#include "http/request_head.h"

#include <llhttp.h>

#include <array>
#include <cstring>

namespace sluice::http {
namespace {

constexpr char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

bool IsTokenByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         (c != '\0' && std::strchr("!#$%&'*+-.^_`|~", c) != nullptr);
}

bool StartsIgnoreCase(std::string_view text, std::string_view lower_case) {
  return text.size() >= lower_case.size() &&
         EqualsIgnoreCase(text.substr(0, lower_case.size()), lower_case);
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// `list` is comma separated; parameters after ';' are no part of an item.
bool ListNames(std::string_view list, std::string_view lower_case) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    std::string_view item = list.substr(0, comma);
    if (EqualsIgnoreCase(Trim(item.substr(0, item.find(';'))), lower_case)) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
  return false;
}

// What llhttp's callbacks work on: one head, parsed in one call.
struct Parse {
  RequestHead* head;
  std::string_view name;
  std::string_view transfer_encoding;
  std::optional<Fault> fault;
  bool has_transfer_encoding = false;
  bool has_expect = false;
};

Parse& ParseOf(llhttp_t* parser) { return *static_cast<Parse*>(parser->data); }

int Refuse(Parse& parse, Refusal refusal, std::string detail) {
  parse.fault.emplace(refusal, std::move(detail));
  return HPE_USER;
}

int TakeOnce(Parse& parse, std::string_view value, std::string_view* field, bool* has) {
  if (*has) {
    return Refuse(parse, Refusal::kBadRequest,
                  "the header field " + std::string(parse.name) + " may stand only once");
  }
  *has = true;
  *field = value;
  return 0;
}

int TakeExpect(Parse& parse, std::string_view value) {
  if (EqualsIgnoreCase(value, "100-continue")) {
    parse.head->expects_continue = true;
  } else {
    parse.head->has_unknown_expectation = true;
  }
  return 0;
}

// Fields are told apart by length first: most of a request's are of no interest.
int TakeField(Parse& parse, std::string_view value) {
  RequestHead& head = *parse.head;
  const std::string_view name = parse.name;
  const auto is = [&](std::string_view lower_case) { return EqualsIgnoreCase(name, lower_case); };
  if (StartsIgnoreCase(name, "x-forwarded-")) {
    head.is_forwarded = true;
    return 0;
  }
  switch (name.size()) {
    case 3:
      if (is("via")) head.is_forwarded = true;
      break;
    case 4:
      if (is("host")) return TakeOnce(parse, value, &head.host, &head.has_host);
      break;
    case 6:
      if (is("accept") && ListNames(value, "text/event-stream")) head.accepts_event_stream = true;
      if (is("origin")) return TakeOnce(parse, value, &head.origin, &head.has_origin);
      if (is("expect")) return TakeExpect(parse, value);
      break;
    case 9:
      if (is("forwarded")) head.is_forwarded = true;
      if (is("x-real-ip")) head.is_forwarded = true;
      break;
    case 12:
      if (is("content-type")) {
        return TakeOnce(parse, value, &head.content_type, &head.has_content_type);
      }
      break;
    case 13:
      if (is("authorization")) {
        return TakeOnce(parse, value, &head.authorization, &head.has_authorization);
      }
      if (is("if-none-match")) head.if_none_match = value;
      if (is("last-event-id")) {
        return TakeOnce(parse, value, &head.last_event_id, &head.has_last_event_id);
      }
      break;
    case 15:
      if (is("idempotency-key")) {
        return TakeOnce(parse, value, &head.idempotency_key, &head.has_idempotency_key);
      }
      break;
    case 16:
      // The first that is no identity is the one to complain about.
      if (is("content-encoding") && !EqualsIgnoreCase(value, "identity") &&
          head.content_encoding.empty()) {
        head.content_encoding = value;
      }
      break;
    case 17:
      if (is("transfer-encoding")) {
        return TakeOnce(parse, value, &parse.transfer_encoding, &parse.has_transfer_encoding);
      }
      break;
    case 29:
      if (is("access-control-request-method")) head.is_preflight = true;
      break;
    default:
      break;
  }
  return 0;
}

int OnTarget(llhttp_t* parser, const char* at, size_t length) {
  ParseOf(parser).head->target = {at, length};
  return 0;
}

int OnName(llhttp_t* parser, const char* at, size_t length) {
  ParseOf(parser).name = {at, length};
  return 0;
}

int OnValue(llhttp_t* parser, const char* at, size_t length) {
  return TakeField(ParseOf(parser), Trim({at, length}));
}

Method MethodOf(const llhttp_t* parser) {
  switch (parser->method) {
    case HTTP_GET:
      return Method::kGet;
    case HTTP_HEAD:
      return Method::kHead;
    case HTTP_POST:
      return Method::kPost;
    case HTTP_OPTIONS:
      return Method::kOptions;
    default:
      return Method::kOther;
  }
}

int OnHeadersComplete(llhttp_t* parser) {
  RequestHead& head = *ParseOf(parser).head;
  head.method = MethodOf(parser);
  head.is_http10 = parser->http_minor == 0;
  head.keep_alive = llhttp_should_keep_alive(parser) != 0;
  head.has_length = (parser->flags & F_CONTENT_LENGTH) != 0;
  head.content_length = head.has_length ? parser->content_length : 0;
  // llhttp's part ends here: bodies are framed by the session.
  return HPE_PAUSED;
}

const llhttp_settings_t& Settings() {
  static const llhttp_settings_t settings = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_url = OnTarget;
    s.on_header_field = OnName;
    s.on_header_value = OnValue;
    s.on_headers_complete = OnHeadersComplete;
    return s;
  }();
  return settings;
}

Fault Bad(std::string detail) { return {Refusal::kBadRequest, std::move(detail)}; }

// The first line, as far as it is there: its target may be too long before it ends.
std::optional<Fault> CheckTargetBytes(std::string_view line, const HeadBounds& bounds) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  std::string_view target = line.substr(space + 1);
  target = target.substr(0, target.find_first_of(" \r\n"));
  if (target.size() <= bounds.target_bytes_max) return std::nullopt;
  return Fault(Refusal::kTargetTooLong, "the request target is longer than " +
                                            std::to_string(bounds.target_bytes_max) +
                                            " bytes (http.target_bytes_max)");
}

// method SP target SP "HTTP/" digit "." digit, with single spaces: llhttp takes several, and 0.9.
std::optional<Fault> CheckRequestLine(std::string_view line) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last || first + 1 == last ||
      line.find(' ', first + 1) != last) {
    return Bad("the request line is not: method, one space, target, one space, HTTP/1.1");
  }
  const std::string_view version = line.substr(last + 1);
  const auto is_digit = [&](size_t i) { return version[i] >= '0' && version[i] <= '9'; };
  if (version.size() != 8 || version.substr(0, 5) != "HTTP/" || version[6] != '.' || !is_digit(5) ||
      !is_digit(7)) {
    return Bad("the request line does not end in HTTP/1.1");
  }
  if (version != "HTTP/1.1" && version != "HTTP/1.0") {
    return Fault(Refusal::kHttpVersion, "use HTTP/1.1 or HTTP/1.0");
  }
  // llhttp takes a fragment, which is never sent to a server.
  if (line.find('#') < last) return Bad("the request target has a fragment (#)");
  return std::nullopt;
}

std::optional<Fault> CheckFieldLine(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t') {
    return Bad("a header line begins with a space: folded lines are not taken");
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return Bad("a header line has no colon");
  if (colon == 0) return Bad("a header line has no name before the colon");
  if (line[colon - 1] == ' ' || line[colon - 1] == '\t') {
    return Bad("a header line has a space before its colon");
  }
  return std::nullopt;
}

// One pass that the compiler can do many bytes at a time: what is true of most heads is shown
// first.
bool HasControlByte(std::string_view head) {
  unsigned found = 0;
  for (const char c : head) {
    const auto byte = static_cast<unsigned char>(c);
    found |= unsigned{byte < 0x20} & unsigned{byte != '\t'} & unsigned{byte != '\r'} &
             unsigned{byte != '\n'};
    found |= unsigned{byte == 0x7f};
  }
  return found != 0;
}

Fault FaultOf(const llhttp_t& parser, Parse& parse) {
  if (parse.fault) return *std::move(parse.fault);
  const std::string_view reason = parser.reason == nullptr ? "" : parser.reason;
  if (parser.error == HPE_INVALID_METHOD) {
    return {Refusal::kNotImplemented, "the method is not known here"};
  }
  if (parser.error == HPE_INVALID_CONTENT_LENGTH && reason == "Content-Length overflow") {
    return {Refusal::kBodyTooLarge, "the Content-Length is beyond any bound"};
  }
  return Bad(std::string(reason));
}

// A name or an address, perhaps a port (RFC 3986, section 3.2): no user, path, list or space, which
// others on the way might read as another host than we do.
bool IsHost(std::string_view host) {
  static constexpr auto kIsHostByte = [] {
    std::array<bool, 256> table{};
    for (int byte = 0x21; byte < 0x7f; ++byte) table[static_cast<size_t>(byte)] = true;
    for (const char c : std::string_view("\"#,/<>?@\\^`{|}"))
      table[static_cast<uint8_t>(c)] = false;
    return table;
  }();
  for (const char c : host) {
    if (!kIsHostByte[static_cast<uint8_t>(c)]) return false;
  }
  size_t end = host.find(':');
  if (host.starts_with('[')) {
    end = host.find(']');
    if (end == host.npos || end == 1) return false;
    ++end;
  } else if (host.substr(0, end).find_first_of("[]") != host.npos) {
    return false;
  }
  if (end >= host.size()) return true;
  const std::string_view port = host.substr(end + 1);
  return host[end] == ':' && port.size() <= 5 && port.find_first_not_of("0123456789") == port.npos;
}

// What needs the whole head: fields that must stand once, and how long the body is.
std::optional<Fault> CheckFields(const Parse& parse) {
  RequestHead& head = *parse.head;
  if (!head.has_host && !head.is_http10) return Bad("HTTP/1.1 asks for a Host header field");
  if (!IsHost(head.host)) return Bad("the Host is neither a name nor an address");
  if (!parse.has_transfer_encoding) return std::nullopt;
  if (head.is_http10) return Bad("HTTP/1.0 has no Transfer-Encoding");
  if (head.has_length) return Bad("Content-Length and Transfer-Encoding exclude each other");
  if (!EqualsIgnoreCase(parse.transfer_encoding, "chunked")) {
    return Fault(Refusal::kNotImplemented, "the only Transfer-Encoding taken is chunked");
  }
  head.is_chunked = true;
  return std::nullopt;
}

std::optional<Fault> ParseWhole(std::string_view bytes, RequestHead* head) {
  if (HasControlByte(bytes)) return Bad("the head of the request has a control byte");
  *head = RequestHead{};
  Parse parse;
  parse.head = head;
  llhttp_t parser;
  llhttp_init(&parser, HTTP_REQUEST, &Settings());
  parser.data = &parse;
  if (llhttp_execute(&parser, bytes.data(), bytes.size()) != HPE_PAUSED) {
    return FaultOf(parser, parse);
  }
  return CheckFields(parse);
}

}  // namespace

bool EqualsIgnoreCase(std::string_view text, std::string_view lower_case) {
  if (text.size() != lower_case.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (Lower(text[i]) != lower_case[i]) return false;
  }
  return true;
}

HeadResult ParseHead(std::string_view bytes, const HeadBounds& bounds, HeadScan* scan,
                     RequestHead* head) {
  if (!bytes.empty() && !IsTokenByte(bytes[0])) {
    return {0, Bad("this is no HTTP request (is it TLS, sent to a port without it?)")};
  }
  // No line beyond the bound is ever looked at, however much of it has come.
  const std::string_view window = bytes.substr(0, bounds.header_bytes_max);
  while (true) {
    const size_t begin = scan->line_begin;
    const std::string_view rest = window.substr(begin);
    if (begin == 0) {
      if (auto fault = CheckTargetBytes(rest.substr(0, rest.find('\n')), bounds)) {
        return {0, std::move(fault)};
      }
    }
    const size_t newline = rest.find('\n');
    if (newline == std::string_view::npos) break;
    if (newline == 0 || rest[newline - 1] != '\r') {
      return {0, Bad("a line ends in LF alone: CR LF is asked for")};
    }
    const std::string_view line = rest.substr(0, newline - 1);
    if (line.find('\r') != std::string_view::npos) return {0, Bad("a CR stands within a line")};
    if (line.empty()) {
      const size_t head_bytes = begin + 2;
      if (auto fault = ParseWhole(window.substr(0, head_bytes), head)) return {0, std::move(fault)};
      return {head_bytes, std::nullopt};
    }
    if (auto fault = begin == 0 ? CheckRequestLine(line) : CheckFieldLine(line)) {
      return {0, std::move(fault)};
    }
    scan->line_begin = begin + newline + 1;
  }
  if (bytes.size() <= bounds.header_bytes_max) return {0, std::nullopt};
  return {0, Fault(Refusal::kHeaderTooLarge, "line and headers are longer than " +
                                                 std::to_string(bounds.header_bytes_max) +
                                                 " bytes in all (http.header_bytes_max)")};
}

}  // namespace sluice::http
