#include "JsonScanner.h"

#include <charconv>
#include <cmath>
#include <cstring>

namespace mpopt::search {

void JsonScanner::fail(const std::string &what) const {
  throw ScanError(what + " at byte " + std::to_string(at - begin));
}

void JsonScanner::space() {
  while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
    ++at;
}

bool JsonScanner::accept(char c) {
  space();
  if (at == end || *at != c)
    return false;
  ++at;
  return true;
}

void JsonScanner::expect(char c) {
  if (!accept(c))
    fail(std::string("expected '") + c + "'");
}

/// Names are for messages only, so that escapes other than of one character need not be decoded.
std::string JsonScanner::string() {
  expect('"');
  std::string result;
  for (; at < end && *at != '"'; ++at) {
    if (*at == '\\' && ++at == end)
      break;
    result += *at;
  }
  if (at == end)
    fail("a string does not end");
  ++at;
  return result;
}

double JsonScanner::number() {
  space();
  const char *start = at;
  bool negative = at < end && *at == '-';
  at += negative;
  int64_t whole = 0;
  const char *digits = at;
  for (; at < end && *at >= '0' && *at <= '9' && at - digits < 18; ++at)
    whole = 10 * whole + (*at - '0');
  bool more = at < end && ((*at >= '0' && *at <= '9') || *at == '.' || *at == 'e' || *at == 'E');
  if (at > digits && !more)
    return double(negative ? -whole : whole);
  double value = 0;
  auto [stop, error] = std::from_chars(start, end, value);
  if ((error != std::errc() && error != std::errc::result_out_of_range) || stop == start ||
      (at == digits && std::strchr("0123456789", *at) == nullptr))
    at = start, fail("expected a number");
  at = stop;
  return error == std::errc::result_out_of_range ? (negative ? -HUGE_VAL : HUGE_VAL) : value;
}

int64_t JsonScanner::integer() {
  space();
  int64_t value = 0;
  auto [stop, error] = std::from_chars(at, end, value);
  if (error != std::errc() || (stop < end && (*stop == '.' || *stop == 'e' || *stop == 'E')))
    fail("expected an integer of 64 bits");
  at = stop;
  return value;
}

bool JsonScanner::null() {
  space();
  if (end - at < 4 || std::memcmp(at, "null", 4) != 0)
    return false;
  at += 4;
  return true;
}

std::string_view JsonScanner::numberList() {
  space();
  if (at == end || *at != '[')
    fail("expected '['");
  const void *close = std::memchr(at, ']', size_t(end - at));
  if (!close)
    fail("a list does not end");
  std::string_view text(at, size_t(static_cast<const char *>(close) + 1 - at));
  at += text.size();
  return text;
}

void JsonScanner::skip() { skip(0); }

void JsonScanner::skip(int depth) {
  if (depth > kMaxDepth)
    fail("too deeply nested");
  space();
  if (at == end)
    fail("expected a value");
  if (*at == '{')
    object([&](const std::string &) { skip(depth + 1); });
  else if (*at == '[')
    array([&] { skip(depth + 1); });
  else if (*at == '"')
    string();
  else if (end - at >= 4 && (std::memcmp(at, "true", 4) == 0 || std::memcmp(at, "null", 4) == 0))
    at += 4;
  else if (end - at >= 5 && std::memcmp(at, "false", 5) == 0)
    at += 5;
  else
    number();
}

void JsonScanner::finish() {
  space();
  if (at != end)
    fail("more text than one value");
}

} // namespace mpopt::search
