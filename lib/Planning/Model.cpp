#include "Model.h"
#include "Fusing.h"
#include "Names.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"

using namespace mlir;

namespace mpopt::planning {
namespace {

/// Seconds per mesh axis in use by which the less split of two equal options wins; below any difference that counts.
constexpr double kTieSeconds = 1e-10;

StringRef nameAttr(DictionaryAttr attrs) {
  auto name = attrs ? attrs.getAs<StringAttr>("nn.name") : nullptr;
  return name ? name.getValue() : StringRef();
}

RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

bool isMatrix(Value value) {
  return llvm::count_if(typeOf(value).getShape(), [](int64_t size) { return size > 1; }) >= 2;
}

/// Whether a product is worth splitting: the scores of a router or a few labels are not.
bool isLargeProduct(const shd::OpWork &work) {
  constexpr int64_t kLeastSize = 16;
  return work.matmul && work.matmul->n >= kLeastSize && work.matmul->k >= kLeastSize;
}

/// Whether tensor axes must split an operator: matrix products, convolutions, attention, and tables that are looked up.
bool wantsTensorSplit(Operation *op, const shd::PartitionRule &rule) {
  if (isa<nn::AttentionOp, nn::ConvOp, nn::ConvTransposeOp>(op))
    return true;
  if (isa<nn::GatherOp>(op))
    return nn::isInitTime(op->getOperand(0)) && isMatrix(op->getOperand(0));
  SmallVector<int64_t> sizes = llvm::map_to_vector(rule.factors, [](const shd::Factor &factor) { return factor.size; });
  return isLargeProduct(cast<shd::PartitionInterface>(op).getLocalWork(sizes));
}

double tieBreak(const shd::FactorSharding &strategy, const PlanMesh &mesh) {
  double ties = 0;
  auto count = [&](ArrayRef<StringAttr> axes) {
    for (StringAttr axis : axes)
      ties += 1 + 0.01 * mesh.indexOf(axis);
  };
  for (ArrayRef<StringAttr> axes : strategy.axes)
    count(axes);
  count(strategy.unreduced);
  return ties * kTieSeconds;
}

/// Drops options that another one with the same run-time shardings beats both in time and in memory.
void dropDominated(Options &options, ArrayRef<bool> operandIsRunTime) {
  std::map<std::vector<unsigned>, SmallVector<size_t, 2>> kept;
  std::vector<bool> drop(options.size());
  for (auto [index, option] : llvm::enumerate(options)) {
    std::vector<unsigned> key(option.out.begin(), option.out.end());
    for (auto [isRunTime, id] : llvm::zip_equal(operandIsRunTime, option.in))
      if (isRunTime)
        key.push_back(id);
    auto beats = [&](const Option &a, const Option &b) {
      return a.computeSeconds + a.commSeconds + a.tieBreak <= b.computeSeconds + b.commSeconds + b.tieBreak &&
             a.weightBytes <= b.weightBytes && a.roomBytes <= b.roomBytes;
    };
    SmallVector<size_t, 2> &rivals = kept[key];
    drop[index] = llvm::any_of(rivals, [&](size_t rival) { return beats(options[rival], option); });
    if (drop[index])
      continue;
    llvm::erase_if(rivals, [&](size_t rival) { return drop[rival] = beats(option, options[rival]); });
    rivals.push_back(index);
  }
  size_t index = 0;
  std::erase_if(options, [&](const Option &) { return drop[index++]; });
}

std::vector<uintptr_t> cacheKey(Operation *op, const RoleDemands &demands) {
  std::vector<uintptr_t> key{reinterpret_cast<uintptr_t>(op->getName().getAsOpaquePointer()),
                             reinterpret_cast<uintptr_t>(op->getAttrDictionary().getAsOpaquePointer()),
                             static_cast<uintptr_t>(demands.needsTensor), op->getNumOperands()};
  for (Value operand : op->getOperands()) {
    key.push_back(reinterpret_cast<uintptr_t>(operand.getType().getAsOpaquePointer()));
    key.push_back(nn::isInitTime(operand));
  }
  for (OpOperand &operand : op->getOpOperands())
    key.push_back(isFused(operand));
  for (OpResult result : op->getResults()) {
    key.push_back(reinterpret_cast<uintptr_t>(result.getType().getAsOpaquePointer()));
    key.push_back(isFused(result));
  }
  key.insert(key.end(), demands.parts.begin(), demands.parts.end());
  for (const Segments &segments : demands.factors) {
    key.push_back(segments.size());
    for (const Segment &segment : segments)
      key.insert(key.end(), {static_cast<uintptr_t>(segment.size), static_cast<uintptr_t>(segment.role)});
  }
  return key;
}

} // namespace

LogicalResult Model::build() {
  if (mesh.hasRoles())
    roles.emplace(main, stage ? stage->inputs : StageInputs());
  units.emplace(main);
  for (Operation &op : main.getBody().front().without_terminator())
    if (!isa<coll::SendOp, coll::RecvOp>(op))
      lastOfNode[nodeName(op.getLoc())] = &op;
  if (failed(addArguments()))
    return failure();
  for (Operation &op : main.getBody().front().without_terminator())
    if (failed(addOperator(&op)))
      return failure();
  if (failed(addResults(main.getBody().front().getTerminator())) || failed(checkRoles()))
    return failure();
  addShared();
  addNodes();
  addEdges();
  addMemory();
  return success();
}

int Model::add(Decision decision) {
  decisions.push_back(std::move(decision));
  return decisions.size() - 1;
}

LogicalResult Model::addArguments() {
  for (BlockArgument argument : main.getArguments()) {
    StringRef name = nameAttr(main.getArgAttrDict(argument.getArgNumber()));
    std::shared_ptr<const Options> options = moveOptions(argument, /*isInput=*/true);
    if (const Pin *pin = pins.find(name, typeOf(argument).getRank()))
      options = filtered(options, [&](const Option &option) { return meets(*pin, option.out[0]); });
    if (options->empty())
      return main.emitError() << "the pin of input '" << name
                              << "' cannot be met: its dimensions cannot be split that way";
    producers[argument] = {add({Decision::Argument, nullptr, argument, name.str(), options}), 0};
  }
  return success();
}

LogicalResult Model::addResults(Operation *terminator) {
  for (OpOperand &operand : terminator->getOpOperands()) {
    if (!isRunTime(operand.get()))
      continue;
    StringRef name = nameAttr(main.getResultAttrDict(operand.getOperandNumber()));
    std::shared_ptr<const Options> options = moveOptions(operand.get(), /*isInput=*/false);
    if (const Pin *pin = pins.find(name, typeOf(operand.get()).getRank()))
      options = filtered(options, [&](const Option &option) { return meets(*pin, option.in[0]); });
    if (options->empty())
      return main.emitError() << "the pin of output '" << name
                              << "' cannot be met: its dimensions cannot be split that way";
    int user = add({Decision::Result, terminator, operand.get(), name.str(), options, operand.getOperandNumber()});
    uses.push_back({user, 0, operand.get()});
  }
  return success();
}

void Model::addSend(Operation *op) {
  int user = add({Decision::Result, op, op->getOperand(0), nodeName(op->getLoc()).str(),
                  moveOptions(op->getOperand(0), /*isInput=*/false)});
  uses.push_back({user, 0, op->getOperand(0)});
}

void Model::addRecv(Operation *op) {
  Value value = op->getResult(0);
  auto options = std::make_shared<Options>(*moveOptions(value, /*isInput=*/true));
  for (Option &option : *options)
    if (stage)
      option.commSeconds = stage->receiveSeconds(op, prices.localBytes(option.out[0], typeOf(value)));
  producers[value] = {add({Decision::Argument, op, value, nodeName(op->getLoc()).str(), options}), 0};
}

LogicalResult Model::addOperator(Operation *op) {
  if (isa<coll::SendOp>(op))
    return addSend(op), success();
  if (isa<coll::RecvOp>(op))
    return addRecv(op), success();
  auto partition = dyn_cast<shd::PartitionInterface>(op);
  if (!partition)
    return op->emitError("has no partition rule, so no plan can be made for it");
  bool isInit = llvm::all_of(op->getResults(), [](Value result) { return nn::isInitTime(result); });
  if (isInit)
    return success();
  shd::PartitionRule rule = partition.getPartitionRule();
  RoleDemands demands = demandsOf(op, rule);
  std::shared_ptr<const Options> &cached = cache[cacheKey(op, demands)];
  if (!cached)
    cached = optionsOf(op, rule, demands);
  auto options = pinned(cached, op);
  if (failed(options))
    return failure();
  int decision = add({Decision::Operator, op, {}, nodeName(op->getLoc()).str(), *options});
  for (OpResult result : op->getResults())
    producers[result] = {decision, result.getResultNumber()};
  for (OpOperand &operand : op->getOpOperands())
    if (isRunTime(operand.get()))
      uses.push_back({decision, operand.getOperandNumber(), operand.get()});
  return success();
}

RoleDemands Model::demandsOf(Operation *op, const shd::PartitionRule &rule) const {
  RoleDemands demands;
  demands.parts = units->ofFactors(op, rule);
  if (!roles)
    return demands;
  demands.factors = roles->ofFactors(op->getOperands(), rule);
  demands.needsTensor = mesh.ways[Role::Tensor] > 1 && wantsTensorSplit(op, rule);
  if (demands.needsTensor)
    demands.tensorFactors = tensorFactorsOf(op, rule);
  return demands;
}

/// The dimensions of the weights; where run-time values are multiplied, what is left of rows, columns and depth: heads.
SmallVector<bool> Model::tensorFactorsOf(Operation *op, const shd::PartitionRule &rule) const {
  SmallVector<bool> factors(rule.factors.size(), false);
  auto mark = [&](ArrayRef<SmallVector<unsigned, 2>> dims) {
    for (ArrayRef<unsigned> parts : dims)
      for (unsigned factor : parts)
        factors[factor] = true;
  };
  for (auto [operand, dims] : llvm::zip_equal(op->getOperands(), rule.operandDims))
    if (nn::isInitTime(operand) && isMatrix(operand))
      mark(dims);
  if (!llvm::is_contained(factors, true) && rule.operandDims.front().size() > 2)
    mark(ArrayRef(rule.operandDims.front()).drop_back(2));
  if (!llvm::is_contained(factors, true))
    factors.assign(factors.size(), true);
  return factors;
}

std::shared_ptr<const Options> Model::optionsOf(Operation *op, const shd::PartitionRule &rule,
                                                const RoleDemands &demands) {
  auto partition = cast<shd::PartitionInterface>(op);
  SmallVector<bool> isRunTime =
      llvm::map_to_vector(op->getOperands(), [](Value operand) { return !nn::isInitTime(operand); });
  SmallVector<bool> linearSets;
  for (ArrayRef<unsigned> set : rule.linearIn)
    linearSets.push_back(llvm::any_of(set, [&](unsigned operand) { return isRunTime[operand]; }));
  auto options = std::make_shared<Options>();
  std::vector<Candidate> candidates = enumerateCandidates(rule, mesh, linearSets, demands);
  noteRoles(rule, candidates);
  for (const Candidate &candidate : candidates) {
    shd::OpWork work = partition.getLocalWork(shd::getWorkSizes(rule, candidate.strategy, mesh.attr));
    Option &option = options->emplace_back();
    option.commSeconds = prices.internalComm(work, rule, candidate.strategy);
    option.roomBytes = Prices::internalRoom(work, rule, candidate.strategy);
    option.tieBreak = tieBreak(candidate.strategy, mesh);
    for (auto [operand, sharding] : llvm::zip_equal(op->getOperands(), candidate.shardings.in)) {
      option.in.push_back(prices.intern(sharding));
      if (!isRunTime[option.in.size() - 1])
        option.weightBytes += prices.localBytes(option.in.back(), typeOf(operand));
    }
    for (shd::ShardingAttr sharding : candidate.shardings.out)
      option.out.push_back(prices.intern(sharding));
    option.computeSeconds = prices.compute(prices.costOf(op, work, option.in, option.out));
    if (mesh.hasRoles() && !candidate.strategy.blocks.empty())
      option.tieBreak -= evenGain(partition, rule, candidate.strategy, option);
  }
  // In a classic layout only matrix products end in communication, and experts; a norm's or a pool's dimension stays whole.
  auto isLocal = [](const Option &option) { return option.commSeconds == 0; };
  if (mesh.hasRoles() && !demands.needsTensor && !hasExperts(rule) && llvm::any_of(*options, isLocal))
    std::erase_if(*options, std::not_fn(isLocal));
  dropDominated(*options, isRunTime);
  return options;
}

/// What an even split would save. A classic layout is chosen as if whole parts were even ones: cutting heads in two to even out the work, and
/// moving data to undo it, is no part of it.
double Model::evenGain(shd::PartitionInterface op, const shd::PartitionRule &rule, shd::FactorSharding strategy,
                       const Option &option) const {
  strategy.blocks.clear();
  shd::OpWork work = op.getLocalWork(shd::getWorkSizes(rule, strategy, mesh.attr));
  return std::max(0.0, option.computeSeconds - prices.compute(prices.costOf(op, work, option.in, option.out)));
}

std::shared_ptr<const Options> Model::moveOptions(Value value, bool isInput) {
  RankedTensorType type = typeOf(value);
  shd::PartitionRule rule = identityRule(type.getShape());
  RoleDemands demands;
  if (roles)
    demands.factors = roles->ofFactors(value, rule);
  auto options = std::make_shared<Options>();
  double whole = std::max<int64_t>(1, type.getNumElements());
  for (const Candidate &candidate : enumerateCandidates(rule, mesh, {}, demands)) {
    Option &option = options->emplace_back();
    unsigned id = prices.intern(candidate.shardings.out[0]);
    if (isInput)
      option.out = {id};
    else
      option.in = {id};
    // Of equal ways out, the one that keeps the fewest copies; of equal ways in, the plainest.
    option.tieBreak = isInput ? tieBreak(candidate.strategy, mesh) : kTieSeconds * prices.localBytes(id, type) / whole;
  }
  return options;
}

void Model::noteRoles(const shd::PartitionRule &rule, const std::vector<Candidate> &candidates) {
  modelHasExperts |= hasExperts(rule);
  for (Role role : kRoles)
    if (role != Role::Expert || hasExperts(rule))
      roleUsed[static_cast<size_t>(role)] |= llvm::any_of(
          candidates, [&](const Candidate &candidate) { return waysOf(role, candidate, mesh) == mesh.ways[role]; });
}

LogicalResult Model::checkRoles() {
  if (stage)
    return success();
  static constexpr StringLiteral kWhat[] = {"batch", "experts", "sequence", "weights or heads"};
  if (mesh.ways[Role::Expert] > 1 && !modelHasExperts)
    return main.emitError() << "strategy '" << mesh.ways.text()
                            << "': the model has no mixture of experts that ep could split; leave ep out";
  for (Role role : kRoles)
    if (mesh.ways[role] > 1 && !roleUsed[static_cast<size_t>(role)])
      return main.emitError() << "strategy '" << mesh.ways.text() << "': no operator's "
                              << kWhat[static_cast<size_t>(role)] << " can be split over " << name(role).data() << "="
                              << mesh.ways[role] << " devices; make the number smaller or the dimension larger";
  return success();
}

bool Model::meets(const Pin &pin, unsigned sharding) const { return pins.meets(pin, prices.sharding(sharding), mesh); }

std::shared_ptr<const Options> Model::filtered(std::shared_ptr<const Options> options,
                                               llvm::function_ref<bool(const Option &)> keep) {
  auto result = std::make_shared<Options>();
  llvm::copy_if(*options, std::back_inserter(*result), keep);
  return result;
}

} // namespace mpopt::planning
