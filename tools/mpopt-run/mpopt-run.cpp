// Runs a plan that mpopt has written, on this host's processors.
#include "Arguments.h"
#include "Report.h"
#include "Tensors.h"
#include "format/FatalErrors.h"
#include "format/OutputFile.h"
#include "launch/Session.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <new>
#include <set>
#include <unistd.h>

namespace {

using namespace mpopt;
using namespace mpopt::run;
using runtime::LoadedPlan;
using runtime::Session;
using runtime::Tensor;

constexpr char kFooter[] = R"(
Example:
  mpopt-run bert.mpplan --input input_ids=ids.npy --input attention_mask=mask.npy --output-dir out

Inputs that are not given are random (floats normal; integers and booleans 0 or 1).
Exit code 0 on success, 1 on any error or when a check fails.)";

void addOptions(CLI::App &app, Arguments &args) {
  app.add_option("plan", args.plan, "plan file (.mpplan) that mpopt has written; its weights lie beside it")
      ->required();
  app.add_option("--input", args.inputs, "name=file.npy: an input of the model; repeat for each")->take_all();
  app.add_option("--output-dir", args.outputDir, "folder for the outputs, one .npy file each; made when missing");
  app.add_option("--check", args.checks, "name=file.npy: compare an output with a reference; repeat for each")
      ->take_all();
  app.add_option("--tolerance", args.tolerance, "largest ||output - reference|| / ||reference|| that --check accepts")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--ranks", args.ranks, "how ranks run: one thread or one process each")
      ->capture_default_str()
      ->check(CLI::IsMember({"threads", "processes"}));
  app.add_option("--bind", args.bind,
                 "cores: each rank stays on a core of its own when they take more than half of the host's; none: ranks "
                 "run anywhere")
      ->capture_default_str()
      ->check(CLI::IsMember({"cores", "none"}));
  app.add_option("--repeat", args.repeat, "number of steps, all on the same inputs")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  app.add_option("--timeout", args.timeoutSeconds,
                 "seconds without progress of any rank after which the run is given up")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--seed", args.seed, "seed of random inputs")->capture_default_str();
  app.add_option("--trace", args.traceFile, "write a timeline of the latest steps, for https://ui.perfetto.dev");
  app.add_option("--json", args.jsonFile, "write times, memory, collectives, checks and the plan's account");
  app.add_option("--source-dir", args.sourceDir,
                 "folder of the model's data, for plans without a weights file [the plan's folder]");
  app.footer(kFooter);
}

/// Whether the trace and the report can be written, before a long run.
Status checkFiles(const Arguments &args) {
  for (const std::string &path : {args.traceFile, args.jsonFile}) {
    if (path.empty())
      continue;
    for (const std::string &other : {args.plan, args.traceFile != path ? args.traceFile : std::string()})
      if (runtime::sameFile(path, other))
        return error("'" + path + "' would overwrite '" + other + "'; choose another name");
    if (auto file = runtime::OutputFile::create(path); !file)
      return tl::unexpected(file.error());
  }
  return {};
}

/// Makes the output folder, so that a long run does not end in a folder that cannot be written.
Status prepareFolder(const Arguments &args, const plan::Plan &plan) {
  if (args.outputDir.empty())
    return {};
  std::error_code code;
  std::filesystem::create_directories(args.outputDir, code);
  if (code || !std::filesystem::is_directory(args.outputDir))
    return error("cannot make folder '" + args.outputDir + "': " + (code ? code.message() : "it is no folder"));
  if (access(args.outputDir.c_str(), W_OK) != 0)
    return error("cannot write to folder '" + args.outputDir + "'");
  std::set<std::string> seen;
  for (const plan::Port *port : runtime::items(plan.outputs()))
    if (!seen.insert(fileNameOf(port->name()->str())).second)
      return error("two outputs would both be written to '" + fileNameOf(port->name()->str()) + "'");
  return {};
}

Status setInputs(const Arguments &args, const plan::Plan &plan, Session &session) {
  auto given = readTensors("--input", args.inputs, plan.inputs());
  if (!given)
    return tl::unexpected(given.error());
  std::string random, missing;
  auto ports = runtime::items(plan.inputs());
  for (size_t i = 0; i < ports.size(); ++i) {
    auto found = given->find(ports[i]->name()->str());
    if (found == given->end() && !given->empty())
      missing += (missing.empty() ? "" : ", ") + ports[i]->name()->str();
    if (!missing.empty())
      continue;
    if (found == given->end())
      random += (random.empty() ? "" : ", ") + ports[i]->name()->str();
    Status status = session.setInput(i, found == given->end() ? randomTensor(*ports[i], args.seed, i) : found->second);
    if (!status)
      return status;
  }
  if (!missing.empty())
    return error("--input is missing for " + missing + "; give all inputs, or none for random ones");
  if (!random.empty())
    std::printf("random inputs (seed %llu): %s\n", static_cast<unsigned long long>(args.seed), random.c_str());
  return {};
}

