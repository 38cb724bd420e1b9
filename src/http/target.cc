#include "http/target.h"

#include <algorithm>

namespace sluice::http {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool TakeScheme(std::string_view* text, std::string_view scheme) {
  if (text->size() < scheme.size()) return false;
  for (size_t i = 0; i < scheme.size(); ++i) {
    const char c = (*text)[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c) != scheme[i]) return false;
  }
  text->remove_prefix(scheme.size());
  return true;
}

}  // namespace

bool SplitTarget(std::string_view text, Target* target) {
  *target = Target{};
  if (text == "*") {
    target->path = text;
    return true;
  }
  if (TakeScheme(&text, "http://") || TakeScheme(&text, "https://")) {
    target->is_absolute = true;
    const size_t authority_bytes = std::min(text.find_first_of("/?"), text.size());
    target->authority = text.substr(0, authority_bytes);
    text.remove_prefix(authority_bytes);
    if (target->authority.empty()) return false;
  } else if (text.empty() || text[0] != '/') {
    return false;
  }
  const size_t mark = text.find('?');
  target->path = text.substr(0, mark);
  if (mark != std::string_view::npos) target->query = text.substr(mark + 1);
  if (target->path.empty()) target->path = "/";
  return true;
}

bool PercentDecode(std::string_view text, bool is_query, std::string* out) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && is_query) {
      out->push_back(' ');
    } else if (text[i] != '%') {
      out->push_back(text[i]);
    } else {
      if (text.size() - i < 3) return false;
      const int high = HexDigit(text[i + 1]);
      const int low = HexDigit(text[i + 2]);
      if (high < 0 || low < 0) return false;
      out->push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return true;
}

bool IsPercentEncoded(std::string_view text) {
  for (size_t i = text.find('%'); i != std::string_view::npos; i = text.find('%', i + 3)) {
    if (text.size() - i < 3 || HexDigit(text[i + 1]) < 0 || HexDigit(text[i + 2]) < 0) return false;
  }
  return true;
}

bool TakePair(std::string_view* query, QueryPair* pair) {
  if (query->empty()) return false;
  const size_t pair_bytes = std::min(query->find('&'), query->size());
  const std::string_view text = query->substr(0, pair_bytes);
  query->remove_prefix(std::min(pair_bytes + 1, query->size()));
  const size_t equals = std::min(text.find('='), text.size());
  *pair = {text.substr(0, equals), text.substr(std::min(equals + 1, text.size()))};
  return true;
}

std::optional<std::string_view> DecodedName(const QueryPair& pair, std::string* scratch) {
  if (pair.name.find_first_of("%+") == std::string_view::npos) return pair.name;
  scratch->clear();
  if (!PercentDecode(pair.name, true, scratch)) return std::nullopt;
  return *scratch;
}

QueryFind FindInQuery(std::string_view query, std::string_view name, std::string* value) {
  QueryFind found = QueryFind::kAbsent;
  std::string scratch;
  value->clear();
  for (QueryPair pair; TakePair(&query, &pair);) {
    const auto its_name = DecodedName(pair, &scratch);
    if (!its_name) return QueryFind::kMalformed;
    if (*its_name != name) {
      if (!IsPercentEncoded(pair.value)) return QueryFind::kMalformed;
      continue;
    }
    if (found == QueryFind::kFound) return QueryFind::kTwice;
    found = QueryFind::kFound;
    if (!PercentDecode(pair.value, true, value)) return QueryFind::kMalformed;
  }
  return found;
}

}  // namespace sluice::http
