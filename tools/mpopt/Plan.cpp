#include "Plan.h"
#include "CompileModel.h"

namespace mpopt {

CLI::App *addPlanCommand(CLI::App &app, PlanArguments &arguments) {
  CLI::App *command = app.add_subcommand(
      "plan", "Plans and accounts without writing a plan: what was decided, what it costs; weights may be absent");
  addPlanningOptions(*command, arguments.common);
  addSweepOptions(*command, arguments.sweep);
  addTrainOptions(*command, arguments.train);
  command
      ->add_option("--annotate", arguments.common.annotate,
                   "Writes the model with the plan as multi-device annotations (ONNX IR 11)")
      ->type_name("OUT.onnx");
  command->footer(
      "Example:\n  mpopt plan bert.onnx --devices 8 --machine h100 --dim batch=1 --dim sequence=128 --explain");
  return command;
}

int plan(PlanArguments arguments) {
  if (arguments.common.model.empty())
    return fail("give a model: mpopt plan MODEL.onnx --devices N; see mpopt plan --help");
  if (!arguments.sweep.axes.empty() && !arguments.common.annotate.empty())
    return fail("--sweep makes many plans, --annotate writes one; give one of the two");
  if (!arguments.sweep.axes.empty())
    return sweep(arguments.common, arguments.sweep, arguments.train);
  if (arguments.train.train)
    return planTrain(arguments.common, arguments.train);
  arguments.common.dryRun = true;
  return compileModel(arguments.common);
}

} // namespace mpopt
