#include "http/reply.h"

#include <charconv>

#include "base/json_escape.h"

namespace sluice::http {
namespace {

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Error";
  }
}

void AppendStatusLine(std::string* out, int status) {
  if (status == 200) {
    out->append("HTTP/1.1 200 OK\r\n");
    return;
  }
  out->append("HTTP/1.1 ");
  AppendNumber(out, static_cast<uint64_t>(status));
  out->append(" ").append(ReasonPhrase(status)).append("\r\n");
}

}  // namespace

void AppendNumber(std::string* out, uint64_t number) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof(digits), number).ptr;
  out->append(digits, end);
}

void AppendReply(std::string* out, const ReplyHead& head, std::string_view body) {
  AppendStatusLine(out, head.status);
  out->append(head.date_line);
  if (head.status != 204 && head.status != 304) {
    out->append("Content-Type: ").append(head.content_type).append("\r\nContent-Length: ");
    AppendNumber(out, body.size());
    out->append("\r\n");
  } else {
    body = {};
  }
  out->append("Cache-Control: ").append(head.cache).append("\r\n");
  out->append(head.cors_lines).append(head.extra_lines);
  if (head.closes) {
    out->append("Connection: close\r\n");
  } else if (head.is_http10) {
    out->append("Connection: keep-alive\r\n");
  }
  out->append("\r\n");
  if (!head.omits_body) out->append(body);
}

void AppendStreamHead(std::string* out, const ReplyHead& head) {
  AppendStatusLine(out, 200);
  out->append(head.date_line);
  out->append(
      "Content-Type: text/event-stream\r\n"
      "Cache-Control: no-cache, no-store, no-transform\r\n"
      "X-Accel-Buffering: no\r\n");
  out->append(head.cors_lines).append("Connection: close\r\n\r\n");
}

void AppendLinesHead(std::string* out, const ReplyHead& head) {
  AppendStatusLine(out, 200);
  out->append(head.date_line);
  out->append(
      "Content-Type: application/x-ndjson\r\n"
      "Cache-Control: no-store\r\n"
      "X-Accel-Buffering: no\r\n");
  if (!head.is_http10) out->append("Transfer-Encoding: chunked\r\n");
  out->append(head.cors_lines);
  if (head.closes) out->append("Connection: close\r\n");
  out->append("\r\n");
}

void AppendFaultEnvelope(std::string* out, const Fault& fault) {
  out->append("{\"success\":false,\"code\":");
  AppendNumber(out, static_cast<uint64_t>(HttpStatus(fault.refusal)));
  out->append(",\"message\":");
  AppendJsonString(out, Explanation(fault.refusal));
  out->append(",\"error\":");
  AppendJsonString(out, Word(fault.refusal));
  out->append(",\"detail\":");
  AppendJsonString(out, fault.detail);
  out->append("}");
}

}  // namespace sluice::http
