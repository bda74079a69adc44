#include "Check.h"
#include "RunCompiled.h"
#include "Shardings.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Pass/PassManager.h"
#include "mpopt/Partition/Passes.h"
#include "mpopt/Planning/Planning.h"
#include <cmath>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::fuzz;

/// Relative to a tensor's largest element, in double arithmetic.
static constexpr double kTolerance = 1e-9;

static std::string partitionAndCompare(Program &program) {
  interp::Options options{/*keepDoubles=*/true};
  auto expected = interp::interpret(*program.module, program.inputs, options);
  if (failed(expected))
    return "the program does not run";
  Program local = program.clone();
  PassManager manager(local.module->getContext());
  partition::buildPartitionPipeline(manager);
  if (failed(manager.run(*local.module)))
    return "partitioning failed";
  auto actual = interp::interpretPartitioned(*local.module, program.inputs, options);
  if (failed(actual))
    return "the partitioned program does not run";
  for (size_t i = 0; i < expected->size(); ++i)
    if (std::string difference = interp::firstDifference((*expected)[i], (*actual)[i], kTolerance); !difference.empty())
      return "output " + std::to_string(i) + ", " + difference;
  return "";
}

/// How far apart two results are, relative to the largest element.
static double distance(const interp::Tensor &expected, const interp::Tensor &actual) {
  double scale = 1, most = 0;
  for (double value : expected.floats)
    scale = std::max(scale, std::fabs(value));
  for (int64_t i = 0; i < expected.size(); ++i)
    most = std::max(most, std::fabs(expected.number(i) - actual.number(i)));
  return most / scale;
}

static std::string compileAndCompare(Program &program) {
  constexpr double kLeast = 2e-5, kRoom = 30, kMost = 1e-2;
  Program single = inSinglePrecision(program);
  auto exact = interp::interpret(*program.module, program.inputs, {/*keepDoubles=*/true});
  auto expected = interp::interpret(*single.module, single.inputs);
  if (failed(exact) || failed(expected))
    return "the program does not run";
  PassManager manager(single.module->getContext());
  partition::buildPartitionPipeline(manager);
  if (failed(manager.run(*single.module)))
    return "partitioning failed";
  auto actual = runCompiled(single);
  if (failed(actual))
    return "the compiled program does not run";
  for (size_t i = 0; i < expected->size(); ++i) {
    double tolerance = std::max(kLeast, kRoom * distance((*exact)[i], (*expected)[i]));
    if (tolerance > kMost) // so ill-conditioned that any result is right
      continue;
    if (std::string difference = interp::firstDifference((*expected)[i], (*actual)[i], tolerance); !difference.empty())
      return "output " + std::to_string(i) + ", " + difference;
  }
  return "";
}

/// What `compare` finds, with what was diagnosed meanwhile.
static std::string withDiagnostics(Program &program, Checker compare) {
  std::string diagnostics;
  ScopedDiagnosticHandler handler(program.module->getContext(), [&](Diagnostic &diagnostic) {
    diagnostics += diagnostic.str() + "\n";
    return success();
  });
  std::string problem = compare(program);
  return problem.empty() ? problem : problem + "\n" + diagnostics;
}

std::string mpopt::fuzz::check(Program &program) { return withDiagnostics(program, partitionAndCompare); }
std::string mpopt::fuzz::checkCompiled(Program &program) { return withDiagnostics(program, compileAndCompare); }

//===----------------------------------------------------------------------===//
// Reduction
//===----------------------------------------------------------------------===//

namespace {

class Reducer {
public:
  Reducer(Program &program, Checker check)
      : best(program.clone()), check(check), mesh(shd::getMesh(*best.module).getMesh()) {}

  Program run() {
    for (bool changed = true; changed;) {
      changed = dropOutputs();
      changed |= cutOps();
      changed |= replicateAll();
    }
    return std::move(best);
  }

private:
  /// Takes `candidate` when it still fails.
  bool keepIfFailing(Program &&candidate) {
    if (failed(verify(candidate)) || check(candidate).empty())
      return false;
    best = std::move(candidate);
    return true;
  }
  static LogicalResult verify(Program &program) { return success(program.main().getNumResults() > 0); }

  bool dropOutputs() {
    bool changed = false;
    for (int64_t i = static_cast<int64_t>(best.main().getNumResults()) - 1; i >= 0; --i) {
      Program next = best.clone();
      func::FuncOp main = next.main();
      llvm::BitVector drop(main.getNumResults());
      drop.set(i);
      main.getBody().front().getTerminator()->eraseOperand(i);
      (void)main.eraseResults(drop);
      eraseDead(next);
      changed |= keepIfFailing(std::move(next));
    }
    return changed;
  }

  static void eraseDead(Program &program) {
    func::FuncOp main = program.main();
    SmallVector<Operation *> ops;
    for (Operation &op : main.getBody().front().without_terminator())
      ops.push_back(&op);
    for (Operation *op : llvm::reverse(ops))
      if (op->use_empty())
        op->erase();
    for (int64_t i = static_cast<int64_t>(main.getNumArguments()) - 1; i >= 0; --i)
      if (main.getArgument(i).use_empty()) {
        (void)main.eraseArgument(i);
        program.inputs.erase(program.inputs.begin() + i);
      }
  }

  static Operation *nthOp(Program &program, int64_t n) {
    return &*std::next(program.main().getBody().front().begin(), n);
  }

  int64_t countOps() { return static_cast<int64_t>(best.main().getBody().front().getOperations().size()) - 1; }

  bool cutOps() {
    bool changed = false;
    for (int64_t n = countOps() - 1; n >= 0; --n)
      if (n < countOps())
        changed |= cutOp(n);
    return changed;
  }

