#include "Sweep.h"
#include "Diagnostics.h"
#include "OutputFiles.h"
#include "Text.h"
#include "mlir/IR/BuiltinOps.h"
#include "mpopt/Report/Report.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include <map>
#include <set>

using llvm::StringRef;
namespace json = llvm::json;

namespace mpopt {
namespace {

constexpr size_t kMostPoints = 1000;

struct Axis {
  std::string name;
  std::vector<std::string> values;
};

/// Reads "devices=1,2,4".
Result<Axis> parseAxis(StringRef text) {
  auto [name, list] = text.split('=');
  Axis axis{name.trim().str(), {}};
  llvm::SmallVector<StringRef> values;
  list.split(values, ',');
  for (StringRef value : values) {
    axis.values.push_back(value.trim().str());
    int64_t size = 0;
    bool good = axis.name == "machine" ? !value.trim().empty() : !value.trim().getAsInteger(10, size) && size >= 1;
    if (axis.name.empty() || !good)
      return error("--sweep " + text.str() +
                   ": write devices=1,2,4, machine=a100-80,h100, or a dimension's name with its sizes, batch=1,8");
  }
  if (axis.name != "machine")
    llvm::sort(axis.values, [](const std::string &a, const std::string &b) { return std::stoll(a) < std::stoll(b); });
  axis.values.erase(std::unique(axis.values.begin(), axis.values.end()), axis.values.end());
  return axis;
}

Result<std::vector<Axis>> parseAxes(const std::vector<std::string> &texts) {
  std::vector<Axis> axes;
  std::set<std::string> names;
  size_t points = 1;
  for (const std::string &text : texts) {
    auto axis = parseAxis(text);
    if (!axis)
      return tl::make_unexpected(axis.error());
    if (!names.insert(axis->name).second)
      return error("--sweep varies '" + axis->name + "' twice");
    points *= axis->values.size();
    if (points > kMostPoints)
      return error("--sweep asks for more than " + std::to_string(kMostPoints) + " plans; vary less at a time");
    axes.push_back(std::move(*axis));
  }
  // Devices are what charts go by.
  for (size_t i = 0; i < axes.size(); ++i)
    if (axes[i].name == "devices")
      std::rotate(axes.begin(), axes.begin() + i, axes.begin() + i + 1);
  return axes;
}

/// Price of a device for an hour, by machine; the entry "" is for all others.
using PriceList = std::map<std::string, double>;

Result<PriceList> parsePrices(const std::vector<std::string> &texts) {
  PriceList prices;
  for (const std::string &text : texts) {
    auto [machine, value] =
        StringRef(text).contains('=') ? StringRef(text).rsplit('=') : std::pair(StringRef(), StringRef(text));
    double price = 0;
    if (value.trim().getAsDouble(price) || !(price >= 0))
      return error("--price " + text + ": write a price per device and hour, 2.5, or one for a machine, h100=2.5");
    prices[machine.trim().str()] = price;
  }
  return prices;
}

class Sweeper {
public:
  Sweeper(const Arguments &common, std::vector<Axis> axes, PriceList prices)
      : common(common), axes(std::move(axes)), prices(std::move(prices)) {}

  /// {"model", "axes", "points"}.
  json::Object run() {
    std::vector<size_t> at(axes.size(), 0);
    json::Array points;
    do {
      points.push_back(plan(at));
    } while (advance(at));
    json::Array list;
    for (const Axis &axis : axes)
      list.push_back(json::Object{{"name", axis.name}, {"values", json::Array(axis.values)}});
    return json::Object{{"model", model}, {"axes", std::move(list)}, {"points", std::move(points)}};
  }

private:
  /// The last axis runs fastest.
  bool advance(std::vector<size_t> &at) const {
    for (size_t axis = axes.size(); axis-- > 0;) {
      if (++at[axis] < axes[axis].values.size())
        return true;
      at[axis] = 0;
    }
    return false;
  }

  json::Object plan(const std::vector<size_t> &at) {
    Arguments arguments = common;
    arguments.dryRun = true;
    json::Object place;
    for (auto [axis, index] : llvm::zip_equal(axes, at)) {
      const std::string &value = axis.values[index];
      place[axis.name] = value;
      if (axis.name == "devices")
        arguments.devices = std::stoll(value);
      else if (axis.name == "machine")
        arguments.machine = value;
      else
        arguments.dims.push_back(axis.name + "=" + value);
    }
    json::Object point{{"at", std::move(place)}, {"devices", arguments.devices}, {"machine", arguments.machine}};
    auto machine = machine::load(arguments.machine);
    auto options = machine ? makeOptions(arguments, *machine) : tl::make_unexpected(machine.error());
    if (!options) {
      point["problem"] = options.error().message;
      return point;
    }
    options->details = true;
    compileInto(*options, point);
    addPrice(point, *machine);
    return point;
  }

  void compileInto(CompileOptions &options, json::Object &point) {
    mlir::DialectRegistry registry;
    registerAll(registry);
    mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
    std::string problem;
    mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) {
      if (diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error && problem.empty())
        problem = diagnostic.str();
      return mlir::success();
    });
    progress.begin("planning point " + std::to_string(++count));
    auto result = compile(context, options);
    progress.clear();
    point["fits"] = succeeded(result) || !StringRef(problem).contains("memory limit");
    if (failed(result)) {
      point["problem"] = problem.empty() ? "it cannot be compiled" : problem;
      return;
    }
    json::Value account = llvm::cantFail(json::parse(result->account));
    readAccount(*account.getAsObject(), point);
  }

