#include "Train.h"
#include "Diagnostics.h"
#include "OutputFiles.h"
#include "TrainReport.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mpopt/Import/ONNX/Inspect.h"
#include "mpopt/Planning/Training.h"
#include "mpopt/Report/Report.h"
#include "mpopt/Search/TrainingAccount.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

namespace mpopt {
namespace {

/// Options of inference plans, which a training plan does not have.
std::string foreignOption(const Arguments &arguments) {
  return !arguments.pin.empty()             ? "--pin"
         : !arguments.planJson.empty()      ? "--plan-json"
         : !arguments.annotate.empty()      ? "--annotate"
         : arguments.explain                ? "--explain"
         : arguments.objective != "latency" ? "--objective"
                                            : "";
}

/// The global batch says how many samples there are, so the inputs' first dimension need not: it is bound to 2 where it is open.
std::vector<std::string> withBatch(const Arguments &arguments, const ModelSummary &summary) {
  std::vector<std::string> dims = arguments.dims;
  auto isBound = [&](llvm::StringRef name) {
    return llvm::any_of(dims, [&](llvm::StringRef dim) { return dim.split('=').first == name; });
  };
  for (const PortSummary &input : summary.inputs)
    if (!input.dims.empty() && !input.dims[0].symbol.empty() && !isBound(input.dims[0].symbol) && !isBound(input.name))
      dims.push_back(input.dims[0].symbol + "=2");
  return dims;
}

cost::Precision precisionOf(llvm::StringRef name) {
  return llvm::StringSwitch<cost::Precision>(name)
      .Case("f32", cost::Precision::Float32)
      .Case("pure16", cost::Precision::Pure16)
      .Case("mixed8", cost::Precision::Mixed8)
      .Case("mixed4", cost::Precision::Mixed4)
      .Default(cost::Precision::Mixed16);
}

Result<mlir::OwningOpRef<mlir::ModuleOp>> importModel(mlir::MLIRContext &context, const Arguments &arguments) {
  auto summary = inspectModel(arguments.model);
  if (!summary)
    return tl::unexpected<Error>(summary.error());
  ErrorKeeper errors(&context);
  Progress progress;
  CompileOptions options;
  options.model = arguments.model;
  options.dims = withBatch(arguments, *summary);
  options.until = Stage::NN;
  options.progress = [&](llvm::StringRef phase) { progress.begin(phase); };
  auto result = compile(context, options);
  progress.clear();
  if (failed(result))
    return error(errors.error());
  return std::move(result->module);
}

/// What a step of either kind of model is planned for.
struct Setting {
  machine::Machine machine;
  machine::Stack stack;
  search::LayoutPins pins;
  cost::Precision precision = cost::Precision::Mixed16;
  machine::DType type = machine::DType::BF16;
};

Result<Setting> readSetting(const Arguments &common, const TrainArguments &arguments) {
  if (std::string option = foreignOption(common); !option.empty())
    return error(option + " is for inference plans; leave it out with --train");
  if (arguments.globalBatchOption->count() == 0 && arguments.globalBatch == 0)
    return error("--train needs --global-batch N, the sequences or images of a step");
  auto machine = machine::load(common.machine);
  if (!machine)
    return tl::unexpected<Error>(machine.error());
  auto stack = machine::loadStack(arguments.stack);
  if (!stack)
    return tl::unexpected<Error>(stack.error());
  auto pins = search::parseLayoutPins(common.strategy);
  if (!pins)
    return error("--strategy '" + common.strategy + "': " + pins.error().message);
  bool hasBF16 = machine->device().peak[static_cast<size_t>(machine::DType::BF16)] > 0;
  return Setting{std::move(*machine), std::move(*stack), *pins, precisionOf(arguments.precision),
                 hasBF16 ? machine::DType::BF16 : machine::DType::F16};
}

/// What becomes of an answer: for people on standard output, as JSON with all details; or as short JSON alone.
enum class Telling { Whole, Short };

/// The account as JSON.
using Account = tl::expected<std::string, search::NoPlan>;

Account planLayers(const planning::TrainingModel &model, const Setting &setting, int64_t devices, int64_t globalBatch,
                   Telling telling) {
  search::TrainingQuery query;
  query.machine = &setting.machine;
  query.stack = &setting.stack;
  query.shape = *model.transformer;
  query.devices = devices;
  query.globalBatch = globalBatch;
  query.precision = setting.precision;
  query.type = setting.type;
  query.pins = setting.pins;
  auto answer = search::planTraining(query);
  if (!answer)
    return tl::unexpected(answer.error());
  if (telling == Telling::Whole)
    printTraining(model, query, *answer, llvm::outs());
  return search::trainingAccount(query, *answer, telling == Telling::Whole);
}

int writePage(runtime::OutputFile &file, const std::string &account, llvm::StringRef model) {
  llvm::json::Value parsed = llvm::cantFail(llvm::json::parse(account));
  return finishOutput(file, report::trainingPage(*parsed.getAsObject(), llvm::sys::path::filename(model)), "--report");
}

/// What --strategy may say of a graph whose blocks are split one by one.
Status readGraphPins(const search::LayoutPins &pins, search::GraphQuery &query) {
  if (pins.dp || pins.tp || pins.cp || pins.ep || pins.interleave || pins.recompute)
    return error("--strategy: the model is no stack of equal transformer layers, so its blocks are split one by one; "
                 "only pp, mb, zero and schedule can be forced");
  query.stages = pins.pp;
  query.microbatch = pins.microbatch;
  query.schedule = pins.schedule;
  query.sharding = pins.sharding;
  return {};
}

Account planBlocks(mlir::func::FuncOp main, const std::string &why, const Setting &setting, int64_t devices,
                   int64_t globalBatch, Telling telling) {
  search::GraphQuery query;
  query.machine = &setting.machine;
  query.stack = &setting.stack;
  query.devices = devices;
  query.globalBatch = globalBatch;
  query.precision = setting.precision;
  query.type = setting.type;
  if (Status status = readGraphPins(setting.pins, query); !status)
    return tl::unexpected<search::NoPlan>(status.error());
  bool wide = setting.precision == cost::Precision::Float32;
  auto graph =
      planning::makeTrainingGraph(main, {&setting.machine, &setting.stack, wide ? machine::DType::F32 : setting.type});
  if (!graph)
    return tl::unexpected<search::NoPlan>(graph.error());
  query.model = graph->get();
  auto answer = search::planGraph(query);
  if (!answer)
    return tl::unexpected(answer.error());
  if (telling == Telling::Whole)
    printTraining(**graph, why, query, *answer, llvm::outs());
  search::BlockNames names;
  for (int64_t block = 0; block < (*graph)->blocks(); ++block) {
    names.names.push_back((*graph)->name(block));
    names.operators.push_back((*graph)->operators(block));
  }
  return search::trainingAccount(query, *answer, names, telling == Telling::Whole);
}

Account planOnce(const Arguments &common, const TrainArguments &arguments, const Setting &setting, Telling telling) {
  mlir::DialectRegistry registry;
  registerAll(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  std::optional<DiagnosticPrinter> warnings;
  std::optional<mlir::ScopedDiagnosticHandler> quiet;
  if (telling == Telling::Whole)
    warnings.emplace(&context);
  else
    quiet.emplace(&context, [](mlir::Diagnostic &) { return mlir::success(); });
  auto module = importModel(context, common);
  if (!module)
    return tl::unexpected<search::NoPlan>(module.error());
  auto main = (*module)->lookupSymbol<mlir::func::FuncOp>("main");
  planning::TrainingModel model = planning::readTrainingModel(main);
  return model.transformer
             ? planLayers(model, setting, common.devices, arguments.globalBatch, telling)
             : planBlocks(main, model.notTransformer, setting, common.devices, arguments.globalBatch, telling);
}

} // namespace

void addTrainOptions(CLI::App &app, TrainArguments &arguments) {
  app.add_flag("--train", arguments.train,
               "Plans a training step of this forward model: pipeline stages, layouts, microbatches, schedule, "
               "recomputation, sharding of state");
  arguments.globalBatchOption =
      app.add_option("--global-batch", arguments.globalBatch, "With --train: sequences (or images) per step")
          ->type_name("N");
  app.add_option("--stack", arguments.stack,
                 "With --train: what the training program makes of the machine; a name of machines/stacks or a file")
      ->type_name("FILE|NAME")
      ->capture_default_str();
  app.add_option("--precision", arguments.precision,
                 "With --train: f32, mixed16 (32-bit master weights), pure16, mixed8 or mixed4")
      ->check(CLI::IsMember({"f32", "mixed16", "pure16", "mixed8", "mixed4"}))
      ->capture_default_str();
}

void addProblem(llvm::json::Object &point, const std::string &problem, bool lacksMemory) {
  point["problem"] = problem;
  point["reason"] = lacksMemory ? "memory" : "other";
  point["fits"] = !lacksMemory;
}

void planTrainPoint(const Arguments &common, const TrainArguments &arguments, llvm::json::Object &point) {
  auto setting = readSetting(common, arguments);
  if (!setting)
    return addProblem(point, setting.error().message, /*lacksMemory=*/false);
  auto text = planOnce(common, arguments, *setting, Telling::Short);
  if (!text)
    return addProblem(point, text.error().message, text.error().lacksMemory);
  llvm::json::Value parsed = llvm::cantFail(llvm::json::parse(*text));
  const llvm::json::Object &account = *parsed.getAsObject(), &plan = *account.getObject("plan");
  double seconds = account.getNumber("seconds").value_or(0);
  point["fits"] = true;
  point["global_batch"] = arguments.globalBatch;
  point["predicted_seconds"] = seconds;
  point["lower_bound_seconds"] = *account.get("lower_bound_seconds");
  point["throughput"] = static_cast<double>(arguments.globalBatch) / seconds;
  point["memory_bytes"] = *plan.get("memory_bytes");
  point["tflops_per_device"] = *account.get("tflops_per_device");
  point["plan"] = *plan.get("text");
}

int planTrain(const Arguments &common, const TrainArguments &arguments) {
  auto setting = readSetting(common, arguments);
  if (!setting)
    return fail(setting.error().message);
  auto json = openOutput(common.json, "--json", {common.model});
  if (!json)
    return fail(json.error().message);
  auto page = openOutput(common.report, "--report", {common.model});
  if (!page)
    return fail(page.error().message);
  auto account = planOnce(common, arguments, *setting, Telling::Whole);
  if (!account)
    return fail(account.error().message);
  int code = *json ? finishOutput(**json, *account + "\n", "--json") : 0;
  return code == 0 && *page ? writePage(**page, *account, common.model) : code;
}

} // namespace mpopt
