// Writes replies: head and body, appended to what a connection has yet to send.
//
// Thread: pure.
// Owner:  nothing is kept; the views of a ReplyHead live as long as the call.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/fault.h"

namespace sluice::http {

struct ReplyHead {
  int status = 200;
  std::string_view content_type = "application/json";
  std::string_view cache = "no-store";
  std::string_view date_line;  // each "...line" holds whole lines with their CR LF
  std::string_view cors_lines;
  std::string_view extra_lines;
  bool closes = false;
  bool is_http10 = false;   // where keeping the connection has to be said
  bool omits_body = false;  // an answer to HEAD
};

// Status 204 and 304 have neither length nor body.
void AppendReply(std::string* out, const ReplyHead& head, std::string_view body);
// The head of a stream: no length, ended by close.
void AppendStreamHead(std::string* out, const ReplyHead& head);

// The head of the replies to a stream of lines: chunked, or ended by close (HTTP/1.0).
void AppendLinesHead(std::string* out, const ReplyHead& head);

// {"success":false,"code":...,"message":"...","error":"...","detail":"..."}
void AppendFaultEnvelope(std::string* out, const Fault& fault);

void AppendNumber(std::string* out, uint64_t number);

}  // namespace sluice::http
