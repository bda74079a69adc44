#include "Arguments.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include <fstream>

namespace mpopt {
namespace {

std::string defaultOutput(const std::string &model) {
  llvm::SmallString<128> path(llvm::sys::path::filename(model));
  llvm::sys::path::replace_extension(path, "mpplan");
  return path.str().str();
}

Result<std::string> readFile(const std::string &path) {
  std::ifstream stream(path);
  if (!stream)
    return error("cannot read '" + path + "'");
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

/// Strategy and pins as planning takes them.
Status readChoices(const Arguments &arguments, planning::PlanOptions &plan) {
  if (!arguments.strategy.empty()) {
    auto strategy = planning::parseStrategy(arguments.strategy);
    if (!strategy)
      return tl::make_unexpected(strategy.error());
    plan.strategy = *strategy;
  }
  if (arguments.pin.empty())
    return {};
  auto text = readFile(arguments.pin);
  if (!text)
    return tl::make_unexpected(text.error());
  auto pins = planning::parsePins(*text, arguments.pin);
  if (!pins)
    return tl::make_unexpected(pins.error());
  plan.pins = *pins;
  return {};
}

} // namespace

void addPlanningOptions(CLI::App &app, Arguments &arguments) {
  app.add_option("model", arguments.model, "ONNX model; its external data is looked for beside it")
      ->type_name("MODEL.onnx");
  arguments.devicesOption =
      app.add_option("-d,--devices", arguments.devices, "Number of devices to spread the model over")
          ->type_name("N")
          ->capture_default_str();
  arguments.machineOption = app.add_option("-m,--machine", arguments.machine,
                                           "Machine file (TOML), or a known machine: host, a100-80, h100, ...")
                                ->type_name("FILE|NAME")
                                ->capture_default_str();
  app.add_option("--dim", arguments.dims,
                 "Binds a symbolic dimension (batch=8) or an input's shape (input_ids=2x128); repeatable")
      ->type_name("NAME=SIZE")
      ->allow_extra_args(false);
  app.add_option(
         "-s,--strategy", arguments.strategy,
         "Forces a classic layout: dp= data, tp= tensor, sp= sequence, ep= expert parallel, pp= pipeline stages\n"
         "(pp=2, or the devices of each: pp=4+3), mb= microbatches; with --train also cp=, interleave=, zero=, "
         "recompute=, schedule=")
      ->type_name("dp=2,tp=4");
  app.add_option("--pin", arguments.pin, "File with shardings that the plan must have")->type_name("FILE");
  app.add_option(
         "--plan-json", arguments.planJson,
         "Makes the plan of a --json again; it also says devices, machine, objective and dimensions where no flag does")
      ->type_name("FILE");
  app.add_flag("--ignore-annotations", arguments.ignoreAnnotations,
               "Does not take the model's own multi-device annotations (ONNX IR 11) as pins");
  arguments.objectiveOption =
      app.add_option("--objective", arguments.objective, "What to make small or large: latency, throughput or memory")
          ->check(CLI::IsMember({"latency", "throughput", "memory"}))
          ->capture_default_str();
  app.add_flag("--explain", arguments.explain,
               "Prints what was chosen for each block of the model, its cost and what the next best would cost");
  app.add_option("--json", arguments.json, "Writes the account of the plan to a file")->type_name("FILE");
  app.add_option("--report", arguments.report,
                 "Writes an HTML page about the plan: blocks, shardings, time line, memory, links, alternatives")
      ->type_name("FILE.html");
}

void addCompileOptions(CLI::App &app, Arguments &arguments) {
  app.add_option("-o,--output", arguments.output,
                 "Plan to write; weights go beside it [model's name with .mpplan, here]")
      ->type_name("FILE");
  app.add_option("--target-cpu", arguments.cpu,
                 "Instruction set of the kernels: native, x86-64-v3 (AVX2) or x86-64-v4 (AVX-512)")
      ->check(CLI::IsMember({"native", "x86-64-v3", "x86-64-v4"}))
      ->capture_default_str();
  app.add_option("--emit", arguments.emit, "Prints the IR of a stage and stops: nn, planned, partitioned or rt")
      ->check(CLI::IsMember({"nn", "planned", "partitioned", "rt"}));
  app.add_flag("--dry-run", arguments.dryRun, "Plans and accounts, but writes no plan; weights may be absent");
}

Result<std::optional<planning::FixedPlan>> readFixedPlan(Arguments &arguments) {
  if (arguments.planJson.empty())
    return std::nullopt;
  auto text = readFile(arguments.planJson);
  if (!text)
    return tl::make_unexpected(Error{text.error().message + " with --plan-json"});
  auto plan = planning::parseFixedPlan(*text, arguments.planJson);
  if (!plan)
    return tl::make_unexpected(plan.error());
  if (arguments.devicesOption->count() == 0)
    arguments.devices = plan->devices;
  if (arguments.machineOption->count() == 0 && llvm::is_contained(machine::shippedMachines(), plan->machine))
    arguments.machine = plan->machine;
  if (arguments.dims.empty())
    arguments.dims = plan->dims;
  if (arguments.objectiveOption->count() == 0 && !plan->objective.empty())
    arguments.objective = plan->objective;
  if (arguments.strategy.empty() && plan->strategy)
    arguments.strategy = plan->strategy->text();
  return std::optional(std::move(*plan));
}

Result<CompileOptions> makeOptions(const Arguments &arguments, const machine::Machine &machine) {
  CompileOptions options;
  options.model = arguments.model;
  options.output = arguments.output.empty() ? defaultOutput(arguments.model) : arguments.output;
  options.dims = arguments.dims;
  options.plan.machine = &machine;
  options.plan.devices = arguments.devices;
  options.plan.objective = arguments.objective;
  options.plan.explain = arguments.explain || !arguments.report.empty();
  options.ignoreAnnotations = arguments.ignoreAnnotations;
  options.annotate = !arguments.annotate.empty();
  options.details = !arguments.json.empty() || !arguments.report.empty();
  if (Status read = readChoices(arguments, options.plan); !read)
    return tl::make_unexpected(read.error());
  options.target = codegen::CpuTarget::native();
  if (arguments.cpu != "native")
    options.target = codegen::CpuTarget{arguments.cpu};
  options.until = llvm::StringSwitch<Stage>(arguments.emit)
                      .Case("nn", Stage::NN)
                      .Case("planned", Stage::Planned)
                      .Case("partitioned", Stage::Partitioned)
                      .Case("rt", Stage::RT)
                      .Default(arguments.dryRun ? Stage::RT : Stage::Plan);
  return options;
}

int fail(const std::string &message) {
  llvm::errs() << "mpopt: error: " << message << "\n";
  return 1;
}

} // namespace mpopt
