#include "Lanes.h"

namespace mpopt::report {

void LaneWriter::add(double start, double seconds, const std::string &kind, const std::string &eventTitle) {
  if (seconds <= 0)
    return;
  start -= from;
  if (count == 0) {
    begin = start;
  } else if (start > end + 1e-12) {
    flush();
    begin = start;
  }
  if (count++ == 0)
    title = eventTitle;
  shares[kind] += seconds;
  end = start + seconds;
  constexpr double kLeastWidth = 1.6;
  if (plot.x(end) - plot.x(begin) >= kLeastWidth)
    flush();
}

void LaneWriter::flush() {
  if (count == 0)
    return;
  double sum = 0, y = plot.top, height = plot.bottom - plot.top;
  for (const auto &[kind, seconds] : shares)
    sum += seconds;
  if (count > 1)
    title = plain(static_cast<double>(count)) + " instructions, " + secondsText(sum) + ", from " + title + " on";
  double width = std::max(0.5, plot.x(end) - plot.x(begin));
  if (shares.size() > 1)
    os << "<g><title>" << escaped(title) << "</title>";
  for (const auto &[kind, seconds] : shares) {
    writeRect(os, plot.x(begin), y, width, height * seconds / sum, kindClass(kind),
              shares.size() > 1 ? std::string() : title);
    y += height * seconds / sum;
  }
  if (shares.size() > 1)
    os << "</g>\n";
  shares.clear();
  count = 0;
}

} // namespace mpopt::report
