//===- Step.cpp - What happens in a step: its limits, time line, memory, links -===//

#include "Charts.h"
#include "Sections.h"
#include <cmath>
#include <map>

using llvm::raw_ostream;
using llvm::StringRef;

namespace mpopt::report {
namespace {

/// The colour of a share of the step: links by their level.
std::string limitClass(const json::Object &account, StringRef name) {
  for (const json::Value &link : list(account, "links"))
    if (text(*link.getAsObject(), "name") == name)
      return "k-link" + plain(number(*link.getAsObject(), "level"));
  return kindClass(name);
}

std::string titleOf(const json::Object &event) {
  std::string title = text(event, "kind") + " " + secondsText(number(event, "seconds"));
  if (std::string node = text(event, "node"); !node.empty())
    title += " — " + node;
  if (number(event, "bytes") > 0)
    title += ", " + bytesText(number(event, "bytes"));
  return title;
}

/// Events of one lane, drawn as rectangles; what is too narrow to be seen alone is drawn together, as shares of the height.
class LaneWriter {
public:
  LaneWriter(raw_ostream &os, const Plot &plot, double from) : os(os), plot(plot), from(from) {}

  void add(const json::Object &event) {
    double seconds = number(event, "seconds"), start = number(event, "start") - from;
    if (seconds <= 0)
      return;
    if (count == 0)
      begin = start;
    else if (start > end + 1e-12)
      flush(), begin = start;
    if (count++ == 0)
      title = titleOf(event);
    shares[text(event, "kind")] += seconds;
    end = start + seconds;
    constexpr double kLeastWidth = 1.6;
    if (plot.x(end) - plot.x(begin) >= kLeastWidth)
      flush();
  }

