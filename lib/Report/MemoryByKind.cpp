//===- MemoryByKind.cpp - What a training plan keeps on each stage's devices -===//

#include "Charts.h"
#include "Sections.h"
#include "Training.h"

using llvm::raw_ostream;
using llvm::StringRef;

namespace mpopt::report {
namespace {

constexpr Part kBytes[] = {
    {"parameters_bytes", "weights", "weights"},          {"gradients_bytes", "gradients", "gradients"},
    {"optimizer_bytes", "optimizer state", "optimizer"}, {"activations_bytes", "activations", "work"},
    {"working_bytes", "working memory", "working"},      {"reserve_bytes", "reserved by the program", "other"}};

void writeLegend(raw_ostream &os, llvm::ArrayRef<Part> parts) {
  os << "<div class=\"legend\">";
  for (const Part &part : parts)
    os << "<span class=\"" << kindClass(part.style) << "\">" << part.label << "</span>";
  os << "</div>\n";
}

class MemoryWriter {
public:
  MemoryWriter(const json::Object &account, raw_ostream &os)
      : account(account), plan(object(account, "plan")), stages(list(plan, "stages")), os(os) {}

  void run() {
    double limit = number(account, "device_bytes"), most = limit;
    for (const json::Value &stage : stages)
      most = std::max(most, number(*stage.getAsObject(), "memory_bytes"));
    openSection(os, "memory", "Memory of each stage's devices");
    writeLegend(os, kBytes);
    auto count = static_cast<double>(stages.size());
    double row = std::clamp(500 / count, 10.0, 30.0), bottom = 18 + row * count;
    openDrawing(os, kWidth, bottom + 20, "memory by kind");
    Plot plot{kLabel, kWidth - 4, 18, bottom, most * 1.04, 1};
    for (double tick : ticks(plot.xMost, 10, /*binary=*/true))
      writeTick(os, plot, tick, bytesText(tick));
    for (auto [index, value] : llvm::enumerate(stages)) {
      const json::Object &stage = *value.getAsObject();
      double top = 18 + row * static_cast<double>(index), x = 0;
      os << "<text class=\"strong\" x=\"0\" y=\"" << coordinate(top + row / 2 + 4) << "\">stage " << index
         << "</text>\n";
      for (const Part &part : kBytes) {
        double bytes = number(stage, part.key);
        if (bytes > 0)
          writeRect(os, plot.x(x), top + 1, plot.x(bytes) - plot.left, row - (row > 20 ? 4 : 2), kindClass(part.style),
                    std::string(part.label) + " " + bytesText(bytes));
        x += bytes;
      }
    }
    os << "<line class=\"limit\" x1=\"" << coordinate(plot.x(limit)) << "\" x2=\"" << coordinate(plot.x(limit))
       << "\" y1=\"14\" y2=\"" << coordinate(bottom) << "\"/>\n<text class=\"limit-label\" x=\""
       << coordinate(plot.x(limit) - 4) << "\" y=\"11\" text-anchor=\"end\">a device has " << bytesText(limit)
       << "</text>\n</svg>\n";
    writeBytes();
    os << "</section>\n";
  }

private:
  void writeBytes() {
    os << "<table><tr><th>stage</th>";
    for (const Part &part : kBytes)
      os << "<th class=\"n\">" << part.label << "</th>";
    os << "<th class=\"n\">together</th></tr>\n";
    for (auto [index, value] : llvm::enumerate(stages)) {
      const json::Object &stage = *value.getAsObject();
      os << "<tr><td>" << index << "</td>";
      for (const Part &part : kBytes)
        os << "<td class=\"n\">" << figure(part.key, number(stage, part.key), bytesText(number(stage, part.key)))
           << "</td>";
      os << "<td class=\"n\">" << bytesText(number(stage, "memory_bytes")) << "</td></tr>\n";
    }
    os << "</table>\n";
  }

  static constexpr double kLabel = 70;
  const json::Object &account, &plan;
  const json::Array &stages;
  raw_ostream &os;
};

} // namespace

void writeMemoryByKind(const json::Object &account, raw_ostream &os) { MemoryWriter(account, os).run(); }

} // namespace mpopt::report
