#include "SweepTable.h"
#include "Text.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"

using llvm::StringRef;
namespace json = llvm::json;

namespace mpopt {
namespace {

std::string plainText(double value) { return llvm::formatv("{0:f2}", value).str(); }
std::string fineText(double value) { return llvm::formatv("{0:f3}", value).str(); }
std::string rateText(double value) {
  constexpr double kWhole = 100; // below, a digit after the point matters
  return (value < kWhole ? llvm::formatv("{0:f1}", value).str() : countText(value)) + "/s";
}
std::string stepText(double seconds) {
  return seconds < 1 ? timeText(seconds) : llvm::formatv("{0:f3} s", seconds).str();
}

/// A column of numbers; shown where some point has that key.
struct Column {
  const char *key, *head;
  std::string (*textOf)(double);
};

constexpr Column kColumns[] = {
    {"predicted_seconds", "step", stepText},  {"throughput", "throughput", rateText},
    {"memory_bytes", "memory", bytesText},    {"cost_per_hour", "cost/h", plainText},
    {"cost_per_step", "cost/step", fineText}, {"cost_per_million", "cost/million", fineText},
};

std::string problemText(const json::Object &point) {
  bool fits = point.getBoolean("fits").value_or(true);
  return (fits ? "no plan: " : "does not fit: ") + point.getString("problem")->str();
}

/// The last column: what training plans look like, what limits others.
std::string remarkOf(const json::Object &point) {
  if (point.get("problem"))
    return problemText(point);
  auto plan = point.getString("plan");
  return plan ? plan->str() : point.getString("limited_by").value_or("").str();
}

bool any(const json::Array &points, StringRef key) {
  return llvm::any_of(points, [&](const json::Value &point) { return point.getAsObject()->get(key); });
}

} // namespace

void printSweep(const json::Object &sweep, llvm::raw_ostream &os) {
  const json::Array &axes = *sweep.getArray("axes"), &points = *sweep.getArray("points");
  std::vector<const Column *> columns;
  for (const Column &column : kColumns)
    if (any(points, column.key))
      columns.push_back(&column);
  Table table("  ", 60);
  std::vector<std::string> head;
  for (const json::Value &axis : axes)
    head.push_back(axis.getAsObject()->getString("name")->str());
  for (const Column *column : columns) {
    table.alignRight(head.size());
    head.push_back(column->head);
  }
  head.push_back(any(points, "plan") ? "plan" : "limited by");
  table.add(head);
  for (const json::Value &value : points) {
    const json::Object &point = *value.getAsObject();
    std::vector<std::string> row;
    for (const json::Value &axis : axes)
      row.push_back(point.getObject("at")->getString(*axis.getAsObject()->getString("name"))->str());
    for (const Column *column : columns) {
      auto number = point.getNumber(column->key);
      row.push_back(number ? column->textOf(*number) : "-");
    }
    row.push_back(remarkOf(point));
    table.add(row);
  }
  table.print(os);
}

} // namespace mpopt
