#include "Charts.h"
#include "Sections.h"
#include "mpopt/Report/Report.h"
#include <map>

using llvm::raw_ostream;
using llvm::StringRef;

namespace mpopt::report {
namespace {

/// Something that a point of a sweep has.
struct Quantity {
  const char *key, *label;
  std::string (*textOf)(double);
  bool binary = false;
};

std::string teraflopsText(double value) { return countText(value) + " TFLOP/s"; }
std::string perSecondText(double value) { return countText(value) + "/s"; }

constexpr Quantity kQuantities[] = {{"throughput", "throughput", perSecondText},
                                    {"predicted_seconds", "time of a step", secondsText},
                                    {"memory_bytes", "memory per device", bytesText, true},
                                    {"cost_per_million", "cost of a million samples", countText},
                                    {"tflops_per_device", "arithmetic of the model, per device", teraflopsText}};

/// Columns of the table.
constexpr Quantity kColumns[] = {
    {"predicted_seconds", "step", secondsText},         {"throughput", "throughput", perSecondText},
    {"memory_bytes", "memory per device", bytesText},   {"tflops_per_device", "per device", teraflopsText},
    {"cost_per_hour", "cost per hour", plain},          {"cost_per_step", "cost per step", plain},
    {"cost_per_million", "cost per million", countText}};

class SweepWriter {
public:
  SweepWriter(const json::Object &sweep, raw_ostream &os)
      : sweep(sweep), axes(list(sweep, "axes")), points(list(sweep, "points")), os(os) {}

  void run() {
    os << "<header id=\"summary\">\n<h1>" << (isTraining() ? "Training " : "") << escaped(text(sweep, "model"))
       << ": a sweep</h1>\n<p class=\"muted\">" << points.size() << " plans, over";
    for (const json::Value &axis : axes)
      os << (&axis == &axes.front() ? " " : " × ") << escaped(text(*axis.getAsObject(), "name"));
    os << "</p>\n</header>\n";
    openSection(os, "charts", "By " + nameOf(0));
    os << "<p class=\"note\">What does not fit is marked × on the axis.</p>\n";
    writeLegend();
    os << "<div class=\"charts\">\n";
    for (const Quantity &quantity : kQuantities)
      writeChart(quantity);
    os << "</div>\n</section>\n";
    writeTable();
  }

private:
  std::string nameOf(size_t axis) const { return text(*axes[axis].getAsObject(), "name"); }
  const json::Array &valuesOf(size_t axis) const { return list(*axes[axis].getAsObject(), "values"); }

  std::string valueAt(const json::Object &point, size_t axis) const {
    const json::Object *at = point.getObject("at");
    return at ? text(*at, nameOf(axis)) : std::string();
  }

  /// Where a point stands beside the first axis: "h100, batch=8".
  std::string seriesOf(const json::Object &point) const {
    std::string result;
    for (size_t axis = 1; axis < axes.size(); ++axis)
      result +=
          (result.empty() ? "" : ", ") + (nameOf(axis) == "machine" ? "" : nameOf(axis) + "=") + valueAt(point, axis);
    return result;
  }

  std::vector<std::string> series() const {
    std::vector<std::string> names;
    for (const json::Value &value : points)
      if (std::string name = seriesOf(*value.getAsObject()); !llvm::is_contained(names, name))
        names.push_back(name);
    return names;
  }

  void writeLegend() {
    if (axes.size() < 2)
      return;
    os << "<div class=\"legend\">";
    for (auto [index, name] : llvm::enumerate(series()))
      os << "<span style=\"--swatch:var(--c" << index % 6 << ")\">" << escaped(name) << "</span>";
    os << "</div>\n";
  }

  void writeChart(const Quantity &quantity) {
    std::vector<std::string> places, names = series();
    for (const json::Value &value : valuesOf(0))
      places.push_back(value.getAsString().value_or("").str());
    std::vector<Line> lines(names.size());
    bool any = false;
    for (const json::Value &value : points) {
      const json::Object &point = *value.getAsObject();
      size_t line = llvm::find(names, seriesOf(point)) - names.begin();
      double x = static_cast<double>(llvm::find(places, valueAt(point, 0)) - places.begin());
      double y = number(point, quantity.key);
      bool known = point.get(quantity.key) != nullptr;
      any |= known;
      std::string title = nameOf(0) + "=" + valueAt(point, 0) + (names[line].empty() ? "" : ", " + names[line]) + ": ";
      lines[line].name = names[line];
      lines[line].points.push_back({x, y, known, title + (known ? quantity.textOf(y) : text(point, "problem"))});
    }
    if (any)
      writeLines(os, quantity.label, places, lines, quantity.textOf, quantity.binary);
  }

  bool any(StringRef key) const {
    return llvm::any_of(points, [&](const json::Value &point) { return point.getAsObject()->get(key); });
  }

  void writeTable() {
    for (const Quantity &column : kColumns)
      if (any(column.key))
        columns.push_back(&column);
    openSection(os, "sweep", "All points");
    os << "<table><tr>";
    for (size_t axis = 0; axis < axes.size(); ++axis)
      os << "<th class=\"op\">" << escaped(nameOf(axis)) << "</th>";
    for (const Quantity *column : columns)
      os << "<th class=\"n\">" << column->label << "</th>";
    os << "<th class=\"n\">above the bound</th><th>" << (isTraining() ? "plan" : "limited by") << "</th></tr>\n";
    for (const json::Value &value : points)
      writeRow(*value.getAsObject());
    os << "</table>\n</section>\n";
  }

  void writeRow(const json::Object &point) {
    os << "<tr>";
    for (size_t axis = 0; axis < axes.size(); ++axis)
      os << "<td class=\"op\">" << escaped(valueAt(point, axis)) << "</td>";
    if (std::string problem = text(point, "problem"); !problem.empty()) {
      os << "<td class=\"warn\" colspan=\"" << columns.size() + 2 << "\">"
         << (point.getBoolean("fits").value_or(true) ? "no plan: " : "does not fit: ") << escaped(problem)
         << "</td></tr>\n";
      return;
    }
    for (const Quantity *column : columns) {
      double value = number(point, column->key);
      os << "<td class=\"n\">"
         << (point.get(column->key) ? figure(column->key, value, column->textOf(value)) : std::string()) << "</td>";
    }
    double step = number(point, "predicted_seconds"), bound = number(point, "lower_bound_seconds");
    os << "<td class=\"n\">" << percentText(step - bound, bound) << "</td><td>";
    if (isTraining())
      os << "<code>" << escaped(text(point, "plan")) << "</code>";
    else
      os << escaped(text(point, "limited_by"));
    os << "</td></tr>\n";
  }

  bool isTraining() const { return sweep.getBoolean("training").value_or(false); }

  const json::Object &sweep;
  const json::Array &axes, &points;
  raw_ostream &os;
  std::vector<const Quantity *> columns; // of the table
};

} // namespace

std::string sweepPage(const json::Object &sweep) {
  std::string body;
  llvm::raw_string_ostream os(body);
  SweepWriter(sweep, os).run();
  return page(text(sweep, "model") + ": a sweep", body);
}

} // namespace mpopt::report
