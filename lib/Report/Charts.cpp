#include "Charts.h"
#include <cmath>

using llvm::raw_ostream;
using llvm::StringRef;

namespace mpopt::report {

void openDrawing(raw_ostream &os, double width, double height, StringRef label) {
  os << "<svg viewBox=\"0 0 " << coordinate(width) << " " << coordinate(height) << "\" role=\"img\" aria-label=\""
     << escaped(label) << "\">\n";
}

static void writeText(raw_ostream &os, double x, double y, StringRef anchor, StringRef text, StringRef style = {}) {
  os << "<text x=\"" << coordinate(x) << "\" y=\"" << coordinate(y) << "\" text-anchor=\"" << anchor << "\"";
  if (!style.empty())
    os << " class=\"" << style << "\"";
  os << ">" << escaped(text) << "</text>\n";
}

static void writeStroke(raw_ostream &os, double x1, double y1, double x2, double y2, StringRef style) {
  os << "<line x1=\"" << coordinate(x1) << "\" y1=\"" << coordinate(y1) << "\" x2=\"" << coordinate(x2) << "\" y2=\""
     << coordinate(y2) << "\" class=\"" << style << "\"/>\n";
}

void writeTick(raw_ostream &os, const Plot &plot, double value, StringRef text) {
  constexpr double kHalfText = 22;
  double x = plot.x(value);
  writeStroke(os, x, plot.top, x, plot.bottom + 4, "axis");
  writeText(os, x, plot.bottom + 16, value == 0 ? "start" : x + kHalfText > plot.right ? "end" : "middle", text);
}

void writeTimeAxis(raw_ostream &os, const Plot &plot, double from) {
  std::vector<double> all = ticks(plot.xMost, 10);
  double step = all.size() > 1 ? all[1] : plot.xMost;
  if (from == 0)
    for (double tick : all)
      writeTick(os, plot, tick, secondsText(tick));
  else
    for (double tick = std::ceil(from / step) * step; tick <= from + plot.xMost; tick += step)
      writeTick(os, plot, tick - from, secondsText(tick));
}

void writeLeftAxis(raw_ostream &os, const Plot &plot, int count, llvm::function_ref<std::string(double)> textOf,
                   bool binary) {
  for (double tick : ticks(plot.yMost, count, binary)) {
    writeStroke(os, plot.left, plot.y(tick), plot.right, plot.y(tick), "axis");
    writeText(os, plot.left - 6, plot.y(tick) + 4, "end", textOf(tick));
  }
}

void writeRect(raw_ostream &os, double x, double y, double width, double height, StringRef style, StringRef title) {
  os << "<rect x=\"" << coordinate(x) << "\" y=\"" << coordinate(y) << "\" width=\"" << coordinate(width)
     << "\" height=\"" << coordinate(height) << "\" class=\"" << style << "\"";
  if (title.empty())
    os << "/>\n";
  else
    os << "><title>" << escaped(title) << "</title></rect>\n";
}

void writeLines(raw_ostream &os, StringRef label, const std::vector<std::string> &places,
                const std::vector<Line> &lines, llvm::function_ref<std::string(double)> textOf, bool binary) {
  constexpr double kPlotWidth = 560, kHeight = 250;
  constexpr int kColors = 6;
  double most = 0;
  for (const Line &line : lines)
    for (const Line::Point &point : line.points)
      most = std::max(most, point.known ? point.y : 0);
  Plot plot{76, kPlotWidth - 20, 28, kHeight - 28, std::max(1.0, static_cast<double>(places.size()) - 1), most * 1.08};
  openDrawing(os, kPlotWidth, kHeight, label);
  writeText(os, 4, 14, "start", label, "strong");
  writeLeftAxis(os, plot, 5, textOf, binary);
  for (size_t place = 0; place < places.size(); ++place)
    writeText(os, plot.x(static_cast<double>(place)), plot.bottom + 18, "middle", places[place]);
  for (size_t number = 0; number < lines.size(); ++number) {
    std::string color = "var(--c" + std::to_string(number % kColors) + ")", path;
    for (const Line::Point &point : lines[number].points)
      if (point.known)
        path += (path.empty() ? "M" : "L") + coordinate(plot.x(point.x)) + " " + coordinate(plot.y(point.y));
    os << "<path class=\"line\" style=\"stroke:" << color << "\" d=\"" << path << "\"/>\n";
    for (const Line::Point &point : lines[number].points) {
      double x = plot.x(point.x), y = plot.y(point.known ? point.y : 0);
      os << "<g style=\"fill:" << color << "\"><title>" << escaped(point.title) << "</title>";
      if (point.known)
        os << "<circle cx=\"" << coordinate(x) << "\" cy=\"" << coordinate(y) << "\" r=\"3.5\"/>";
      else
        os << "<path style=\"stroke:" << color << ";stroke-width:1.5\" d=\"M" << coordinate(x - 4) << " "
           << coordinate(y - 8) << "l8 8m0 -8l-8 8\"/>";
      os << "</g>\n";
    }
  }
  os << "</svg>\n";
}

} // namespace mpopt::report
