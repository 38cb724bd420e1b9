// The request target taken apart (RFC 9112, section 3.2): path, query, and the authority of an
// absolute one.
//
// Thread: pure.
// Owner:  views into the target.
// Errors: false for what cannot be decoded: a '%' without two hexadecimal digits.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice::http {

struct Target {
  std::string_view authority;  // of http://authority/path; empty otherwise
  std::string_view path;       // still encoded; "/" if an absolute target has none
  std::string_view query;      // after the '?', still encoded
  bool is_absolute = false;
};

// False if it is neither /path, nor http(s)://..., nor "*".
bool SplitTarget(std::string_view text, Target* target);

// Appends what `text` stands for. In a query '+' is a space (the form encoding of the URL
// standard).
bool PercentDecode(std::string_view text, bool is_query, std::string* out);

// True if every '%' has two hexadecimal digits after it.
bool IsPercentEncoded(std::string_view text);

// One of the name=value pairs that '&' joins in a query, still encoded; a name alone has the value
// "".
struct QueryPair {
  std::string_view name;
  std::string_view value;
};
// Takes the first pair off a query; false if there is none.
bool TakePair(std::string_view* query, QueryPair* pair);
// The pair's name decoded, in `scratch` if it has to be; nothing if it is malformed.
std::optional<std::string_view> DecodedName(const QueryPair& pair, std::string* scratch);

enum class QueryFind { kAbsent, kFound, kTwice, kMalformed };
// Finds `name` in a query; `value` is overwritten. Any malformed pair makes the query malformed,
// whatever its name.
QueryFind FindInQuery(std::string_view query, std::string_view name, std::string* value);

}  // namespace sluice::http
