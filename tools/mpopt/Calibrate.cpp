#include "mpopt/Machine/Calibrate.h"
#include "Arguments.h"
#include "Calibrate.h"
#include "Diagnostics.h"
#include "llvm/Support/raw_ostream.h"

namespace mpopt {

CLI::App *addCalibrateCommand(CLI::App &app, CalibrateArguments &arguments) {
  CLI::App *command =
      app.add_subcommand("calibrate", "Measures this machine and keeps the result as machine 'host', or 'cuda'");
  command->add_option("--device", arguments.device, "What to measure: this host, or one of its NVIDIA GPUs (cuda)")
      ->check(CLI::IsMember({"host", "cuda"}))
      ->capture_default_str();
  command
      ->add_option("-o,--output", arguments.output,
                   "Writes the machine file there, instead of where --machine host (or cuda) finds it")
      ->type_name("FILE");
  command->add_option("--gpu", arguments.gpu, "Which GPU, by the driver's numbers from 0")
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--links-from", arguments.linksFrom,
                   "Machine whose links the file takes, as far as they cannot be measured here; without, one device")
      ->type_name("FILE|NAME");
  command->add_option("--cuda-libraries", arguments.libraries, "Folder to look into first for CUDA's libraries")
      ->type_name("FOLDER");
  command->add_option("--products", arguments.products, "Writes each matrix product and its seconds (CSV)")
      ->type_name("FILE");
  command->add_option("--against", arguments.against, "Also says how well that machine's file prices the products")
      ->type_name("FILE|NAME");
  return command;
}

static int calibrateHost(const std::string &path) {
  auto machine = machine::calibrateHost();
  if (!machine)
    return fail(machine.error().message);
  if (Status written = machine::writeFile(*machine, path); !written)
    return fail(written.error().message);
  llvm::outs() << "wrote " << path << "\n";
  return 0;
}

int calibrate(const CalibrateArguments &arguments) {
  std::string path = arguments.output.empty() ? machine::calibratedPath(arguments.device) : arguments.output;
  if (path.empty())
    return fail("neither HOME nor XDG_CACHE_HOME is set; say where to write with --output");
  if (arguments.device == "host")
    return calibrateHost(path);
  Progress progress;
  auto account = calibrateGpu(arguments, path, [&](const std::string &phase) { progress.begin(phase); });
  progress.clear();
  if (!account)
    return fail(account.error().message);
  llvm::outs() << *account;
  return 0;
}

} // namespace mpopt
