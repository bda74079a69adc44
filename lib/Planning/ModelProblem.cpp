#include "Model.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace mpopt::planning {

static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

void Model::addShared() {
  llvm::DenseMap<Value, int> counts;
  for (const Use &use : uses)
    ++counts[use.value];
  size_t numUses = uses.size();
  for (size_t i = 0; i < numUses; ++i) {
    Value value = uses[i].value;
    if (counts[value] < 2 || shared.contains(value) || isa<BlockArgument>(value) || mesh.size() == 0)
      continue;
    // The sharding in which the value is made comes first: where all cost the same, nothing is brought anywhere.
    auto [producer, result] = producerOf(value);
    llvm::SetVector<unsigned> unique;
    unique.insert_range(columns[column(producer, /*isOut=*/true, result)]);
    for (const Use &use : uses)
      if (use.value == value)
        unique.insert_range(columns[column(use.user, /*isOut=*/false, use.operand)]);
    auto options = std::make_shared<Options>();
    for (unsigned id : unique) {
      Option &option = options->emplace_back();
      option.in = {id};
      option.out = {id};
    }
    shared[value] = add({Decision::Shared, nullptr, value, decisions[producer].name, options});
  }
}

void Model::addNodes() {
  for (const Decision &decision : decisions) {
    search::Node &node = problem.nodes.emplace_back();
    node.name = decision.name;
    for (const Option &option : *decision.options)
      node.costs.push_back(option.computeSeconds + option.commSeconds + option.tieBreak);
  }
}

void Model::addEdges() {
  for (const Use &use : uses) {
    auto [producer, result] = producerOf(use.value);
    if (auto it = shared.find(use.value); it != shared.end())
      std::tie(producer, result) = std::pair(it->second, 0u);
    addEdge(producer, result, use.user, use.operand, use.value);
  }
  for (auto [index, decision] : llvm::enumerate(decisions)) {
    if (decision.kind != Decision::Shared)
      continue;
    auto [producer, result] = producerOf(decision.value);
    addEdge(producer, result, index, 0, decision.value);
  }
}

/// The dimensions, a bit for each, that only tensor axes may split under a forced layout.
uint64_t Model::tensorDims(Value value) const {
  uint64_t dims = 0;
  if (roles)
    for (auto [dim, parts] : llvm::enumerate(roles->ofValue(value)))
      if (llvm::all_of(parts, [](const Segment &part) { return part.role == DimRole::Other; }))
        dims |= uint64_t(1) << dim;
  return dims;
}

/// In a classic layout what tensor axes have split stays split until a product sums over it. Joining it again is as cheap in bytes, and wins
/// by a trifle where products of a small depth are slow; that must be a bargain here, for partial sums are what people expect.
double Model::edgePrice(unsigned from, unsigned to, Value value) {
  constexpr double kJoinFactor = 4;
  double seconds = prices.reshard(from, to, typeOf(value));
  uint64_t dims = tensorDims(value);
  bool joins = false;
  for (auto [dim, parts] :
       llvm::enumerate(llvm::zip_equal(prices.sharding(from).getDims(), prices.sharding(to).getDims())))
    for (StringAttr axis : std::get<0>(parts).getAxes())
      joins |= (dims >> dim & 1) && mesh.roles[mesh.indexOf(axis)] == Role::Tensor &&
               !llvm::is_contained(std::get<1>(parts).getAxes(), axis);
  return joins ? kJoinFactor * seconds : seconds;
}

void Model::addEdge(int from, unsigned result, int to, unsigned operand, Value value) {
  unsigned rows = column(from, /*isOut=*/true, result), cols = column(to, /*isOut=*/false, operand);
  auto [it, isNew] = matrices.try_emplace({rows, cols, value.getType().getAsOpaquePointer(), tensorDims(value)},
                                          problem.matrices.size());
  if (isNew) {
    search::Matrix &matrix = problem.matrices.emplace_back();
    matrix.rows = columns[rows].size();
    matrix.cols = columns[cols].size();
    for (unsigned a : columns[rows])
      for (unsigned b : columns[cols])
        matrix.values.push_back(edgePrice(a, b, value));
  }
  // An operator that uses a value twice in the same way needs it once.
  search::Edge edge{from, to, it->second};
  bool isRepeat = llvm::any_of(ArrayRef(problem.edges).take_back(4), [&](const search::Edge &other) {
    return other.from == edge.from && other.to == edge.to && other.matrix == edge.matrix &&
           decisions[from].kind == Decision::Shared;
  });
  if (!isRepeat)
    problem.edges.push_back(edge);
}

/// The shardings of an operand or result by option, interned.
unsigned Model::column(int decision, bool isOut, unsigned index) {
  std::vector<unsigned> ids;
  for (const Option &option : *decisions[decision].options)
    ids.push_back(isOut ? option.out[index] : option.in[index]);
  auto [it, isNew] = columnIds.try_emplace(ids, columns.size());
  if (isNew)
    columns.push_back(std::move(ids));
  return it->second;
}

/// Weights live always; results from the step that makes them to the last that reads them.
void Model::addMemory() {
  int64_t end = decisions.size();
  llvm::DenseMap<Value, int64_t> lastUse;
  for (const Use &use : uses)
    lastUse[use.value] = use.user + 1;
  for (auto [index, decision] : llvm::enumerate(decisions)) {
    std::vector<search::UsageComponent> &usages = problem.nodes[index].usages;
    auto addResult = [&](Value value, unsigned number) {
      int64_t first = index, last = std::max<int64_t>(index + 1, lastUse.lookup(value));
      search::UsageComponent &usage = usages.emplace_back(search::UsageComponent{{first, last}, {}});
      for (const Option &option : *decision.options)
        usage.usages.push_back(prices.localBytes(option.out[number], typeOf(value)));
    };
    if (decision.kind == Decision::Argument)
      addResult(decision.value, 0);
    if (decision.kind != Decision::Operator)
      continue;
    for (OpResult result : decision.op->getResults())
      addResult(result, result.getResultNumber());
    search::UsageComponent weights{{0, end}, {}};
    for (const Option &option : *decision.options)
      weights.usages.push_back(option.weightBytes);
    search::UsageComponent room{{static_cast<int64_t>(index), static_cast<int64_t>(index) + 1}, {}};
    for (const Option &option : *decision.options)
      room.usages.push_back(option.roomBytes);
    for (search::UsageComponent *usage : {&weights, &room})
      if (llvm::any_of(usage->usages, [](int64_t bytes) { return bytes > 0; }))
        usages.push_back(std::move(*usage));
  }
}

} // namespace mpopt::planning
