#include "Format.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

using llvm::StringRef;

namespace mpopt::report {

std::string escaped(StringRef text) {
  std::string result;
  for (char c : json::isUTF8(text) ? text.str() : json::fixUTF8(text))
    switch (c) {
    case '&':
      result += "&amp;";
      break;
    case '<':
      result += "&lt;";
      break;
    case '>':
      result += "&gt;";
      break;
    case '"':
      result += "&quot;";
      break;
    default:
      result += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  return result;
}

/// Three significant digits, without an exponent.
static std::string digits(double value) {
  double size = std::abs(value);
  return llvm::formatv(size >= 100    ? "{0:f0}"
                       : size >= 10   ? "{0:f1}"
                       : size >= 1    ? "{0:f2}"
                       : size >= 0.01 ? "{0:f3}"
                                      : "{0:f5}",
                       value)
      .str();
}

std::string secondsText(double seconds) {
  double size = std::abs(seconds);
  if (size == 0)
    return "0";
  if (size < 1e-3)
    return digits(seconds * 1e6) + " µs";
  return size < 1 ? digits(seconds * 1e3) + " ms" : digits(seconds) + " s";
}

std::string bytesText(double bytes) {
  const char *units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  for (; bytes >= 1000 && unit < 4; ++unit)
    bytes /= 1024;
  return (unit == 0 ? llvm::formatv("{0:f0}", bytes).str() : digits(bytes)) + " " + units[unit];
}

std::string countText(double count) {
  const char *units[] = {"", " K", " M", " G", " T"};
  int unit = 0;
  for (; count >= 1000 && unit < 4; ++unit)
    count /= 1000;
  return (unit == 0 && count == std::floor(count) ? plain(count) : digits(count)) + units[unit];
}

std::string percentText(double part, double whole) {
  double value = whole > 0 ? 100 * part / whole : 0;
  return llvm::formatv(value < 10 ? "{0:f1} %" : "{0:f0} %", value).str();
}

std::string plain(double value) {
  std::string text = llvm::formatv("{0:f3}", value).str();
  StringRef trimmed = StringRef(text).rtrim('0');
  trimmed.consume_back(".");
  return trimmed == "-0" ? "0" : trimmed.str();
}

std::string operatorsText(double count) { return plain(count) + (count == 1 ? " operator" : " operators"); }

std::string coordinate(double value) { return plain(std::round(value * 100) / 100); }

std::string figure(StringRef key, double value, StringRef text) {
  return llvm::formatv("<b data-key=\"{0}\" data-value=\"{1}\">{2}</b>", key, json::Value(value), escaped(text)).str();
}

double number(const json::Object &object, StringRef key) { return object.getNumber(key).value_or(0); }

std::string text(const json::Object &object, StringRef key) { return object.getString(key).value_or("").str(); }

const json::Array &list(const json::Object &object, StringRef key) {
  static const json::Array kEmpty;
  const json::Array *array = object.getArray(key);
  return array ? *array : kEmpty;
}

const json::Object &object(const json::Object &of, StringRef key) {
  static const json::Object kEmpty;
  const json::Object *found = of.getObject(key);
  return found ? *found : kEmpty;
}

std::vector<double> ticks(double most, int count, bool binary) {
  if (binary && most >= 1024) {
    double unit = std::pow(1024, std::floor(std::log(most) / std::log(1024)));
    std::vector<double> result = ticks(most / unit, count, false);
    for (double &tick : result)
      tick *= unit;
    return result;
  }
  std::vector<double> result = {0};
  if (most <= 0)
    return result;
  double step = std::pow(10, std::floor(std::log10(most / count)));
  for (double factor : {1.0, 2.0, 5.0, 10.0})
    if (most / (step * factor) <= count) {
      step *= factor;
      break;
    }
  for (int i = 1; step * i <= most * (1 + 1e-9); ++i)
    result.push_back(step * i);
  return result;
}

std::string shortened(StringRef text, size_t most) {
  if (text.size() <= most)
    return text.str();
  size_t front = most / 3, back = text.size() - (most - 1 - front);
  auto continues = [&](size_t at) { return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80; };
  while (front > 0 && continues(front))
    --front;
  while (continues(back))
    ++back;
  return text.take_front(front).str() + "…" + text.drop_front(back).str();
}

std::string kindClass(StringRef kind) {
  std::string name;
  for (char c : kind)
    name += llvm::isAlnum(c) ? c : '_';
  return "k-" + name;
}

} // namespace mpopt::report
