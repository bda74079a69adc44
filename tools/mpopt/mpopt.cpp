//===- mpopt.cpp - ONNX model in, plan for many devices out ---------------===//

#include "Calibrate.h"
#include "CompileModel.h"
#include "Inspect.h"
#include "Plan.h"
#include "format/FatalErrors.h"
#include "mpopt/Machine/Machine.h"
#include "llvm/Support/ErrorHandling.h"
#include "llvm/Support/raw_ostream.h"
#include <CLI/CLI.hpp>
#include <new>

using namespace mpopt;

int main(int argc, char **argv) {
  runtime::reportFatalErrors("mpopt");
  runtime::reportBadAccessWithoutMemory();
  std::set_new_handler(runtime::failOutOfMemory);
  llvm::install_bad_alloc_error_handler([](void *, const char *, bool) { runtime::failOutOfMemory(); });
  CLI::App app{
      "Compiles an ONNX model into a plan for many devices: chooses how to shard it by a cost model, inserts the\n"
      "collectives, generates code. Run the plan with mpopt-run."};
  app.set_version_flag("--version", "mpopt " MPOPT_VERSION);
  app.name("mpopt");
  app.footer("Example:\n  mpopt bert.onnx --devices 4 --dim batch=1 --dim sequence=128 -o bert.mpplan");
  Arguments arguments;
  addPlanningOptions(app, arguments);
  addCompileOptions(app, arguments);
  PlanArguments planned;
  CLI::App *planCommand = addPlanCommand(app, planned);
  CalibrateArguments calibrated;
  CLI::App *calibrateCommand = addCalibrateCommand(app, calibrated);
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
  if (calibrateCommand->parsed())
    return calibrate(calibrated);
  if (inspectCommand->parsed())
    return inspect(inspected);
  if (planCommand->parsed())
    return plan(planned);
  if (arguments.model.empty())
    return fail("give a model: mpopt MODEL.onnx --devices N; see mpopt --help");
  return compileModel(arguments);
}
