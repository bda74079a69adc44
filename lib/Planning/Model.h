#ifndef MPOPT_LIB_PLANNING_MODEL_H
#define MPOPT_LIB_PLANNING_MODEL_H

#include "PinBoard.h"
#include "Prices.h"
#include "Roles.h"
#include "Strategies.h"
#include "Units.h"
#include "mpopt/Search/Problem.h"
#include <functional>
#include <memory>

namespace mpopt::planning {

/// One way to carry out a decision. Shardings are numbers of Prices.
struct Option {
  llvm::SmallVector<unsigned, 4> in;
  llvm::SmallVector<unsigned, 2> out;
  double computeSeconds = 0, commSeconds = 0;
  int64_t weightBytes = 0; ///< What the operator's init-time operands take on one device.
  int64_t roomBytes = 0;   ///< What it needs beside operands and results while it works.
  double tieBreak = 0;     ///< What the choice goes by beside its cost.
};

/// The options of a decision; equal operators share them.
using Options = std::vector<Option>;

/// A node of the search problem.
struct Decision {
  enum Kind {
    Argument, ///< How an input arrives, or, with an operation, what another stage sends.
    Operator,
    Result, ///< How an output leaves, or what goes to another stage.
    Shared  ///< The sharding into which a value with several users is brought once, for all that are served by it.
  } kind;
  mlir::Operation *op = nullptr;
  mlir::Value value; ///< The input, output or shared value.
  std::string name;
  std::shared_ptr<const Options> options;
  unsigned result = 0; ///< Number of the output.
};

/// Use of a run-time value: operand number `operand` of decision `user`.
struct Use {
  int user;
  unsigned operand;
  mlir::Value value;
};

/// A stage of a pipeline, seen from inside.
struct StageView {
  int64_t number = 0;
  /// Seconds that a device takes for so many bytes of what a coll.recv gets.
  std::function<double(mlir::Operation *recv, int64_t bytes)> receiveSeconds;
  StageInputs inputs;
};

/// @main as a search problem: nodes and decisions have the same numbers. Init-time values are free and take part only by the memory of
/// their slices.
class Model {
public:
  Model(mlir::func::FuncOp main, const PlanMesh &mesh, Prices &prices, PinBoard &pins)
      : main(main), mesh(mesh), prices(prices), pins(pins) {}

  /// Where @main is a stage of its own. Whether roles can be used at all is a question to all stages, then, and not asked here.
  std::optional<StageView> stage;

  /// Emits an error when an operator has no rule, a pin or role cannot be met.
  llvm::LogicalResult build();

  std::vector<Decision> decisions; ///< In program order.
  std::vector<Use> uses;           ///< Of operators and results, in program order.
  search::Problem problem;         ///< Without a memory limit.

  /// Decision and result number that make a run-time value.
  std::pair<int, unsigned> producerOf(mlir::Value value) const { return producers.lookup(value); }
  bool isRunTime(mlir::Value value) const { return producers.contains(value); }
  /// What a value's dimensions mean; empty where there are no roles, or it is not known.
  llvm::SmallVector<Segments> meaningOf(mlir::Value value) const {
    return roles ? roles->ofValue(value) : llvm::SmallVector<Segments>();
  }

private:
  llvm::LogicalResult addArguments();
  llvm::LogicalResult addOperator(mlir::Operation *op);
  void addSend(mlir::Operation *op);
  void addRecv(mlir::Operation *op);
  llvm::LogicalResult addResults(mlir::Operation *terminator);
  void addShared();
  void addNodes();
  void addEdges();
  double edgePrice(unsigned from, unsigned to, mlir::Value value);
  void addEdge(int from, unsigned result, int to, unsigned operand, mlir::Value value);
  uint64_t tensorDims(mlir::Value value) const;
  void addMemory();
  llvm::LogicalResult checkRoles();
  int add(Decision decision);

  llvm::SmallVector<bool> tensorFactorsOf(mlir::Operation *op, const shd::PartitionRule &rule) const;
  RoleDemands demandsOf(mlir::Operation *op, const shd::PartitionRule &rule) const;
  std::shared_ptr<const Options> optionsOf(mlir::Operation *op, const shd::PartitionRule &rule,
                                           const RoleDemands &demands);
  double evenGain(shd::PartitionInterface op, const shd::PartitionRule &rule, shd::FactorSharding strategy,
                  const Option &option) const;
  std::shared_ptr<const Options> moveOptions(mlir::Value value, bool isInput);
  void noteRoles(const shd::PartitionRule &rule, const std::vector<Candidate> &candidates);
  llvm::FailureOr<std::shared_ptr<const Options>> pinned(std::shared_ptr<const Options> options, mlir::Operation *op);
  std::shared_ptr<const Options> annotated(std::shared_ptr<const Options> options, mlir::Operation *op);
  std::optional<std::pair<bool, unsigned>> placeOf(const NodePin &pin, mlir::Operation *op) const;
  bool meets(const Pin &pin, unsigned sharding) const;
  static std::shared_ptr<const Options> filtered(std::shared_ptr<const Options> options,
                                                 llvm::function_ref<bool(const Option &)> keep);
  unsigned column(int decision, bool isOut, unsigned index);

  mlir::func::FuncOp main;
  const PlanMesh &mesh;
  Prices &prices;
  PinBoard &pins;
  std::optional<DimRoles> roles;
  std::optional<DimUnits> units;
  std::array<bool, kRoles.size()> roleUsed{};
  bool modelHasExperts = false;
  llvm::DenseMap<mlir::Value, std::pair<int, unsigned>> producers;
  llvm::DenseMap<mlir::Value, int> shared;
  llvm::StringMap<mlir::Operation *> lastOfNode; ///< Looked up only.
  /// Looked up only, never walked.
  std::map<std::vector<uintptr_t>, std::shared_ptr<const Options>> cache;
  std::map<std::vector<unsigned>, unsigned> columnIds;
  std::vector<std::vector<unsigned>> columns;
  std::map<std::tuple<unsigned, unsigned, const void *, uint64_t>, int> matrices;
};

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_MODEL_H
