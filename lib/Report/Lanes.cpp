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
  for (const auto &[kind, seconds] : shares) {
    writeRect(os, plot.x(begin), y, std::max(0.5, plot.x(end) - plot.x(begin)), height * seconds / sum, kindClass(kind),
              title);
    y += height * seconds / sum;
  }
  shares.clear();
  count = 0;
}

} // namespace mpopt::report
