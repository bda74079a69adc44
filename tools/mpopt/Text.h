#ifndef MPOPT_TOOLS_MPOPT_TEXT_H
#define MPOPT_TOOLS_MPOPT_TEXT_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/raw_ostream.h"
#include <string>
#include <vector>

namespace mpopt {

/// "812 B", "1.5 KiB", "3.2 GiB".
std::string bytesText(double bytes);
/// "12.3 M": counts of parameters.
std::string countText(double count);
/// "12.345 ms", or in us below a tenth of that.
std::string timeText(double seconds);

/// Cuts what is longer than `columns` in the middle ("/encoder/lay…/MatMul"); counts characters of UTF-8, and shows control characters
/// as '?'.
std::string fitted(llvm::StringRef text, size_t columns);

/// Lines of cells in columns as wide as their widest cell, at most `mostColumns` wide, two spaces apart.
class Table {
public:
  explicit Table(std::string indent = "  ", size_t mostColumns = 44) : indent(std::move(indent)), most(mostColumns) {}
  /// Cells of columns in `rightAligned` stand to the right.
  void add(std::vector<std::string> cells) { rows.push_back(std::move(cells)); }
  void alignRight(size_t column) { right.push_back(column); }
  void print(llvm::raw_ostream &os) const;
  bool empty() const { return rows.empty(); }

private:
  std::string indent;
  size_t most;
  std::vector<std::vector<std::string>> rows;
  std::vector<size_t> right;
};

/// A space at which printField() does not break a line.
inline constexpr llvm::StringLiteral kSpace = "\u00a0";

/// "label          text", the text wrapped at spaces to lines of at most 100 columns.
void printField(llvm::raw_ostream &os, llvm::StringRef label, llvm::StringRef text);

} // namespace mpopt

#endif // MPOPT_TOOLS_MPOPT_TEXT_H
