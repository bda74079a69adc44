#include "Report.h"
#include "Names.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace mpopt::planning {
namespace {

class Reporter {
public:
  Reporter(const Model &model, const search::Solution &solution, const PlanMesh &mesh, Prices &prices)
      : model(model), choice(solution.choice), mesh(mesh), prices(prices), reshards(model.decisions.size(), 0),
        edgesOf(model.decisions.size()) {
    for (const search::Edge &edge : model.problem.edges) {
      edgesOf[edge.from].push_back(&edge);
      edgesOf[edge.to].push_back(&edge);
    }
  }

  PlanReport run(const search::Solution &solution) {
    PlanReport report;
    priceReshards();
    for (auto [index, decision] : llvm::enumerate(model.decisions)) {
      const Option &option = chosen(index);
      report.predictedSeconds += option.computeSeconds + option.commSeconds + reshards[index];
      report.weightBytes += option.weightBytes;
      if (decision.kind == Decision::Operator)
        report.ops.push_back(describe(index));
    }
    // The solver's bound counts tie-breaks and a reshard per use in places; what is reported stays a bound on what is reported.
    report.lowerBoundSeconds = std::min(solution.lowerBound, report.predictedSeconds);
    report.memoryBytes = search::peakUsage(model.problem, choice);
    return report;
  }

private:
  const Option &chosen(int decision) const { return (*model.decisions[decision].options)[choice[decision]]; }

  void priceReshards() {
    llvm::DenseMap<Value, SmallVector<unsigned, 4>> copies;
    for (const Use &use : model.uses) {
      auto [producer, result] = model.producerOf(use.value);
      SmallVector<unsigned, 4> &have = copies[use.value];
      if (have.empty())
        have.push_back(chosen(producer).out[result]);
      unsigned to = chosen(use.user).in[use.operand];
      double least = search::kForbidden;
      for (unsigned from : have)
        least = std::min(least, prices.reshard(from, to, cast<RankedTensorType>(use.value.getType())));
      reshards[use.user] += least;
      have.push_back(to);
    }
  }

  OpReport describe(int index) const {
    const Decision &decision = model.decisions[index];
    const Option &option = chosen(index);
    OpReport report;
    report.node = decision.name;
    report.op = decision.op->getName().getStringRef().str();
    report.sharding = sharding(option);
    report.computeSeconds = option.computeSeconds;
    report.commSeconds = option.commSeconds + reshards[index];
    splitCompute(decision.op, option, report);
    if (auto [other, seconds] = runnerUp(index); other >= 0) {
      report.runnerUp = sharding((*decision.options)[other]);
      report.runnerUpSeconds = seconds;
    }
    return report;
  }

  /// Says what limits the computation; all of it traffic where the strategy cannot be told.
  void splitCompute(Operation *op, const Option &option, OpReport &report) const {
    auto partition = cast<shd::PartitionInterface>(op);
    shd::PartitionRule rule = partition.getPartitionRule();
    auto strategy = shd::getStrategy(rule, prices.all(option.in), prices.all(option.out), mesh.attr);
    if (option.computeSeconds == 0 || failed(strategy))
      return void(report.trafficSeconds = option.computeSeconds);
    shd::OpWork work = partition.getLocalWork(shd::getWorkSizes(rule, *strategy, mesh.attr));
    cost::OpTimes times = prices.times(prices.costOf(op, work, option.in, option.out));
    bool isArithmetic = times.arithmetic > times.traffic;
    report.launchSeconds = std::min(times.launch, option.computeSeconds);
    (isArithmetic ? report.trafficSeconds : report.arithmeticSeconds) = prices.exposed(times);
    (isArithmetic ? report.arithmeticSeconds : report.trafficSeconds) =
        option.computeSeconds - report.launchSeconds - prices.exposed(times);
  }

  std::string sharding(const Option &option) const { return text(prices.all(option.in), prices.all(option.out)); }

  /// The cheapest other option with all neighbours as they are, and how much more it costs. Where the neighbours forbid every other, none.
  std::pair<int, double> runnerUp(int index) const {
    double base = localCost(index, choice[index]), least = search::kForbidden;
    int best = -1;
    for (int other = 0, n = model.decisions[index].options->size(); other < n; ++other) {
      if (other == choice[index])
        continue;
      if (double cost = localCost(index, other); cost < least) {
        least = cost;
        best = other;
      }
    }
    return {best, std::max(0.0, least - base)};
  }

  double localCost(int index, int option) const {
    double cost = model.problem.nodes[index].costs[option];
    for (const search::Edge *edge : edgesOf[index]) {
      const search::Matrix &matrix = model.problem.matrices[edge->matrix];
      cost += edge->from == index ? matrix.at(option, choice[edge->to]) : matrix.at(choice[edge->from], option);
    }
    return cost;
  }

  const Model &model;
  const std::vector<int32_t> &choice;
  const PlanMesh &mesh;
  Prices &prices;
  std::vector<double> reshards;
  std::vector<SmallVector<const search::Edge *, 6>> edgesOf;
};

} // namespace

PlanReport makeReport(const Model &model, const search::Solution &solution, const PlanMesh &mesh, Prices &prices) {
  return Reporter(model, solution, mesh, prices).run(solution);
}

std::string formatReport(const PlanReport &report) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << llvm::formatv(
      "predicted {0:f3} ms a step, no plan below {1:f3} ms; {2:f1} MiB per device, {3:f1} MiB of them weights\n",
      report.predictedSeconds * 1e3, report.lowerBoundSeconds * 1e3, report.memoryBytes / 1048576.0,
      report.weightBytes / 1048576.0);
  for (const OpReport &op : report.ops) {
    os << llvm::formatv("{0} {1}\n    {2}   compute {3:f1} us", op.op, op.node, op.sharding, op.computeSeconds * 1e6);
    if (op.commSeconds > 0)
      os << llvm::formatv(", communication {0:f1} us", op.commSeconds * 1e6);
    os << "\n";
    if (!op.runnerUp.empty())
      os << llvm::formatv("    or {0}   {1:f1} us more\n", op.runnerUp, op.runnerUpSeconds * 1e6);
  }
  return text;
}

} // namespace mpopt::planning
