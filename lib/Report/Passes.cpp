//===- Passes.cpp - The passes of a training step over time ---------------===//

#include "Lanes.h"
#include "Sections.h"
#include "Training.h"

using llvm::raw_ostream;
using llvm::StringRef;

namespace mpopt::report {
namespace {

class PassWriter {
public:
  PassWriter(const json::Object &account, raw_ostream &os)
      : account(account), plan(object(account, "plan")), stages(list(plan, "stages")), os(os) {}

  void run() {
    const json::Object &timeline = object(account, "timeline");
    const json::Array &lanes = list(timeline, "stages");
    openSection(os, "timeline", "One step over time");
    os << "<p class=\"note\">The passes of each stage, as the schedule orders them: "
       << figure("timeline", number(timeline, "seconds"), secondsText(number(timeline, "seconds")))
       << " until the last one ends, then gradients and the optimizer. All devices of a stage do the same. "
          "Numbers are those of microbatches.</p>\n";
    if (list(*lanes.front().getAsObject(), "passes").empty()) {
      os << "<p>There are " << plain(number(timeline, "passes")) << " passes, too many to show.</p>\n</section>\n";
      return;
    }
    writePassLegend();
    double end = std::max(number(account, "seconds"), number(timeline, "seconds"));
    writeLanes(lanes, 0, end);
    // Where there are many passes, those at the ends can be told apart only in drawings of their own.
    constexpr double kPassesShown = 60, kEnough = 1.5;
    double window = end * kPassesShown * static_cast<double>(lanes.size()) / number(timeline, "passes");
    if (window * kEnough < end) {
      os << "<h3>How it begins</h3>\n";
      writeLanes(lanes, 0, window);
      os << "<h3>How it ends</h3>\n";
      writeLanes(lanes, end - window, end);
    }
    os << "</section>\n";
  }

private:
  /// What happens between two times.
  void writeLanes(const json::Array &lanes, double from, double to) {
    auto count = static_cast<double>(lanes.size());
    double row = std::clamp(600 / count, 10.0, 40.0), bottom = 4 + row * count;
    openDrawing(os, kWidth, bottom + 22, "time line of a step");
    Plot whole{kLabel, kWidth - 4, 4, bottom, to - from, 1};
    writeTimeAxis(os, whole, from);
    for (auto [index, lane] : llvm::enumerate(lanes)) {
      double top = 4 + row * static_cast<double>(index);
      writeStageLane(list(*lane.getAsObject(), "passes"), *stages[index].getAsObject(), index, from,
                     {whole.left, whole.right, top + 1, top + row - (row > 20 ? 4 : 1), whole.xMost, 1});
    }
    os << "</svg>\n";
  }

  void writePassLegend() {
    bool chunks = number(plan, "interleave") > 1, apart = text(plan, "schedule") == "zb-h1";
    os << "<div class=\"legend\"><span class=\"k-forward\">forward</span>"
       << (chunks ? "<span class=\"k-forward_odd\">forward, every second chunk</span>" : "")
       << "<span class=\"k-backward\">backward" << (apart ? ", input gradients" : "") << "</span>"
       << (chunks ? "<span class=\"k-backward_odd\">backward, every second chunk</span>" : "")
       << (apart ? "<span class=\"k-weight_gradient\">weight gradients</span>" : "")
       << "<span class=\"k-all_reduce\">gradients between replicas</span><span class=\"k-weights\">optimizer</span>"
          "<span class=\"k-wait\">waiting</span></div>\n";
  }

  void writeStageLane(const json::Array &passes, const json::Object &stage, size_t index, double from,
                      const Plot &plot) {
    double height = plot.bottom - plot.top, middle = (plot.top + plot.bottom) / 2 + 4, end = 0;
    os << "<text class=\"strong\" x=\"0\" y=\"" << coordinate(middle) << "\">stage " << index << "</text>\n";
    writeRect(os, plot.left, plot.top, plot.right - plot.left, height, "k-wait");
    LaneWriter lane(os, plot, from);
    std::string numbers;
    auto add = [&](double start, double seconds, const std::string &style, const std::string &title) {
      double begin = std::max(start, from), stop = std::min(start + seconds, from + plot.xMost);
      if (begin < stop)
        lane.add(begin, stop - begin, style, title);
    };
    for (const json::Value &value : passes) {
      const json::Array &pass = *value.getAsArray();
      std::string kind = pass[0].getAsString()->str(), microbatch = plain(*pass[1].getAsNumber());
      double start = *pass[3].getAsNumber(), seconds = *pass[4].getAsNumber();
      bool odd = pass[2].getAsInteger().value_or(0) % 2 && kind != "weight_gradient";
      add(start, seconds, kind + (odd ? "_odd" : ""),
          kind + " of microbatch " + microbatch + " " + secondsText(seconds));
      end = start + seconds;
      constexpr double kDigit = 7, kLeastHeight = 13;
      bool within = start >= from && end <= from + plot.xMost;
      double x = plot.x(start - from), width = plot.x(end - from) - x;
      if (within && height >= kLeastHeight && width > kDigit * static_cast<double>(microbatch.size()) + 3)
        numbers += "<text class=\"on\" x=\"" + coordinate(x + width / 2) + "\" y=\"" + coordinate(middle) +
                   "\" text-anchor=\"middle\">" + microbatch + "</text>\n";
    }
    double sync = number(stage, "sync_seconds"), optimizer = number(stage, "optimizer_seconds");
    lane.flush();
    add(end, sync, "all_reduce", "gradients between replicas " + secondsText(sync));
    lane.flush();
    add(end + sync, optimizer, "weights", "optimizer " + secondsText(optimizer));
    lane.flush();
    os << numbers;
  }

  static constexpr double kLabel = 70;
  const json::Object &account, &plan;
  const json::Array &stages;
  raw_ostream &os;
};

} // namespace

void writePasses(const json::Object &account, raw_ostream &os) { PassWriter(account, os).run(); }

} // namespace mpopt::report