  void flush() {
    if (count == 0)
      return;
    double sum = 0, y = plot.top, height = plot.bottom - plot.top;
    for (const auto &[kind, seconds] : shares)
      sum += seconds;
    if (count > 1)
      title = plain(static_cast<double>(count)) + " instructions, " + secondsText(sum) + ", from " + title + " on";
    for (const auto &[kind, seconds] : shares) {
      writeRect(os, plot.x(begin), y, std::max(0.5, plot.x(end) - plot.x(begin)), height * seconds / sum,
                kindClass(kind), title);
      y += height * seconds / sum;
    }
    shares.clear();
    count = 0;
  }

private:
  raw_ostream &os;
  const Plot &plot;
  double from, begin = 0, end = 0;
  int64_t count = 0;
  std::string title;
  std::map<std::string, double> shares; // seconds by kind
};

void writeLane(raw_ostream &os, const Plot &plot, double from, const std::vector<const json::Object *> &events) {
  LaneWriter lane(os, plot, from);
  for (const json::Object *event : events)
    lane.add(*event);
  lane.flush();
}

std::vector<const json::Object *> eventsOf(const json::Object &lane) {
  std::vector<const json::Object *> events;
  for (const json::Value &value : list(lane, "events"))
    events.push_back(value.getAsObject());
  return events;
}

std::string ranksText(const json::Object &lane) {
  double first = number(lane, "first_rank"), last = number(lane, "last_rank");
  return first == last ? "rank " + plain(first) : "ranks " + plain(first) + "–" + plain(last);
}

void writeLegend(raw_ostream &os, const json::Object &timeline) {
  std::map<std::string, std::pair<int64_t, double>> kinds;
  for (const json::Value &lane : list(timeline, "lanes"))
    for (const json::Object *event : eventsOf(*lane.getAsObject())) {
      auto &[count, seconds] = kinds[text(*event, "kind")];
      ++count;
      seconds += number(*event, "seconds");
    }
  double lanes = static_cast<double>(list(timeline, "lanes").size());
  os << "<div class=\"legend\">";
  for (const auto &[kind, sum] : kinds)
    os << "<span class=\"" << kindClass(kind) << "\">" << escaped(kind) << ": " << sum.first << " instructions, "
       << secondsText(sum.second / lanes) << (lanes > 1 ? " on average" : "") << "</span>";
  os << "</div>\n";
}

/// The repeated block that takes the most of the step; its number, or -1.
int largestRepeat(const json::Array &blocks) {
  int largest = -1;
  double most = 0;
  for (auto [index, value] : llvm::enumerate(blocks)) {
    const json::Object &block = *value.getAsObject();
    double count = number(block, "count"),
           seconds = count * (number(block, "compute_seconds") + number(block, "communication_seconds"));
    if (count > 1 && seconds > most) {
      most = seconds;
      largest = static_cast<int>(index);
    }
  }
  return largest;
}

/// The second copy of the largest repeated block, larger: layers cannot be told apart in a whole step of many.
void writeCopy(raw_ostream &os, const json::Object &account, const std::vector<const json::Object *> &lane) {
  int number = largestRepeat(list(account, "blocks"));
  if (number < 0)
    return;
  const json::Object &block = *list(account, "blocks")[number].getAsObject();
  std::vector<const json::Object *> events;
  for (const json::Object *event : lane)
    if (auto index = event->getInteger("block"); index && *index == number)
      events.push_back(event);
  auto copies = static_cast<size_t>(report::number(block, "count")), each = events.size() / copies;
  if (each == 0)
    return;
  std::vector<const json::Object *> copy(events.begin() + each, events.begin() + 2 * each);
  double from = report::number(*copy.front(), "start"),
         to = report::number(*copy.back(), "start") + report::number(*copy.back(), "seconds");
  constexpr double kHeight = 78;
  Plot plot{4, kWidth - 4, 8, kHeight - 26, to - from, 1};
  os << "<h3>One of the " << copies << " copies of " << escaped(text(block, "name")) << "</h3>\n";
  openDrawing(os, kWidth, kHeight, "time line of one layer");
  writeTimeAxis(os, plot);
  writeLane(os, plot, from, copy);
  os << "</svg>\n";
}

} // namespace

void writeLimits(const json::Object &account, raw_ostream &os) {
  const json::Array &limits = list(account, "limits");
  if (limits.empty())
    return;
  double sum = 0;
  for (const json::Value &value : limits)
    sum += number(*value.getAsObject(), "seconds");
  openSection(os, "limits", "What limits the step");
  os << "<p>Most of it is <b>" << escaped(text(account, "limited_by"))
     << "</b>. <span class=\"note\">An operator's time is that of its arithmetic or of its memory traffic, whichever "
        "is longer, and the start of "
        "its kernel; a collective's counts for the links that it crosses.</span></p>\n<div class=\"bar\">";
  for (const json::Value &value : limits) {
    const json::Object &limit = *value.getAsObject();
    os << "<i class=\"" << limitClass(account, text(limit, "name"))
       << "\" style=\"width:" << coordinate(sum > 0 ? 100 * number(limit, "seconds") / sum : 0) << "%\" title=\""
       << escaped(text(limit, "name")) << "\"></i>";
  }
  os << "</div>\n<div class=\"legend\">";
  for (const json::Value &value : limits) {
    const json::Object &limit = *value.getAsObject();
    os << "<span class=\"" << limitClass(account, text(limit, "name")) << "\">" << escaped(text(limit, "name")) << " "
       << figure("limit", number(limit, "seconds"), secondsText(number(limit, "seconds"))) << ", "
       << percentText(number(limit, "seconds"), sum) << "</span>";
  }
  os << "</div>\n</section>\n";
}

void writeTimeline(const json::Object &account, raw_ostream &os) {
  const json::Object *timeline = account.getObject("timeline");
  if (!timeline)
    return;
  const json::Array &lanes = list(*timeline, "lanes");
  constexpr double kLane = 46, kLabel = 92;
  double height = kLane * static_cast<double>(lanes.size()) + 26;
  openSection(os, "timeline", "One step over time");
  os << "<p class=\"note\">"
     << figure("timeline", number(*timeline, "seconds"), secondsText(number(*timeline, "seconds")))
     << " by its instructions, one after the other. ";
  if (lanes.size() == 1)
    os << "All ranks run the same instructions on parts of the same size, so one line stands for all, and none waits. ";
  os << "Point at a part to see what it is.</p>\n";
  writeLegend(os, *timeline);
  openDrawing(os, kWidth, height, "time line of one step");
  Plot whole{kLabel, kWidth - 4, 4, height - 24, number(*timeline, "seconds"), 1};
  writeTimeAxis(os, whole);
  for (auto [index, value] : llvm::enumerate(lanes)) {
    const json::Object &lane = *value.getAsObject();
    double top = 4 + kLane * static_cast<double>(index);
    os << "<text class=\"strong\" x=\"0\" y=\"" << coordinate(top + 24) << "\">" << ranksText(lane) << "</text>\n";
    Plot plot{kLabel, kWidth - 4, top + 3, top + kLane - 7, whole.xMost, 1};
    writeLane(os, plot, 0, eventsOf(lane));
  }
  os << "</svg>\n";
  if (!lanes.empty())
    writeCopy(os, account, eventsOf(*lanes.front().getAsObject()));
  os << "</section>\n";
}

void writeMemory(const json::Object &account, raw_ostream &os) {
  const json::Object *memory = account.getObject("memory_over_time"), *device = account.getObject("device");
  if (!memory || !device)
    return;
  auto most = [](const json::Array &values) {
    double most = 0;
    for (const json::Value &value : values)
      most = std::max(most, value.getAsNumber().value_or(0));
    return most;
  };
  const json::Array &times = list(*memory, "seconds"), &bytes = list(*memory, "work_bytes");
  const json::Object *timeline = account.getObject("timeline");
  double weights = most(list(account, "weights_bytes")), peak = most(list(account, "memory_bytes")),
         limit = number(*device, "memory_bytes"), seconds = timeline ? number(*timeline, "seconds") : 0;
  // A limit far above would flatten everything else.
  constexpr double kLimitShown = 2.5;
  bool showsLimit = limit <= kLimitShown * peak;
  openSection(os, "memory", "Memory over time");
  os << "<p>On the fullest device: weights " << figure("weights_bytes", weights, bytesText(weights))
     << ", with activations and buffers at most " << figure("memory_bytes", peak, bytesText(peak)) << " of "
     << figure("limit_bytes", limit, bytesText(limit)) << " (" << percentText(peak, limit) << ")."
     << (showsLimit ? "" : " The limit lies above the drawing.")
     << "</p>\n<div class=\"legend\"><span class=\"k-weights\">weights</span><span "
     << "class=\"k-work\">activations and buffers</span></div>\n";
  constexpr double kHeight = 210;
  Plot plot{84, kWidth - 4, 10, kHeight - 24, seconds, (showsLimit ? limit : peak) * 1.12};
  openDrawing(os, kWidth, kHeight, "memory over time");
  writeLeftAxis(os, plot, 5, [](double value) { return bytesText(value); }, /*binary=*/true);
  writeTimeAxis(os, plot);
  std::string path = "M" + coordinate(plot.x(0)) + " " + coordinate(plot.y(weights));
  double column = -1, highest = 0;
  auto flush = [&] {
    if (column >= 0)
      path += "L" + coordinate(column) + " " + coordinate(plot.y(weights + highest)) + "H" + coordinate(column + 1);
  };
  for (size_t i = 0; i < times.size() && i < bytes.size(); ++i) { // the most of each column of pixels
    double x = std::floor(plot.x(times[i].getAsNumber().value_or(0)));
    if (x > column) {
      flush();
      column = x;
      highest = 0;
    }
    highest = std::max(highest, bytes[i].getAsNumber().value_or(0));
  }
  flush();
  path += "L" + coordinate(plot.x(seconds)) + " " + coordinate(plot.y(weights)) + "Z";
  os << "<path class=\"k-work\" d=\"" << path << "\"/>\n";
  writeRect(os, plot.left, plot.y(weights), plot.right - plot.left, plot.bottom - plot.y(weights), "k-weights",
            "weights " + bytesText(weights));
  if (showsLimit)
    os << "<line class=\"limit\" x1=\"" << plot.left << "\" x2=\"" << coordinate(plot.right) << "\" y1=\""
       << coordinate(plot.y(limit)) << "\" y2=\"" << coordinate(plot.y(limit))
       << "\"/>\n<text class=\"limit-label\" x=\"" << coordinate(plot.right - 4) << "\" y=\""
       << coordinate(plot.y(limit) - 4) << "\" text-anchor=\"end\">limit " << bytesText(limit) << "</text>\n";
  os << "</svg>\n</section>\n";
}

void writeLinks(const json::Object &account, raw_ostream &os) {
  const json::Array &links = list(account, "links");
  if (links.empty())
    return;
  double step = number(account, "predicted_seconds");
  openSection(os, "links", "Bytes on each level of links");
  os << "<table><tr><th>level</th><th>mesh axes</th><th class=\"n\">sent per device and step</th><th "
        "class=\"n\">time</th><th "
        "class=\"n\">of the step</th><th class=\"n\">rate while in use</th><th class=\"n\">rate of the "
        "link</th><th>utilisation</th></tr>\n";
  for (const json::Value &value : links) {
    const json::Object &link = *value.getAsObject();
    double bytes = number(link, "bytes"), seconds = number(link, "seconds"), bandwidth = number(link, "bandwidth"),
           rate = seconds > 0 ? bytes / seconds : 0;
    std::string axes;
    for (const json::Value &axis : list(account, "axes"))
      if (number(*axis.getAsObject(), "level") == number(link, "level"))
        axes += (axes.empty() ? "" : ", ") + text(*axis.getAsObject(), "name");
    os << "<tr><td>" << escaped(text(link, "name")) << "</td><td>" << (axes.empty() ? "not used" : escaped(axes))
       << "</td><td class=\"n\">" << figure("link_bytes", bytes, bytesText(bytes)) << "</td><td class=\"n\">"
       << secondsText(seconds) << "</td><td class=\"n\">" << percentText(seconds, step) << "</td><td class=\"n\">"
       << bytesText(rate) << "/s</td><td class=\"n\">" << bytesText(bandwidth)
       << "/s</td><td><span class=\"meter\"><i class=\"k-link" << plain(number(link, "level"))
       << "\" style=\"width:" << coordinate(bandwidth > 0 ? std::min(100.0, 100 * rate / bandwidth) : 0)
       << "%\"></i></span></td></tr>\n";
  }
  os << "</table>\n</section>\n";
}

} // namespace mpopt::report
