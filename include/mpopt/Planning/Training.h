#ifndef MPOPT_PLANNING_TRAINING_H
#define MPOPT_PLANNING_TRAINING_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mpopt/Cost/Training/Transformer.h"
#include "mpopt/Search/GraphPlanner.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mpopt::planning {

/// A stretch of the model, or a layer that occurs `count` times. Numbers are those of one copy.
struct TrainingBlock {
  std::string name;     ///< Of the first copy.
  std::string lastName; ///< Of the last one, where there are several.
  int64_t count = 1;
  int64_t operators = 0;
  double parameters = 0;
};

/// A forward graph as training plans see it.
struct TrainingModel {
  std::vector<TrainingBlock> blocks; ///< In the order of the program.
  /// The model as equal transformer layers between an embedding and logits, where it is that.
  std::optional<cost::TransformerShape> transformer;
  std::string notTransformer; ///< Otherwise, why not.
};

/// Finds the layers that repeat in @main, and what a transformer's layer consists of: attention with its projections, a feed-forward block (two
/// matrices, or three with a gate) or experts. A model without logits (an encoder) is taken with logits over its vocabulary, as it
/// has while it is trained. Weights may be absent.
TrainingModel readTrainingModel(mlir::func::FuncOp main);

/// What the work of operators is priced by.
struct WorkPrices {
  const machine::Machine *machine = nullptr;
  const machine::Stack *stack = nullptr;
  machine::DType activationType = machine::DType::F32;
};

/// A forward graph as a chain of blocks between which one value passes, each with the ways to split it. Prices come from the operators' own
/// work: forward, input gradient and weight gradient by their products and bytes, and the traffic that a split needs.
class TrainingGraph : public search::GraphModel {
public:
  virtual int64_t blocks() const = 0;
  virtual std::string name(int64_t block) const = 0;
  virtual std::string operators(int64_t block) const = 0; ///< The operator, or how many there are.
  virtual double parameters(int64_t block) const = 0;
};

/// The batch is the first dimension of the first input, of at least 2. The module, machine and stack must outlive the graph. Errors say what
/// is missing and what to do.
Result<std::unique_ptr<TrainingGraph>> makeTrainingGraph(mlir::func::FuncOp main, const WorkPrices &prices);

} // namespace mpopt::planning

#endif // MPOPT_PLANNING_TRAINING_H
