#include "CompileModel.h"
#include "Diagnostics.h"
#include "Explain.h"
#include "OutputFiles.h"
#include "Text.h"
#include "mlir/IR/BuiltinOps.h"
#include "mpopt/Report/Report.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

namespace mpopt {
namespace {

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
  if (const llvm::json::Object *pipeline = account.getObject("pipeline"))
    llvm::outs() << "\n  pipeline         " << pipeline->getArray("stages")->size() << " stage(s), "
                 << *pipeline->getInteger("microbatches") << " microbatch(es), "
                 << bytesText(pipeline->getNumber("message_bytes").value_or(0)) << " sent a step";
  llvm::outs() << "\n";
}

/// The plan and its weights, which no other output may replace.
std::vector<std::string> planFiles(const Arguments &arguments, const std::string &output) {
  std::string weights = llvm::StringRef(output).ends_with(".mpplan") ? output.substr(0, output.size() - 7) : output;
  return {arguments.model, output, weights + ".weights.bin"};
}

int writeAnnotated(runtime::OutputFile &file, const Arguments &arguments, const Annotations &annotations) {
  auto bytes = annotateModel(arguments.model, annotations, arguments.annotate);
  if (!bytes)
    return fail(bytes.error().message + " with --annotate");
  return finishOutput(file, *bytes, "--annotate");
}

} // namespace

int compileModel(Arguments arguments) {
  auto fixed = readFixedPlan(arguments);
  if (!fixed)
    return fail(fixed.error().message);
  if (arguments.devices < 1)
    return fail("--devices " + std::to_string(arguments.devices) + ": give a number of devices of at least 1");
  auto machine = machine::load(arguments.machine);
  if (!machine)
    return fail(machine.error().message);
  auto options = makeOptions(arguments, *machine);
  if (!options)
    return fail(options.error().message);
  options->plan.fixed = std::move(*fixed);
  std::vector<std::string> taken = planFiles(arguments, options->output);
  auto json = openOutput(arguments.json, "--json", taken);
  if (!json)
    return fail(json.error().message);
  auto page = openOutput(arguments.report, "--report", taken);
  if (!page)
    return fail(page.error().message);
  auto annotated = openOutput(arguments.annotate, "--annotate", taken);
  if (!annotated)
    return fail(annotated.error().message);

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
  llvm::json::Value parsed = llvm::cantFail(llvm::json::parse(result->account));
  const llvm::json::Object &account = *parsed.getAsObject();
  if (arguments.explain)
    printExplanation(account, llvm::outs());
  printAccount(account, arguments.dryRun ? "" : options->output);
  int code = *json ? finishOutput(**json, result->account + "\n", "--json") : 0;
  if (code == 0 && *page)
    code = finishOutput(**page, report::planPage(account), "--report");
  return code == 0 && *annotated ? writeAnnotated(**annotated, arguments, *result->annotations) : code;
}

} // namespace mpopt
