#include "Text.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/FormatVariadic.h"

using llvm::StringRef;

namespace mpopt {
namespace {

/// The characters of a text; bytes that are no UTF-8 stand for themselves, as '?'.
std::vector<std::string> charactersOf(StringRef text) {
  std::vector<std::string> characters;
  for (size_t i = 0; i < text.size();) {
    auto first = static_cast<unsigned char>(text[i]);
    size_t length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 0;
    bool whole = length > 0 && i + length <= text.size();
    for (size_t k = 1; whole && k < length; ++k)
      whole = (static_cast<unsigned char>(text[i + k]) & 0xc0) == 0x80;
    bool control = first < 0x20 || first == 0x7f;
    characters.push_back(whole && !control ? text.substr(i, length).str() : "?");
    i += whole ? length : 1;
  }
  return characters;
}

size_t widthOf(StringRef text) { return charactersOf(text).size(); }

} // namespace

std::string bytesText(double bytes) {
  const char *units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  for (; bytes >= 1024 && unit < 4; ++unit)
    bytes /= 1024;
  return llvm::formatv(unit == 0 ? "{0:f0} {1}" : "{0:f1} {1}", bytes, units[unit]).str();
}

std::string countText(double count) {
  const char *units[] = {"", " K", " M", " G", " T"};
  int unit = 0;
  for (; count >= 1000 && unit < 4; ++unit)
    count /= 1000;
  return llvm::formatv(unit == 0 ? "{0:f0}{1}" : "{0:f1}{1}", count, units[unit]).str();
}

std::string timeText(double seconds) {
  return seconds < 1e-4 ? llvm::formatv("{0:f1} us", seconds * 1e6).str()
                        : llvm::formatv("{0:f3} ms", seconds * 1e3).str();
}

std::string fitted(StringRef text, size_t columns) {
  std::vector<std::string> characters = charactersOf(text);
  std::string result;
  size_t front = characters.size(), back = front;
  if (characters.size() > columns) {
    front = (columns - 1) / 3;
    back = characters.size() - (columns - 1 - front);
  }
  for (size_t i = 0; i < characters.size(); ++i)
    if (i < front || i >= back)
      result += characters[i];
    else if (i == front)
      result += "…";
  return result;
}

void Table::print(llvm::raw_ostream &os) const {
  std::vector<size_t> widths;
  for (const std::vector<std::string> &row : rows)
    for (auto [column, cell] : llvm::enumerate(row)) {
      widths.resize(std::max(widths.size(), column + 1), 0);
      if (column + 1 < row.size() || column == 0 ||
          llvm::is_contained(right, column)) // the last may be as long as it likes
        widths[column] = std::max(widths[column], std::min(most, widthOf(cell)));
    }
  for (const std::vector<std::string> &row : rows) {
    std::string line = indent;
    for (auto [column, cell] : llvm::enumerate(row)) {
      bool isLast = column + 1 == row.size();
      std::string text = isLast ? fitted(cell, 400) : fitted(cell, most);
      size_t width = widthOf(text), gap = widths[column] > width ? widths[column] - width : 0;
      std::string padding(gap, ' ');
      line += llvm::is_contained(right, column) ? padding + text : text + padding;
      line += "  ";
    }
    os << StringRef(line).rtrim() << "\n";
  }
}

void printField(llvm::raw_ostream &os, StringRef label, StringRef text) {
  constexpr size_t kLabel = 16, kColumns = 100;
  std::string line = label.str();
  line.resize(std::max(kLabel, line.size() + 1), ' ');
  size_t used = line.size();
  llvm::SmallVector<StringRef> words;
  text.split(words, ' ');
  for (auto [index, word] : llvm::enumerate(words)) {
    std::string shown = fitted(word, 400);
    for (size_t at; (at = shown.find(kSpace)) != std::string::npos;)
      shown.replace(at, kSpace.size(), " ");
    size_t width = widthOf(shown);
    if (index > 0 && used + 1 + width > kColumns) {
      line += "\n" + std::string(kLabel, ' ');
      used = kLabel;
    } else if (index > 0) {
      line += " ";
      ++used;
    }
    line += shown;
    used += width;
  }
  os << line << "\n";
}

} // namespace mpopt
