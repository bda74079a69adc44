//===- mpopt.cpp - ONNX model in, plan for many devices out ---------------===//

#include "Diagnostics.h"
#include "Explain.h"
#include "Inspect.h"
#include "Text.h"
#include "format/FatalErrors.h"
#include "format/OutputFile.h"
#include "mlir/IR/BuiltinOps.h"
#include "mpopt/Machine/Calibrate.h"
#include "mpopt/Machine/Machine.h"
#include "mpopt/Pipelines/Compile.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/ErrorHandling.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <new>
#include <optional>

using namespace mpopt;

namespace {

struct Arguments {
  std::string model, output, machine = "host", strategy, objective = "latency", emit, pin, json, cpu = "native";
  std::vector<std::string> dims;
  int64_t devices = 1;
  bool explain = false, dryRun = false;
};

int fail(const std::string &message) {
  llvm::errs() << "mpopt: error: " << message << "\n";
  return 1;
}

void addOptions(CLI::App &app, Arguments &arguments) {
  app.add_option("model", arguments.model, "ONNX model; its external data is looked for beside it")
      ->type_name("MODEL.onnx");
  app.add_option("-d,--devices", arguments.devices, "Number of devices to spread the model over")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("-o,--output", arguments.output,
                 "Plan to write; weights go beside it [model's name with .mpplan, here]")
      ->type_name("FILE");
  app.add_option("-m,--machine", arguments.machine, "Machine file (TOML), or a known machine: host, a100-80, h100, ...")
      ->type_name("FILE|NAME")
      ->capture_default_str();
  app.add_option("--dim", arguments.dims,
                 "Binds a symbolic dimension (batch=8) or an input's shape (input_ids=2x128); repeatable")
      ->type_name("NAME=SIZE")
      ->allow_extra_args(false);
  app.add_option("-s,--strategy", arguments.strategy,
                 "Forces a classic layout: dp= data, tp= tensor, sp= sequence, ep= expert parallel")
      ->type_name("dp=2,tp=4");
  app.add_option("--pin", arguments.pin, "File with shardings that the plan must have")->type_name("FILE");
  app.add_option("--objective", arguments.objective, "What to make small or large: latency, throughput or memory")
      ->check(CLI::IsMember({"latency", "throughput", "memory"}))
      ->capture_default_str();
  app.add_option("--target-cpu", arguments.cpu,
                 "Instruction set of the kernels: native, x86-64-v3 (AVX2) or x86-64-v4 (AVX-512)")
      ->check(CLI::IsMember({"native", "x86-64-v3", "x86-64-v4"}))
      ->capture_default_str();
  app.add_option("--emit", arguments.emit, "Prints the IR of a stage and stops: nn, planned, partitioned or rt")
      ->check(CLI::IsMember({"nn", "planned", "partitioned", "rt"}));
  app.add_flag("--explain", arguments.explain,
               "Prints what was chosen for each block of the model, its cost and what the next best would cost");
  app.add_flag("--dry-run", arguments.dryRun, "Plans and accounts, but writes no plan; weights may be absent");
  app.add_option("--json", arguments.json, "Writes the account of the plan to a file")->type_name("FILE");
}

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

/// The short account that every compilation prints; `output` is empty when nothing was written.
void printAccount(const llvm::json::Object &account, const std::string &output) {
  auto number = [&](llvm::StringRef key) { return account.getNumber(key).value_or(0); };
  llvm::outs() << (output.empty() ? "a plan" : "wrote " + output) << " for " << *account.getInteger("devices")
               << " device(s)";
  if (auto mesh = account.getString("mesh"); mesh && !mesh->empty())
    llvm::outs() << " (mesh " << *mesh << ")";
  llvm::outs() << "\n  predicted time   " << llvm::formatv("{0:f3} ms", number("predicted_seconds") * 1e3)
               << llvm::formatv(" (lower bound {0:f3} ms) on {1}", number("lower_bound_seconds") * 1e3,
                                *account.getString("machine"));
  double most = 0;
  for (const llvm::json::Value &bytes : *account.getArray("memory_bytes"))
    most = std::max(most, bytes.getAsNumber().value_or(0));
  llvm::outs() << "\n  memory           " << bytesText(most) << " per device at most\n  collectives      ";
  llvm::outs() << collectivesText(*account.getArray("collectives"));
  llvm::outs() << "\n";
}

Result<CompileOptions> makeOptions(const Arguments &arguments, const machine::Machine &machine) {
  CompileOptions options;
  options.model = arguments.model;
  options.output = arguments.output.empty() ? defaultOutput(arguments.model) : arguments.output;
  options.dims = arguments.dims;
  options.plan.machine = &machine;
  options.plan.devices = arguments.devices;
  options.plan.objective = arguments.objective;
  options.plan.explain = arguments.explain;
  if (!arguments.strategy.empty()) {
    auto strategy = planning::parseStrategy(arguments.strategy);
    if (!strategy)
      return tl::make_unexpected(strategy.error());
    options.plan.strategy = *strategy;
  }
  if (!arguments.pin.empty()) {
    auto text = readFile(arguments.pin);
    if (!text)
      return tl::make_unexpected(text.error());
    auto pins = planning::parsePins(*text, arguments.pin);
    if (!pins)
      return tl::make_unexpected(pins.error());
    options.plan.pins = *pins;
  }
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

/// The file for the account, opened before the work begins; nothing when none is asked for.
Result<std::optional<runtime::OutputFile>> openJson(const Arguments &arguments, const std::string &output) {
  if (arguments.json.empty())
    return std::nullopt;
  std::string weights = llvm::StringRef(output).ends_with(".mpplan") ? output.substr(0, output.size() - 7) : output;
  for (const std::string &other : {arguments.model, output, weights + ".weights.bin"})
    if (arguments.json == other || runtime::sameFile(arguments.json, other))
      return error("'" + arguments.json + "' is the model, the plan or its weights; choose another name with --json");
  auto file = runtime::OutputFile::create(arguments.json);
  if (!file)
    return error(file.error().message + " with --json");
  return std::optional(std::move(*file));
}

int writeJson(runtime::OutputFile &file, const std::string &text) {
  file.write(text);
  file.write("\n");
  Status status = file.commit();
  return status ? 0 : fail(status.error().message + " with --json");
}

int compileModel(const Arguments &arguments) {
  if (arguments.devices < 1)
    return fail("--devices " + std::to_string(arguments.devices) + ": give a number of devices of at least 1");
  auto machine = machine::load(arguments.machine);
  if (!machine)
    return fail(machine.error().message);
  auto options = makeOptions(arguments, *machine);
  if (!options)
    return fail(options.error().message);
  auto json = openJson(arguments, options->output);
  if (!json)
    return fail(json.error().message);

  mlir::DialectRegistry registry;
  registerAll(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  DiagnosticPrinter printer(&context);
  Progress progress;
  options->progress = [&](llvm::StringRef phase) { progress.begin(phase); };
  auto result = compile(context, *options);
  progress.clear();
  if (failed(result))
    return 1;
  if (!arguments.emit.empty()) {
    mlir::OpPrintingFlags flags;
    (*result->module)->print(llvm::outs(), flags.elideLargeElementsAttrs(64));
    llvm::outs() << "\n";
    return 0;
  }
  auto account = llvm::json::parse(result->account);
  if (account && arguments.explain)
    printExplanation(*account->getAsObject(), llvm::outs());
  if (account)
    printAccount(*account->getAsObject(), arguments.dryRun ? "" : options->output);
  return *json ? writeJson(**json, result->account) : 0;
}

int calibrateMachine(std::string path) {
  if (path.empty())
    path = machine::hostCachePath();
  if (path.empty())
    return fail("neither HOME nor XDG_CACHE_HOME is set; say where to write with --output");
  auto machine = machine::calibrateHost();
  if (!machine)
    return fail(machine.error().message);
  if (Status written = machine::writeFile(*machine, path); !written)
    return fail(written.error().message);
  llvm::outs() << "wrote " << path << "\n";
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  runtime::reportFatalErrors("mpopt");
  std::set_new_handler(runtime::failOutOfMemory);
  llvm::install_bad_alloc_error_handler([](void *, const char *, bool) { runtime::failOutOfMemory(); });
  CLI::App app{
      "Compiles an ONNX model into a plan for many devices: chooses how to shard it by a cost model, inserts the\n"
      "collectives, generates code. Run the plan with mpopt-run."};
  app.set_version_flag("--version", "mpopt " MPOPT_VERSION);
  app.name("mpopt");
  app.footer("Example:\n  mpopt bert.onnx --devices 4 --dim batch=1 --dim sequence=128 -o bert.mpplan");
  Arguments arguments;
  addOptions(app, arguments);
  std::string calibrated;
  CLI::App *calibrate = app.add_subcommand("calibrate", "Measures this machine and keeps the result as machine 'host'");
  calibrate->add_option("-o,--output", calibrated, "Writes the machine file there instead")->type_name("FILE");
  InspectArguments inspected;
  CLI::App *inspectCommand =
      app.add_subcommand("inspect", "Prints what a model or a plan is: inputs, operators, memory, what runs where");
  inspectCommand->add_option("file", inspected.file, "ONNX model or plan")
      ->required()
      ->type_name("MODEL.onnx|PLAN.mpplan");
  inspectCommand
      ->add_option("--dim", inspected.dims, "Binds dimensions of a model, to see what memory it takes; repeatable")
      ->type_name("NAME=SIZE")
      ->allow_extra_args(false);
  inspectCommand->add_flag("--json", inspected.json, "Prints JSON");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &parseError) {
    if (parseError.get_exit_code() == 0)
      return app.exit(parseError);
    return fail(std::string(parseError.what()) + "; see mpopt --help");
  }
  if (calibrate->parsed())
    return calibrateMachine(calibrated);
  if (inspectCommand->parsed())
    return inspect(inspected);
  if (arguments.model.empty())
    return fail("give a model: mpopt MODEL.onnx --devices N; see mpopt --help");
  return compileModel(arguments);
}
