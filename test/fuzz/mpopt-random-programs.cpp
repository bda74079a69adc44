// Runs random programs by seed, or each factor of each operator.
#include "Check.h"
#include "Context.h"
#include "Factors.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/raw_ostream.h"

using namespace mpopt;
namespace cl = llvm::cl;

static cl::opt<std::string> seeds("seeds", cl::desc("First and past-the-last seed"), cl::value_desc("A:B"),
                                  cl::init("0:1000"));
static cl::opt<std::string> factorsOf("factors", cl::desc("Force each factor of this operator ('all': of each)"),
                                      cl::value_desc("operator"));
static cl::opt<bool> planned("planned", cl::desc("Let the planner choose the shardings"));
static cl::opt<bool> compiled("compiled", cl::desc("Compile the kernels and run the plans, instead of interpreting"));
static cl::opt<int64_t> instances("instances", cl::desc("Programs per operator for --factors"), cl::init(50));
static cl::opt<int64_t> most("failures", cl::desc("Stop after so many failures"), cl::init(1));

namespace {

int64_t failures = 0;

void note(const std::string &problem) {
  if (problem.empty())
    return;
  ++failures;
  llvm::outs() << problem << "\n";
  llvm::outs().flush();
}

int64_t runFactors(mlir::MLIRContext *context) {
  fuzz::FactorCounts counts;
  for (llvm::StringRef name : fuzz::ProgramMaker::names())
    if (failures < most && (factorsOf == "all" || factorsOf == name))
      note(fuzz::forceFactors(context, name, instances, counts));
  llvm::outs() << counts.split << " of " << counts.factors << " factors split\n";
  return counts.runs;
}

int64_t runSeeds(mlir::MLIRContext *context, uint64_t first, uint64_t last) {
  int64_t runs = 0, mostFailures = most; // linking kernels resets the options of this process
  auto run = planned ? fuzz::runPlannedSeed : compiled ? fuzz::runCompiledSeed : fuzz::runSeed;
  for (uint64_t seed = first; seed < last && failures < mostFailures; ++seed, ++runs)
    note(run(context, seed));
  return runs;
}

} // namespace

int main(int argc, char **argv) {
  cl::ParseCommandLineOptions(argc, argv, "Partitions random programs and compares them with the whole ones\n");
  uint64_t first, last;
  auto [from, to] = llvm::StringRef(seeds).split(':');
  if (from.getAsInteger(10, first) || to.getAsInteger(10, last)) {
    llvm::errs() << "mpopt-random-programs: --seeds takes two numbers, A:B\n";
    return 1;
  }
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  fuzz::loadDialects(context);
  int64_t runs = factorsOf.empty() ? runSeeds(&context, first, last) : runFactors(&context);
  llvm::outs() << runs << " programs, " << failures << " failures\n";
  return failures ? 1 : 0;
}
