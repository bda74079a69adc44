#ifndef MPOPT_LIB_REPORT_CHARTS_H
#define MPOPT_LIB_REPORT_CHARTS_H

#include "Format.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/raw_ostream.h"

namespace mpopt::report {

/// Width of every drawing, in units that are pixels on a wide screen.
inline constexpr double kWidth = 1160;

/// Where data lies in a drawing: x from `left` to `right` for [0, xMost], y from `bottom` up to `top` for [0, yMost].
struct Plot {
  double left, right, top, bottom, xMost, yMost;

  double x(double value) const { return left + (xMost > 0 ? value / xMost : 0) * (right - left); }
  double y(double value) const { return bottom - (yMost > 0 ? value / yMost : 0) * (bottom - top); }
};

void openDrawing(llvm::raw_ostream &os, double width, double height, llvm::StringRef label);

/// Lines and numbers of the axes; `binary` as for ticks().
/// The time axis begins at `from`.
void writeTimeAxis(llvm::raw_ostream &os, const Plot &plot, double from = 0);
void writeTick(llvm::raw_ostream &os, const Plot &plot, double value, llvm::StringRef text);
void writeLeftAxis(llvm::raw_ostream &os, const Plot &plot, int count, llvm::function_ref<std::string(double)> textOf,
                   bool binary);

void writeRect(llvm::raw_ostream &os, double x, double y, double width, double height, llvm::StringRef style,
               llvm::StringRef title = {});

/// One line of a chart; points without a value are marked at the bottom.
struct Line {
  struct Point {
    double x, y;
    bool known;
    std::string title;
  };
  std::string name;
  std::vector<Point> points;
};

/// Lines over a few named places on the x axis, in even steps.
void writeLines(llvm::raw_ostream &os, llvm::StringRef label, const std::vector<std::string> &places,
                const std::vector<Line> &lines, llvm::function_ref<std::string(double)> textOf, bool binary);

} // namespace mpopt::report

#endif // MPOPT_LIB_REPORT_CHARTS_H