/// Reads the references; they must have the outputs' shapes.
Result<std::map<std::string, Tensor>> readReferences(const Arguments &args, const plan::Plan &plan) {
  auto references = readTensors("--check", args.checks, plan.outputs());
  if (!references)
    return references;
  for (const plan::Port *port : runtime::items(plan.outputs())) {
    auto found = references->find(port->name()->str());
    if (found != references->end() && !std::ranges::equal(found->second.shape, runtime::numbers(port->shape())))
      return error("--check " + found->first + ": the reference is " + runtime::toText(found->second.shape) +
                   ", the output " + runtime::toText(runtime::numbers(port->shape())));
  }
  return references;
}

/// Writes and compares the outputs.
Status finishOutputs(const Arguments &args, const plan::Plan &plan, const Session &session,
                     const std::map<std::string, Tensor> &references, std::map<std::string, CheckResult> &checks) {
  auto ports = runtime::items(plan.outputs());
  for (size_t i = 0; i < ports.size(); ++i) {
    std::string name = ports[i]->name()->str();
    auto reference = references.find(name);
    if (args.outputDir.empty() && reference == references.end())
      continue;
    Tensor output = session.output(i);
    if (!args.outputDir.empty())
      if (Status status = runtime::writeNpy(args.outputDir + "/" + fileNameOf(name), output); !status)
        return status;
    if (reference == references.end())
      continue;
    double difference = relativeError(output, reference->second);
    checks[name] = {difference, difference <= args.tolerance};
    std::printf("%s: relative error %.3g, tolerance %.3g: %s\n", name.c_str(), difference, args.tolerance,
                checks[name].passed ? "ok" : "too large");
  }
  return {};
}

Status execute(const Arguments &args) {
  auto plan = LoadedPlan::open(args.plan, args.sourceDir);
  if (!plan)
    return tl::unexpected(plan.error());
  if (Status status = checkFiles(args); !status)
    return status;
  if (Status status = prepareFolder(args, plan->plan()); !status)
    return status;
  auto references = readReferences(args, plan->plan());
  if (!references)
    return tl::unexpected(references.error());
  auto session = Session::create(*plan, {args.ranks == "processes", args.repeat, args.timeoutSeconds,
                                         !args.traceFile.empty(), /*threadGraceSeconds=*/0.05, args.bind == "cores"});
  if (!session)
    return tl::unexpected(session.error());
  if (Status status = setInputs(args, plan->plan(), *session); !status)
    return status;
  std::fflush(stdout); // ranks in processes must not inherit buffered text
  if (Status status = session->run(); !status)
    return status;

  StepTimes times = StepTimes::of(session->stepSeconds());
  std::printf("%zu ranks, %llu steps: min %.3f ms, median %.3f ms, max %.3f ms per step\n", plan->numRanks(),
              static_cast<unsigned long long>(args.repeat), times.min * 1e3, times.median * 1e3, times.max * 1e3);
  std::map<std::string, CheckResult> checks;
  if (Status status = finishOutputs(args, plan->plan(), *session, *references, checks); !status)
    return status;
  if (!args.traceFile.empty())
    if (Status status = session->writeTrace(args.traceFile); !status)
      return status;
  if (!args.jsonFile.empty())
    if (Status status = runtime::writeFile(args.jsonFile, makeReport(*plan, *session, checks)); !status)
      return status;
  for (const auto &[name, check] : checks)
    if (!check.passed)
      return error("output '" + name + "' differs from its reference by more than the tolerance");
  return {};
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app("Runs a plan that mpopt has written.", "mpopt-run");
  Arguments args;
  addOptions(app, args);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &failure) {
    if (failure.get_exit_code() == 0)
      return app.exit(failure);
    std::fprintf(stderr, "mpopt-run: error: %s (see --help)\n", failure.what());
    return 1;
  }
  runtime::reportFatalErrors("mpopt-run");
  Status status;
  try {
    status = execute(args);
  } catch (const std::bad_alloc &) {
    runtime::failOutOfMemory();
  }
  if (!status)
    std::fprintf(stderr, "mpopt-run: error: %s\n", status.error().message.c_str());
  return status ? 0 : 1;
}
