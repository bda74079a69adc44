//===- Memory.cpp - Memory over time, of a device of each stage -----------===//

#include "Charts.h"
#include "Sections.h"
#include <cmath>

using llvm::raw_ostream;
using llvm::StringRef;

namespace mpopt::report {
namespace {

double most(const json::Array &values) {
  double most = 0;
  for (const json::Value &value : values)
    most = std::max(most, value.getAsNumber().value_or(0));
  return most;
}

double at(const json::Array &values, double index) {
  auto place = static_cast<size_t>(index);
  return place < values.size() ? values[place].getAsNumber().value_or(0) : 0;
}

/// What all drawings of one page share.
struct Scale {
  double seconds, top, limit;
  bool showsLimit;
  /// Beside much larger weights nothing else could be seen.
  bool showsWeights;
};

/// The outline of the run-time memory above the weights, which changes from instruction to instruction; of each column of pixels the most.
std::string outline(const json::Object &lane, const Plot &plot, double weights, double seconds) {
  const json::Array &times = list(lane, "seconds"), &bytes = list(lane, "work_bytes");
  double column = -1, highest = 0, last = 0;
  std::string path;
  auto level = [&](double work) { return "V" + coordinate(plot.y(weights + work)); };
  auto flush = [&] {
    if (column < 0)
      return;
    path += (path.empty() ? "M" + coordinate(column) + " " + coordinate(plot.y(weights)) : "H" + coordinate(column)) +
            level(highest);
    if (last != highest)
      path += "H" + coordinate(column + 1) + level(last);
  };
  for (size_t i = 0; i < times.size() && i < bytes.size(); ++i) {
    double x = std::floor(plot.x(times[i].getAsNumber().value_or(0)));
    if (x > column) {
      flush();
      column = x;
      highest = 0;
    }
    last = bytes[i].getAsNumber().value_or(0);
    highest = std::max(highest, last);
  }
  flush();
  return path.empty() ? path : path + "H" + coordinate(plot.x(seconds)) + level(0) + "Z";
}

void writeLane(const json::Object &account, const json::Object &lane, const Scale &scale, double height,
               raw_ostream &os) {
  double weights = scale.showsWeights ? at(list(account, "weights_bytes"), number(lane, "first_rank")) : 0;
  Plot plot{84, kWidth - 4, 10, height - 24, scale.seconds, scale.top};
  openDrawing(os, kWidth, height, "memory over time");
  writeLeftAxis(os, plot, height > 150 ? 5 : 3, [](double value) { return bytesText(value); }, /*binary=*/true);
  writeTimeAxis(os, plot);
  if (std::string path = outline(lane, plot, weights, scale.seconds); !path.empty())
    os << "<path class=\"k-work\" d=\"" << path << "\"/>\n";
  if (weights > 0)
    writeRect(os, plot.left, plot.y(weights), plot.right - plot.left, plot.bottom - plot.y(weights), "k-weights",
              "weights " + bytesText(weights));
  if (scale.showsLimit)
    os << "<line class=\"limit\" x1=\"" << plot.left << "\" x2=\"" << coordinate(plot.right) << "\" y1=\""
       << coordinate(plot.y(scale.limit)) << "\" y2=\"" << coordinate(plot.y(scale.limit))
       << "\"/>\n<text class=\"limit-label\" x=\"" << coordinate(plot.right - 4) << "\" y=\""
       << coordinate(plot.y(scale.limit) - 4) << "\" text-anchor=\"end\">limit " << bytesText(scale.limit)
       << "</text>\n";
  os << "</svg>\n";
}

Scale scaleOf(const json::Object &account, const json::Array &lanes, double peak, double limit) {
  constexpr double kLimitShown = 2.5, kWeightsShown = 8, kAir = 1.12;
  double work = 0, weights = most(list(account, "weights_bytes"));
  for (const json::Value &lane : lanes)
    work = std::max(work, most(list(*lane.getAsObject(), "work_bytes")));
  const json::Object *timeline = account.getObject("timeline");
  double seconds = timeline ? number(*timeline, "seconds") : 0;
  if (work > 0 && weights > kWeightsShown * work)
    return {seconds, work * kAir, limit, false, false};
  bool showsLimit = limit <= kLimitShown * peak; // far above, it would flatten everything else
  return {seconds, (showsLimit ? limit : peak) * kAir, limit, showsLimit, true};
}

} // namespace

void writeMemory(const json::Object &account, raw_ostream &os) {
  const json::Object *memory = account.getObject("memory_over_time"), *device = account.getObject("device");
  if (!memory || !device)
    return;
  const json::Array &lanes = list(*memory, "lanes");
  double weights = most(list(account, "weights_bytes")), peak = most(list(account, "memory_bytes")),
         limit = number(*device, "memory_bytes");
  constexpr double kHeight = 210, kStageHeight = 130;
  Scale scale = scaleOf(account, lanes, peak, limit);
  openSection(os, "memory", "Memory over time");
  os << "<p>On the fullest device: weights " << figure("weights_bytes", weights, bytesText(weights))
     << ", with activations and buffers at most " << figure("memory_bytes", peak, bytesText(peak)) << " of "
     << figure("limit_bytes", limit, bytesText(limit)) << " (" << percentText(peak, limit) << ")."
     << (!scale.showsWeights ? " Weights are left out of the drawing, being much larger than all else."
         : scale.showsLimit  ? ""
                             : " The limit lies above the drawing.")
     << "</p>\n<div class=\"legend\">" << (scale.showsWeights ? "<span class=\"k-weights\">weights</span>" : "")
     << "<span class=\"k-work\">activations and buffers</span></div>\n";
  for (const json::Value &value : lanes) {
    const json::Object &lane = *value.getAsObject();
    double first = number(lane, "first_rank");
    if (lanes.size() > 1)
      os << "<h3>Stage " << plain(number(lane, "stage")) << (first < number(lane, "last_rank") ? ", each of " : ", ")
         << ranksText(first, number(lane, "last_rank")) << ": weights "
         << bytesText(at(list(account, "weights_bytes"), first)) << ", at most "
         << bytesText(at(list(account, "memory_bytes"), first)) << "</h3>\n";
    writeLane(account, lane, scale, lanes.size() > 1 ? kStageHeight : kHeight, os);
  }
  os << "</section>\n";
}

} // namespace mpopt::report
