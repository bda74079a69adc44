//===- mpopt-solve.cpp - Solves a search problem of the contest's format --===//

#include "format/OutputFile.h"
#include "mpopt/Search/ContestFormat.h"
#include "mpopt/Search/Solver.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <unistd.h>

using namespace mpopt;
using namespace mpopt::search;

namespace {

struct Arguments {
  std::string problem, solution;
  double seconds = 10;
  uint64_t seed = 1;
  int threads = 1;
};

int fail(const std::string &message) {
  std::fprintf(stderr, "mpopt-solve: error: %s\n", message.c_str());
  return 1;
}

void addOptions(CLI::App &app, Arguments &arguments) {
  app.add_option("problem", arguments.problem,
                 "Problem in the JSON of the ASPLOS 2025 contest on intra-operator parallelism; .gz is gunzipped")
      ->type_name("PROBLEM.json[.gz]")
      ->required();
  app.add_option("-t,--time-limit", arguments.seconds, "Time for everything, reading included, in seconds")
      ->type_name("S")
      ->check(CLI::Range(0.01, 1e6))
      ->capture_default_str();
  app.add_option("--seed", arguments.seed, "Seed of the random choices")->type_name("N")->capture_default_str();
  app.add_option("-j,--threads", arguments.threads, "Threads that search beside one another")
      ->type_name("N")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("-o,--solution", arguments.solution,
                 "Writes the answer as JSON: cost, lower bound, peak, strategy per node")
      ->type_name("FILE");
}

std::atomic<bool> stop = false;

/// The first signal ends the search; another one ends the program.
extern "C" void stopSearch(int) { stop.store(true); }

void catchSignals() {
  struct sigaction action = {};
  action.sa_handler = stopSearch;
  action.sa_flags = int(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

double gapPercent(double cost, double bound) {
  return cost == bound ? 0 : 100 * (cost - bound) / std::max(std::abs(cost), 1e-300);
}

/// What is known so far, on one line that is written over.
void showProgress(const Progress &progress) {
  if (progress.cost == kForbidden)
    std::fprintf(stderr, "\r\033[Kno plan yet, lower bound %.6g", progress.lowerBound);
  else
    std::fprintf(stderr, "\r\033[Kcost %.10g, lower bound %.10g, gap %.3f %%", progress.cost, progress.lowerBound,
                 gapPercent(progress.cost, progress.lowerBound));
}

std::string toJson(const Solution &solution) {
  nlohmann::json json = {{"cost", solution.cost},
                         {"lower_bound", solution.lowerBound},
                         {"peak", solution.peak},
                         {"optimal", solution.optimal},
                         {"solution", solution.choice}};
  return json.dump() + "\n";
}

void print(const Problem &problem, const Solution &solution, double seconds) {
  std::printf("cost         %.17g\n", solution.cost);
  std::printf("lower bound  %.17g\n", solution.lowerBound);
  std::printf("gap          %.4f %%%s\n", gapPercent(solution.cost, solution.lowerBound),
              solution.optimal ? " (optimal)" : "");
  std::printf("peak memory  %lld", static_cast<long long>(solution.peak));
  if (problem.usageLimit)
    std::printf(" of %lld", static_cast<long long>(*problem.usageLimit));
  std::printf("\ntime         %.2f s\n", seconds);
}

Result<Solution> run(const Problem &problem, const Arguments &arguments, double spent) {
  AnytimeOptions options;
  // A little is left for checking and writing the answer.
  options.seconds = std::max(0.01, arguments.seconds - spent - std::min(0.2, 0.02 * arguments.seconds));
  options.threads = arguments.threads;
  options.seed = arguments.seed;
  options.stop = &stop;
  bool terminal = isatty(STDERR_FILENO);
  if (terminal)
    options.onProgress = showProgress;
  Result<Solution> solution = solveAnytime(problem, options);
  if (terminal)
    std::fputs("\r\033[K", stderr);
  if (!solution)
    return solution;
  if (Result<double> cost = verify(problem, *solution); !cost)
    return error("the solver's answer is wrong: " + cost.error().message);
  return solution;
}

} // namespace

int main(int argc, char **argv) {
  auto start = std::chrono::steady_clock::now();
  auto spent = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  CLI::App app(
      "Chooses one strategy per node so that the summed cost is least and memory fits at all times.\n"
      "Stops at the time limit, when the answer is known to be optimal, or on Ctrl-C, with the best answer so far.");
  app.set_version_flag("--version", "mpopt-solve " MPOPT_VERSION);
  Arguments arguments;
  addOptions(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &parseError) {
    if (parseError.get_exit_code() == 0)
      return app.exit(parseError);
    return fail(std::string(parseError.what()) + "; see mpopt-solve --help");
  }
  catchSignals();
  // Opened first, so that no search is in vain.
  std::optional<runtime::OutputFile> output;
  if (!arguments.solution.empty()) {
    auto file = runtime::OutputFile::create(arguments.solution);
    if (!file)
      return fail(file.error().message);
    output = std::move(*file);
  }
  Result<Problem> problem = readContestFile(arguments.problem);
  if (!problem)
    return fail(problem.error().message);
  Result<Solution> solution = run(*problem, arguments, spent());
  if (!solution)
    return fail(solution.error().message);
  if (output) {
    output->write(toJson(*solution));
    if (Status written = output->commit(); !written)
      return fail(written.error().message);
  }
  print(*problem, *solution, spent());
  std::fflush(stdout);
  std::_Exit(0); // the time limit holds for the whole run, and freeing a large problem takes a while
}
