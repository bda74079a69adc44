#include "Sweep.h"
#include "Diagnostics.h"
#include "OutputFiles.h"
#include "SweepAxes.h"
#include "SweepTable.h"
#include "mlir/IR/BuiltinOps.h"
#include "mpopt/Report/Report.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"

using llvm::StringRef;
namespace json = llvm::json;

namespace mpopt {
namespace {

class Sweeper {
public:
  Sweeper(const Arguments &common, const TrainArguments &train, std::vector<Axis> axes, PriceList prices)
      : common(common), train(train), axes(std::move(axes)), prices(std::move(prices)) {}

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
    return json::Object{{"model", llvm::sys::path::filename(common.model)},
                        {"training", train.train},
                        {"axes", std::move(list)},
                        {"points", std::move(points)}};
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
    TrainArguments training = train;
    arguments.dryRun = true;
    json::Object place;
    for (auto [axis, index] : llvm::zip_equal(axes, at)) {
      const std::string &value = axis.values[index];
      place[axis.name] = value;
      if (axis.name == "devices")
        arguments.devices = std::stoll(value);
      else if (axis.name == "machine")
        arguments.machine = value;
      else if (axis.name == "global-batch" && train.train)
        training.globalBatch = std::stoll(value);
      else
        arguments.dims.push_back(axis.name + "=" + value);
    }
    json::Object point{{"at", std::move(place)}, {"devices", arguments.devices}, {"machine", arguments.machine}};
    progress.begin("planning point " + std::to_string(++count));
    auto machine = machine::load(arguments.machine);
    if (!machine)
      addProblem(point, machine.error().message, /*lacksMemory=*/false);
    else if (train.train)
      planTrainPoint(arguments, training, point);
    else
      planInto(arguments, *machine, point);
    progress.clear();
    if (machine)
      addPrice(point, *machine);
    return point;
  }

  void planInto(const Arguments &arguments, const machine::Machine &machine, json::Object &point) const {
    auto options = makeOptions(arguments, machine);
    if (!options)
      return addProblem(point, options.error().message, /*lacksMemory=*/false);
    options->details = true;
    mlir::DialectRegistry registry;
    registerAll(registry);
    mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
    mlir::ScopedDiagnosticHandler quiet(&context, [](mlir::Diagnostic &) { return mlir::success(); });
    ErrorKeeper errors(&context);
    CompileResult result;
    if (failed(compile(context, *options, result)))
      return addProblem(point, errors.error().empty() ? "it cannot be compiled" : errors.error(),
                        result.report.lacksMemory);
    point["fits"] = true;
    json::Value account = llvm::cantFail(json::parse(result.account));
    readAccount(*account.getAsObject(), point);
  }

  static void readAccount(const json::Object &account, json::Object &point) {
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
    if (train.train)
      point["cost_per_step"] = hourly / 3600 * point.getNumber("predicted_seconds").value_or(0);
    point["cost_per_million"] = hourly / 3600 / *throughput * 1e6;
  }

  const Arguments &common;
  const TrainArguments &train;
  std::vector<Axis> axes;
  PriceList prices;
  Progress progress;
  int count = 0;
};

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

} // namespace

void addSweepOptions(CLI::App &app, SweepArguments &arguments) {
  app.add_option(
         "--sweep", arguments.axes,
         "Plans for each of several numbers of devices, machines (machine=a100-80,h100) or sizes of a dimension "
         "(batch=1,8; with --train also global-batch=256,512), and for each combination when repeated")
      ->type_name("devices=1,2,4")
      ->allow_extra_args(false);
  app.add_option("--price", arguments.prices,
                 "Price of one device for an hour, for the costs of a sweep; h100=2.5 for one machine; repeatable")
      ->type_name("PRICE")
      ->allow_extra_args(false);
}

int sweep(const Arguments &common, const SweepArguments &arguments, const TrainArguments &train) {
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
  json::Object result = Sweeper(plain, train, std::move(*axes), std::move(*prices)).run();
  if (std::string problem = commonProblem(result); !problem.empty())
    return fail(problem);
  printSweep(result, llvm::outs());
  std::string html = *page ? report::sweepPage(result) : "";
  int code = *json ? finishOutput(**json, llvm::formatv("{0:2}\n", json::Value(std::move(result))).str(), "--json") : 0;
  return code == 0 && *page ? finishOutput(**page, html, "--report") : code;
}

} // namespace mpopt
