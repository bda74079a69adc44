//===- Step.cpp - What happens in a step: its limits, time line, links ----===//

#include "Lanes.h"
#include "Sections.h"
#include <map>
#include <set>

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
  if (event.get("microbatch"))
    title += ", microbatch " + plain(number(event, "microbatch"));
  return title;
}

void writeLane(raw_ostream &os, const Plot &plot, double from, const std::vector<const json::Object *> &events) {
  LaneWriter lane(os, plot, from);
  for (const json::Object *event : events)
    lane.add(number(*event, "start"), number(*event, "seconds"), text(*event, "kind"), titleOf(*event));
  lane.flush();
}

std::vector<const json::Object *> eventsOf(const json::Object &lane) {
  std::vector<const json::Object *> events;
  for (const json::Value &value : list(lane, "events"))
    events.push_back(value.getAsObject());
  return events;
}

void writeLegend(raw_ostream &os, const json::Object &timeline) {
  std::map<std::string, std::pair<int64_t, double>> kinds;
  const json::Array &lanes = list(timeline, "lanes");
  double waits = 0;
  for (const json::Value &lane : lanes) {
    waits += number(timeline, "seconds") - number(*lane.getAsObject(), "busy_seconds");
    for (const json::Object *event : eventsOf(*lane.getAsObject()))
      if (number(*event, "seconds") > 0) {
        auto &[count, seconds] = kinds[text(*event, "kind")];
        ++count;
        seconds += number(*event, "seconds");
      }
  }
  auto several = static_cast<double>(lanes.size());
  const char *average = lanes.size() > 1 ? " in a stage on average" : "";
  os << "<div class=\"legend\">";
  for (const auto &[kind, sum] : kinds)
    os << "<span class=\"" << kindClass(kind) << "\">" << escaped(kind) << ": " << sum.first << " instructions, "
       << secondsText(sum.second / several) << average << "</span>";
  if (lanes.size() > 1)
    os << "<span class=\"k-wait\">waiting: " << secondsText(waits / several) << average << "</span>";
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

/// The instructions of one copy of a block in the first microbatch, where most of them lie in one lane; not the first copy, if it can be helped.
std::vector<const json::Object *> copyOf(const json::Array &lanes, int block) {
  std::vector<const json::Object *> best;
  bool bestIsFirst = true;
  for (const json::Value &lane : lanes) {
    std::map<int64_t, std::vector<const json::Object *>> copies;
    for (const json::Object *event : eventsOf(*lane.getAsObject()))
      if (event->getInteger("block").value_or(-1) == block && event->getInteger("microbatch").value_or(0) == 0)
        copies[event->getInteger("copy").value_or(0)].push_back(event);
    for (auto &[copy, events] : copies)
      if (best.empty() || (copy != 0) > !bestIsFirst || ((copy != 0) == !bestIsFirst && events.size() > best.size())) {
        best = std::move(events);
        bestIsFirst = copy == 0;
      }
  }
  return best;
}

/// A copy of the largest repeated block, larger: layers cannot be told apart in a whole step of many.
void writeCopy(raw_ostream &os, const json::Object &account, const json::Array &lanes) {
  int number = largestRepeat(list(account, "blocks"));
  if (number < 0)
    return;
  const json::Object &block = *list(account, "blocks")[number].getAsObject();
  std::vector<const json::Object *> copy = copyOf(lanes, number);
  if (copy.empty())
    return;
  double from = report::number(*copy.front(), "start"),
         to = report::number(*copy.back(), "start") + report::number(*copy.back(), "seconds");
  constexpr double kHeight = 78;
  Plot plot{4, kWidth - 4, 8, kHeight - 26, to - from, 1};
  os << "<h3>One of the " << plain(report::number(block, "count")) << " copies of " << escaped(text(block, "name"))
     << (account.getObject("pipeline") ? ", for one microbatch" : "") << "</h3>\n";
  openDrawing(os, kWidth, kHeight, "time line of one layer");
  writeTimeAxis(os, plot);
  writeLane(os, plot, from, copy);
  os << "</svg>\n";
}

/// A strip above a lane that tells its microbatches.
void writeMicrobatches(raw_ostream &os, const Plot &plot, const std::vector<const json::Object *> &events) {
  constexpr double kDigits = 14;
  for (size_t i = 0, next = 0; i < events.size(); i = next) {
    auto microbatch = events[i]->getInteger("microbatch");
    for (next = i + 1; next < events.size() && events[next]->getInteger("microbatch") == microbatch;)
      ++next;
    double begin = number(*events[i], "start"),
           end = number(*events[next - 1], "start") + number(*events[next - 1], "seconds"), x = plot.x(begin),
           width = plot.x(end) - x;
    if (!microbatch || width <= 0)
      continue;
    std::string name = std::to_string(*microbatch);
    writeRect(os, x, plot.top, std::max(0.5, width - 1), plot.bottom - plot.top, *microbatch % 2 ? "odd" : "even",
              "microbatch " + name + ", " + secondsText(end - begin));
    if (width > kDigits)
      os << "<text class=\"strong\" x=\"" << coordinate(x + width / 2) << "\" y=\"" << coordinate(plot.bottom - 2)
         << "\" text-anchor=\"middle\">" << name << "</text>\n";
  }
}

/// Where lanes lie below each other.
struct LaneRows {
  bool staged, batched;

  double height() const { return staged && batched ? 56 : 46; }
  double top(size_t index) const { return 4 + height() * static_cast<double>(index); }
};

void writeLaneRow(raw_ostream &os, const json::Object &lane, const LaneRows &rows, size_t index, const Plot &whole) {
  double top = rows.top(index), bottom = top + rows.height() - 7, strip = rows.batched ? 14 : 0;
  std::string ranks = ranksText(number(lane, "first_rank"), number(lane, "last_rank"));
  auto label = [&](double y, StringRef style, const std::string &name) {
    os << "<text class=\"" << style << "\" x=\"0\" y=\"" << coordinate(y) << "\">" << name << "</text>\n";
  };
  if (rows.staged) {
    label(top + 24, "strong", "stage " + plain(number(lane, "stage")));
    label(top + 38, "small", ranks);
  } else {
    label(top + 24 + strip / 2, "strong", ranks);
  }
  std::vector<const json::Object *> events = eventsOf(lane);
  if (rows.batched)
    writeMicrobatches(os, Plot{whole.left, whole.right, top + 3, top + 3 + strip - 2, whole.xMost, 1}, events);
  Plot plot{whole.left, whole.right, top + 3 + strip, bottom, whole.xMost, 1};
  if (rows.staged)
    writeRect(os, plot.left, plot.top, plot.right - plot.left, plot.bottom - plot.top, "k-wait", "waiting");
  writeLane(os, plot, 0, events);
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
  os << "<p>Most of it is <b>" << escaped(text(account, "limited_by")) << "</b>. <span class=\"note\">"
     << (account.get("limits_of_stage")
             ? "Of stage " + plain(number(account, "limits_of_stage")) + ", which is the busiest. "
             : std::string())
     << "An operator's time is that of its arithmetic or of its memory traffic, whichever "
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
  const json::Object *pipeline = account.getObject("pipeline");
  bool staged = lanes.size() > 1, batched = pipeline && number(*pipeline, "microbatches") > 1;
  LaneRows rows{staged, batched};
  constexpr double kLabel = 92;
  double height = rows.top(lanes.size()) + 22;
  openSection(os, "timeline", "One step over time");
  os << "<p class=\"note\">"
     << figure("timeline", number(*timeline, "seconds"), secondsText(number(*timeline, "seconds")))
     << " by its instructions. ";
  if (staged)
    os << "The ranks of a stage run the same instructions on parts of the same size, so one line stands for all of "
          "them. A stage waits where what it needs has not been sent yet. ";
  else
    os << "All ranks run the same instructions on parts of the same size, so one line stands for all, and none waits. ";
  os << (batched ? "Numbers are those of microbatches. " : "") << "Point at a part to see what it is.</p>\n";
  writeLegend(os, *timeline);
  openDrawing(os, kWidth, height, "time line of one step");
  Plot whole{kLabel, kWidth - 4, 4, height - 24, number(*timeline, "seconds"), 1};
  writeTimeAxis(os, whole);
  for (auto [index, lane] : llvm::enumerate(lanes))
    writeLaneRow(os, *lane.getAsObject(), rows, index, whole);
  os << "</svg>\n";
  writeCopy(os, account, lanes);
  os << "</section>\n";
}

void writeLinks(const json::Object &account, raw_ostream &os) {
  const json::Array &links = list(account, "links");
  if (links.empty())
    return;
  const json::Object *timeline = account.getObject("timeline");
  double step = timeline ? number(*timeline, "seconds") : number(account, "predicted_seconds");
  bool staged = timeline && list(*timeline, "lanes").size() > 1;
  openSection(os, "links", "Bytes on each level of links");
  os << "<table><tr><th>level</th><th>mesh axes</th><th class=\"n\">sent in a step</th>"
     << (staged ? "<th class=\"n\">between stages</th>" : "") << "<th class=\"n\">of it by one device"
     << (staged ? ", on average" : "")
     << "</th><th class=\"n\">time</th><th class=\"n\">of the step</th><th class=\"n\">rate while in use</th><th "
        "class=\"n\">rate of the link</th><th>utilisation</th></tr>\n";
  for (const json::Value &value : links) {
    const json::Object &link = *value.getAsObject();
    double bytes = number(link, "bytes"), seconds = number(link, "seconds"), bandwidth = number(link, "bandwidth"),
           rate = seconds > 0 ? bytes / seconds : 0;
    std::string axes;
    std::set<std::string> names; // stages may have axes of one name
    for (const json::Value &axis : list(account, "axes"))
      if (number(*axis.getAsObject(), "level") == number(link, "level"))
        names.insert(text(*axis.getAsObject(), "name"));
    for (const std::string &name : names)
      axes += (axes.empty() ? "" : ", ") + name;
    if (axes.empty())
      axes = bytes > 0 ? "between stages" : "not used";
    os << "<tr><td class=\"op\">" << escaped(text(link, "name")) << "</td><td>" << escaped(axes)
       << "</td><td class=\"n\">" << bytesText(number(link, "total_bytes")) << "</td>";
    if (staged)
      os << "<td class=\"n\">" << bytesText(number(link, "total_message_bytes")) << "</td>";
    os << "<td class=\"n\">" << figure("link_bytes", bytes, bytesText(bytes)) << "</td><td class=\"n\">"
       << secondsText(seconds) << "</td><td class=\"n\">" << percentText(seconds, step) << "</td><td class=\"n\">"
       << bytesText(rate) << "/s</td><td class=\"n\">" << bytesText(bandwidth)
       << "/s</td><td><span class=\"meter\"><i class=\"k-link" << plain(number(link, "level"))
       << "\" style=\"width:" << coordinate(bandwidth > 0 ? std::min(100.0, 100 * rate / bandwidth) : 0)
       << "%\"></i></span></td></tr>\n";
  }
  os << "</table>\n</section>\n";
}

} // namespace mpopt::report