  /// Results of operation n become inputs with the values and, unless partial, the shardings that they had.
  bool cutOp(int64_t n) {
    Program next = best.clone();
    Operation *op = nthOp(next, n);
    auto values = valuesOf(op, next);
    if (failed(values))
      return false;
    func::FuncOp main = next.main();
    for (auto [i, result] : llvm::enumerate(op->getResults())) {
      unsigned at = main.getNumArguments();
      auto sharding = cast<shd::ShardingAttr>(op->getAttrOfType<ArrayAttr>(shd::kOutAttr)[i]);
      (void)main.insertArgument(at, result.getType(), {}, op->getLoc());
      if (sharding.getUnreduced().empty())
        main.setArgAttr(at, shd::kShardingAttr, sharding);
      else
        replicateArg(main, at);
      main.setArgAttr(at, "nn.name", StringAttr::get(op->getContext(), "cut" + std::to_string(at)));
      result.replaceAllUsesWith(main.getArgument(at));
      next.inputs.push_back((*values)[i]);
    }
    eraseDead(next);
    return keepIfFailing(std::move(next));
  }

  /// What the results of an operation are, by making them the outputs of a copy.
  static FailureOr<interp::Tensors> valuesOf(Operation *op, Program &program) {
    IRMapping mapping;
    OwningOpRef<ModuleOp> copy = cast<ModuleOp>(program.module->getOperation()->clone(mapping));
    Operation *end = cast<func::FuncOp>(copy->lookupSymbol("main")).getBody().front().getTerminator();
    end->setOperands(mapping.lookup(op)->getResults());
    return interp::interpret(*copy, program.inputs, {/*keepDoubles=*/true});
  }

  bool replicateAll() {
    bool changed = false;
    auto attempt = [&](auto change) {
      Program next = best.clone();
      if (change(next))
        changed |= keepIfFailing(std::move(next));
    };
    for (int64_t n = 0; n < countOps(); ++n)
      attempt([&](Program &next) { return replicateOp(nthOp(next, n), mesh); });
    for (unsigned i = 0; i < best.main().getNumArguments(); ++i)
      attempt([&](Program &next) { return replicateArg(next.main(), i); });
    for (unsigned i = 0; i < best.main().getNumResults(); ++i)
      attempt([&](Program &next) { return replicateResult(next.main(), i); });
    return changed;
  }

  Program best;
  Checker check;
  shd::MeshAttr mesh;
};

} // namespace

std::string mpopt::fuzz::describeFailure(Program &program, const std::string &problem, Checker check) {
  Program reduced = reduce(program, check);
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << problem << "\nreduced program: " << check(reduced) << "\n";
  reduced.module->print(stream);
  for (auto [i, input] : llvm::enumerate(reduced.inputs)) {
    stream << "input " << i << ":";
    for (int64_t j = 0; j < input.size(); ++j)
      stream << " " << input.number(j);
    stream << "\n";
  }
  return text;
}

Program mpopt::fuzz::reduce(Program &program, Checker check) { return Reducer(program, check).run(); }

static std::string runSeedWith(MLIRContext *context, uint64_t seed, Limits limits, Checker check) {
  Random random(seed * 2654435761u + 1);
  Program program = ProgramMaker(context, seed, limits).make(random.between(3, 12));
  if (program.main().getNumResults() == 0)
    return "";
  shd::MeshAttr mesh = addMesh(*program.module, randomMesh(random));
  shardAtRandom(program, mesh, random);
  std::string problem = check(program);
  return problem.empty() ? problem : "seed " + std::to_string(seed) + ": " + describeFailure(program, problem, check);
}

std::string mpopt::fuzz::runSeed(MLIRContext *context, uint64_t seed) {
  return runSeedWith(context, seed, kForDoubles, check);
}

std::string mpopt::fuzz::runCompiledSeed(MLIRContext *context, uint64_t seed) {
  return runSeedWith(context, seed, kForKernels, checkCompiled);
}

/// A machine whose devices are so slow that small programs are worth splitting, with links of any speed.
static machine::Machine slowMachine(Random &random) {
  auto loaded = machine::load("test-host");
  machine::Machine slow = *loaded;
  for (machine::DeviceType &device : slow.devices) {
    device.launchSeconds = 0;
    device.vectorFlops = device.memoryBandwidth = device.cacheBandwidth = 1e4;
  }
  for (machine::Link &link : slow.links) {
    link.latencySeconds = 1e-9;
    link.bandwidth = link.totalBandwidth = std::pow(10.0, static_cast<double>(random.between(2, 8)));
  }
  return slow;
}

std::string mpopt::fuzz::runPlannedSeed(MLIRContext *context, uint64_t seed) {
  Random random(seed * 2654435761u + 2);
  Program program = ProgramMaker(context, seed).make(random.between(3, 12));
  if (program.main().getNumResults() == 0)
    return "";
  machine::Machine slow = slowMachine(random);
  planning::PlanOptions options;
  options.machine = &slow;
  options.devices = random.between(2, 8);
  planning::PlanReport planReport;
  std::string diagnostics;
  {
    ScopedDiagnosticHandler handler(context, [&](Diagnostic &diagnostic) {
      diagnostics += diagnostic.str() + "\n";
      return success();
    });
    if (failed(planning::planModule(*program.module, options, planReport)))
      return "seed " + std::to_string(seed) + ": no plan\n" + diagnostics;
  }
  std::string problem = check(program);
  return problem.empty() ? problem : "planned seed " + std::to_string(seed) + ": " + describeFailure(program, problem);
}