  void readAccount(const json::Object &account, json::Object &point) {
    model = account.getString("model").value_or("").str();
    for (const char *key : {"predicted_seconds", "lower_bound_seconds", "limited_by", "batch"})
      if (const json::Value *value = account.get(key))
        point[key] = *value;
    double most = 0, batch = account.getNumber("batch").value_or(1),
           seconds = account.getNumber("predicted_seconds").value_or(0);
    for (const json::Value &bytes : *account.getArray("memory_bytes"))
      most = std::max(most, bytes.getAsNumber().value_or(0));
    point["memory_bytes"] = most;
    if (seconds > 0)
      point["throughput"] = batch / seconds;
  }

  void addPrice(json::Object &point, const machine::Machine &machine) const {
    auto it = prices.find(point.getString("machine")->str());
    if (it == prices.end())
      it = prices.find("");
    double price = it != prices.end() ? it->second : machine.device().pricePerHour;
    auto throughput = point.getNumber("throughput");
    if (price <= 0 || !throughput)
      return;
    double hourly = price * point.getNumber("devices").value_or(1);
    point["cost_per_hour"] = hourly;
    point["cost_per_million"] = hourly / 3600 / *throughput * 1e6;
  }

  const Arguments &common;
  std::vector<Axis> axes;
  PriceList prices;
  Progress progress;
  std::string model = common.model;
  int count = 0;
};

std::string shortProblem(const json::Object &point) {
  StringRef problem = *point.getString("problem");
  bool fits = point.getBoolean("fits").value_or(true);
  return (fits ? "no plan: " : "does not fit: ") + problem.str();
}

/// What is wrong with all points in the same way, a dimension that the model does not have; empty when points differ.
std::string commonProblem(const json::Object &result) {
  const json::Array &points = *result.getArray("points");
  auto problemOf = [](const json::Value &point) {
    return point.getAsObject()->getString("problem").value_or("").str();
  };
  auto fits = [](const json::Value &point) { return point.getAsObject()->getBoolean("fits").value_or(true); };
  std::string first = points.empty() ? "" : problemOf(points.front());
  bool same = llvm::all_of(points, [&](const json::Value &point) { return problemOf(point) == first && fits(point); });
  return same ? first : "";
}

void printTable(const json::Object &result) {
  const json::Array &axes = *result.getArray("axes"), &points = *result.getArray("points");
  bool priced = llvm::any_of(points, [](const json::Value &p) { return p.getAsObject()->get("cost_per_hour"); });
  Table table("  ", 60);
  std::vector<std::string> head;
  for (const json::Value &axis : axes)
    head.push_back(axis.getAsObject()->getString("name")->str());
  size_t column = head.size();
  head.insert(head.end(), {"step", "throughput", "memory"});
  if (priced)
    head.insert(head.end(), {"cost/h", "cost/million"});
  head.push_back("limited by");
  for (; column + 1 < head.size(); ++column)
    table.alignRight(column);
  table.add(head);
  for (const json::Value &value : points) {
    const json::Object &point = *value.getAsObject();
    std::vector<std::string> row;
    for (const json::Value &axis : axes)
      row.push_back(point.getObject("at")->getString(*axis.getAsObject()->getString("name"))->str());
    auto number = [&](StringRef key) { return point.getNumber(key).value_or(0); };
    if (point.get("problem")) {
      row.insert(row.end(), priced ? 5 : 3, "-");
      row.push_back(shortProblem(point));
    } else {
      row.push_back(timeText(number("predicted_seconds")));
      row.push_back(countText(number("throughput")) + "/s");
      row.push_back(bytesText(number("memory_bytes")));
      bool known = point.get("cost_per_hour") != nullptr;
      if (priced) {
        row.push_back(known ? llvm::formatv("{0:f2}", number("cost_per_hour")).str() : "-");
        row.push_back(known ? llvm::formatv("{0:f3}", number("cost_per_million")).str() : "-");
      }
      row.push_back(point.getString("limited_by").value_or("").str());
    }
    table.add(row);
  }
  table.print(llvm::outs());
}

} // namespace

void addSweepOptions(CLI::App &app, SweepArguments &arguments) {
  app.add_option(
         "--sweep", arguments.axes,
         "Plans for each of several numbers of devices, machines (machine=a100-80,h100) or sizes of a dimension "
         "(batch=1,8), and for each combination when repeated")
      ->type_name("devices=1,2,4")
      ->allow_extra_args(false);
  app.add_option("--price", arguments.prices,
                 "Price of one device for an hour, for the costs of a sweep; h100=2.5 for one machine; repeatable")
      ->type_name("PRICE")
      ->allow_extra_args(false);
}

int sweep(const Arguments &common, const SweepArguments &arguments) {
  auto axes = parseAxes(arguments.axes);
  if (!axes)
    return fail(axes.error().message);
  auto prices = parsePrices(arguments.prices);
  if (!prices)
    return fail(prices.error().message);
  auto json = openOutput(common.json, "--json", {common.model});
  auto page = openOutput(common.report, "--report", {common.model});
  if (!json || !page)
    return fail(json ? page.error().message : json.error().message);
  Arguments plain = common;
  plain.json = plain.report = ""; // of the sweep, not of its points
  json::Object result = Sweeper(plain, std::move(*axes), std::move(*prices)).run();
  if (std::string problem = commonProblem(result); !problem.empty())
    return fail(problem);
  printTable(result);
  std::string html = *page ? report::sweepPage(result) : "";
  int code = *json ? finishOutput(**json, llvm::formatv("{0:2}\n", json::Value(std::move(result))).str(), "--json") : 0;
  return code == 0 && *page ? finishOutput(**page, html, "--report") : code;
}

} // namespace mpopt
