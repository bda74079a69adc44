#ifndef MPOPT_LIB_REPORT_LANES_H
#define MPOPT_LIB_REPORT_LANES_H

#include "Charts.h"
#include <map>

namespace mpopt::report {

/// Events of one lane, drawn as rectangles in the order of time; what is too narrow to be seen alone is drawn together, as shares of the
/// height. Ends with flush().
class LaneWriter {
public:
  /// x is the time since `from`.
  LaneWriter(llvm::raw_ostream &os, const Plot &plot, double from) : os(os), plot(plot), from(from) {}

  void add(double start, double seconds, const std::string &kind, const std::string &title);
  void flush();

private:
  llvm::raw_ostream &os;
  const Plot &plot;
  double from, begin = 0, end = 0;
  int64_t count = 0;
  std::string title;
  std::map<std::string, double> shares; // seconds by kind
};

} // namespace mpopt::report

#endif // MPOPT_LIB_REPORT_LANES_H
