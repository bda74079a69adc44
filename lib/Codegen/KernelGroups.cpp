#include "KernelGroups.h"
#include "Lower.h"
#include <queue>
#include <set>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::codegen;

bool mpopt::codegen::isRematerialized(Operation *op) {
  return isa<nn::IotaOp>(op) || (isa<nn::ConstantOp>(op) && splatOf(op->getResult(0)));
}

/// Whether the operands of `op` must be views of memory.
static bool readsMemory(Operation *op) {
  return isa_and_nonnull<nn::PackedMatmulOp, nn::ExpertMatmulOp, nn::PackedConvOp, nn::DepthwiseConvOp, nn::MaxPoolOp,
                         nn::AvgPoolOp>(op);
}

bool mpopt::codegen::isRematerialized(OpOperand &use) {
  Operation *def = use.get().getDefiningOp();
  return def && isRematerialized(def) && !readsMemory(use.getOwner());
}

bool mpopt::codegen::staysInMain(Operation *op) {
  return !isa<nn::NNDialect>(op->getDialect()) || isa<nn::WeightOp, nn::ConstantOp>(op);
}

static int64_t elements(Value value) { return tensorType(value).getNumElements(); }

/// Pointwise operators that cost about as much as a load.
static bool isCheap(Operation *op) {
  return isa<nn::AddOp, nn::SubOp, nn::MulOp, nn::NegOp, nn::AbsOp, nn::MaxOp, nn::MinOp, nn::ReluOp, nn::CompareOp,
             nn::SelectOp, nn::CastOp, nn::AndOp, nn::OrOp, nn::XorOp, nn::NotOp, nn::TransposeOp, nn::BroadcastOp,
             nn::SliceOp, nn::IotaOp, nn::ReshapeOp, nn::ConstantOp>(op);
}

namespace {

class Grouping {
public:
  Grouping(Block &block, const CpuTarget &target) : block(block), target(target) {}

  std::vector<KernelGroup> run() {
    for (Operation &op : block.without_terminator()) {
      number[&op] = number.size();
      place(&op);
    }
    while (absorbOnce()) {
    }
    for (KernelGroup &group : groups)
      if (group.ops.size() == 1 && isa<nn::ReshapeOp>(group.ops[0]))
        group.stays = true;
    return inOrder();
  }

private:
  using Id = size_t;

  void place(Operation *op);
  bool isInit(Operation *op);
  bool canAppend(Operation *op, Value operand, Id group);
  bool compatible(Id a, Id b);
  bool readsElsewhere(Id reader, Id group);
  bool reaches(Id from, Id to, bool indirectly);
  void merge(Id into, Id other);
  void add(Id group, Operation *op) {
    groups[group].ops.push_back(op);
    groupOf[op] = group;
  }

  bool absorbOnce();
  bool tryAbsorb(Id producer);
  bool accepts(OpOperand &use, const KernelGroup &producer);
  /// Whether a group only gives other views of what lies in memory.
  bool isViewOnly(const KernelGroup &group);
  std::vector<KernelGroup> inOrder();

  Block &block;
  const CpuTarget &target;
  std::vector<KernelGroup> groups;
  DenseMap<Operation *, Id> groupOf;
  DenseMap<Operation *, int64_t> number;
};

} // namespace

bool Grouping::isInit(Operation *op) {
  if (isa<nn::WeightOp, nn::ConstantOp>(op) || op->getName().getStringRef() == "coll.index")
    return true;
  if (staysInMain(op))
    return false;
  return llvm::all_of(op->getOperands(), [&](Value operand) {
    Operation *def = operand.getDefiningOp();
    return def && groups[groupOf.lookup(def)].init;
  });
}

/// Whether a path leads from group `from` back to `to` (with `indirectly`, over a third group).
bool Grouping::reaches(Id from, Id to, bool indirectly) {
  int64_t earliest = number[groups[to].ops.front()];
  for (Operation *op : groups[to].ops)
    earliest = std::min(earliest, number[op]);
  std::set<Id> seen;
  SmallVector<Id> work{from};
  while (!work.empty()) {
    Id group = work.pop_back_val();
    for (Operation *op : groups[group].ops)
      for (Value operand : op->getOperands()) {
        Operation *def = operand.getDefiningOp();
        if (!def || number[def] < earliest)
          continue;
        Id next = groupOf[def];
        if (next == group || (next == to && group == from && indirectly))
          continue;
        if (next == to)
          return true;
        if (seen.insert(next).second)
          work.push_back(next);
      }
  }
  return false;
}

/// Whether the pointwise or row operator `op` may be computed where `group` computes `operand`.
bool Grouping::canAppend(Operation *op, Value operand, Id id) {
  const KernelGroup &group = groups[id];
  if (group.stays || group.closed || group.init != isInit(op) ||
      tensorType(operand).getShape() != tensorType(op->getResult(0)).getShape())
    return false;
  Operation *def = operand.getDefiningOp();
  if (isa<nn::ReshapeOp, nn::ConcatOp>(def) || isRematerialized(def))
    return false;
  bool byRows = isRowAnchor(op);
  if (!group.anchor) {
    // Every output of a group has one shape; groups of light operators start with one operator and grow only by pointwise ones.
    if (isElementwise(op) || !byRows)
      return true;
    // Rows are computed in several passes, from a copy in the kernel's frame.
    return llvm::all_of(group.ops, [](Operation *member) { return isElementwise(member); });
  }
  if (isRowAnchor(group.anchor))
    return !byRows || rowAxis(op) == rowAxis(group.anchor);
  bool takesEpilogue = isa<nn::MatmulOp, nn::PackedMatmulOp, nn::ReduceOp, nn::PackedConvOp, nn::DepthwiseConvOp,
                           nn::MaxPoolOp, nn::AvgPoolOp>(group.anchor);
  return takesEpilogue && !byRows;
}

bool Grouping::compatible(Id a, Id b) {
  Operation *x = groups[a].anchor, *y = groups[b].anchor;
  if (!x || !y)
    return true;
  return isRowAnchor(x) && isRowAnchor(y) && rowAxis(x) == rowAxis(y);
}

/// Whether `reader` needs elements of what the anchor of `group` computes at other places than its own: the anchor gives one place
/// at a time.
bool Grouping::readsElsewhere(Id reader, Id group) {
  return groups[group].anchor && llvm::any_of(groups[reader].ops, [&](Operation *op) {
           return !isElementwise(op) && !isRowAnchor(op) && llvm::any_of(op->getOperands(), [&](Value operand) {
             Operation *def = operand.getDefiningOp();
             return def && groupOf.lookup(def) == group;
           });
         });
}

void Grouping::merge(Id into, Id other) {
  for (Operation *op : groups[other].ops)
    add(into, op);
  if (!groups[into].anchor)
    groups[into].anchor = groups[other].anchor;
  groups[other] = KernelGroup();
}

/// Adds `op` to the groups of its operands where that is possible, else to a new one.
void Grouping::place(Operation *op) {
  bool isRow = !staysInMain(op) && isRowAnchor(op);
  std::set<Id> operandGroups, candidates;
  for (Value operand : op->getOperands())
    if (Operation *def = operand.getDefiningOp())
      operandGroups.insert(groupOf[def]);
  if (!staysInMain(op) && (isElementwise(op) || isRow)) {
    for (OpOperand &operand : op->getOpOperands()) {
      Operation *def = operand.get().getDefiningOp();
      if (def && (!isRow || operand.getOperandNumber() == 0) && canAppend(op, operand.get(), groupOf[def]))
        candidates.insert(groupOf[def]);
    }
  } else if (isa<nn::TransposeOp>(op)) {
    // Products and attention write their result transposed at no cost.
    Operation *def = op->getOperand(0).getDefiningOp();
    if (def && isa<nn::AttentionOp, nn::MatmulOp>(def) && def->hasOneUse() && groups[groupOf[def]].ops.size() == 1 &&
        groups[groupOf[def]].init == isInit(op)) {
      Id id = groupOf[def];
      add(id, op);
      groups[id].closed = true;
      return;
    }
  }
  // The latest group first: it is the one that is computed just before.
  std::vector<Id> taken;
  for (auto it = candidates.rbegin(); it != candidates.rend(); ++it) {
    Id id = *it;
    bool fits = llvm::all_of(taken, [&](Id other) { return compatible(id, other); });
    if (isRow && groups[id].anchor && !isRowAnchor(groups[id].anchor))
      fits = false;
    for (Id other : taken)
      fits = fits && !reaches(id, other, true) && !reaches(other, id, true) && !readsElsewhere(id, other) &&
             !readsElsewhere(other, id);
    for (Id other : operandGroups)
      if (other != id && !llvm::is_contained(taken, other))
        fits = fits && !reaches(other, id, false);
    if (fits)
      taken.push_back(id);
  }
  // A group left out may depend on one that was taken before it was left out.
  for (Id id : std::vector<Id>(taken))
    for (Id other : operandGroups)
      if (!llvm::is_contained(taken, other) && reaches(other, id, false))
        taken.erase(llvm::find(taken, id));
  if (taken.empty()) {
    groups.emplace_back();
    groups.back().stays = staysInMain(op);
    groups.back().init = isInit(op);
    groups.back().anchor = staysInMain(op) || isLight(op) ? nullptr : op;
    add(groups.size() - 1, op);
    return;
  }
  Id into = taken[0];
  for (Id other : llvm::drop_begin(taken))
    merge(into, other);
  add(into, op);
  if (isRow && !groups[into].anchor)
    groups[into].anchor = op;
}

//===----------------------------------------------------------------------===//
// Producers into consumers
//===----------------------------------------------------------------------===//

bool Grouping::isViewOnly(const KernelGroup &group) {
  return llvm::all_of(group.ops, [](Operation *op) {
    return isa<nn::TransposeOp, nn::SliceOp, nn::BroadcastOp>(op) && !isRematerialized(op->getOpOperand(0));
  });
}

/// Whether an image is read well through the views: channels side by side, or few of them.
static bool readsLines(Value image, const KernelGroup &views) {
  constexpr int64_t fewChannels = 4;
  return tensorType(image).getShape().back() <= fewChannels ||
         llvm::none_of(views.ops, [](Operation *op) { return isa<nn::TransposeOp>(op); });
}

/// Whether the right operand of a product can be read through a view, or copied to the frame panel by panel.
static bool suitsRight(nn::MatmulOp op, const CpuTarget &target) {
  ArrayRef<int64_t> shape = tensorType(op.getRhs()).getShape();
  int64_t rows = tensorType(op.getLhs()).getShape().end()[-2], width = target.vectorWidth();
  int64_t panel = std::min(target.panelWidth(rows), (shape.back() + width - 1) / width * width);
  return shape.end()[-2] * panel * elementBytes(registerType(tensorType(op.getRhs()).getElementType())) <= (40 << 10);
}

/// Whether the user can compute the light group `producer` on the fly at this operand.
bool Grouping::accepts(OpOperand &use, const KernelGroup &producer) {
  Operation *user = use.getOwner();
  bool cheap = producer.ops.size() <= 4 && llvm::all_of(producer.ops, isCheap);
  bool once = elements(use.get()) >= elements(user->getResult(0));
  unsigned operand = use.getOperandNumber();
  if (isElementwise(user) || isa<nn::BroadcastOp>(user))
    return cheap || once;
  if (isa<nn::TransposeOp, nn::SliceOp, nn::SliceAtOp, nn::PadOp, nn::ConcatOp>(user))
    return true;
  if (isa<nn::GatherOp>(user))
    return operand == 0 ? once || cheap : cheap;
  if (isa<nn::GatherElementsOp, nn::GatherNdOp, nn::RotaryOp>(user))
    return cheap;
  if (isRowAnchor(user))
    return operand == 0;
  if (isa<nn::ReduceOp, nn::ArgReduceOp, nn::CumSumOp>(user))
    return true;
  if (auto matmul = dyn_cast<nn::MatmulOp>(user))
    return isViewOnly(producer) && (operand == 0 || suitsRight(matmul, target));
  if (isa<nn::PackedMatmulOp>(user))
    return isViewOnly(producer);
  if (isa<nn::PackedConvOp, nn::DepthwiseConvOp, nn::MaxPoolOp, nn::AvgPoolOp>(user))
    return isViewOnly(producer) && readsLines(use.get(), producer);
  if (isa<nn::AttentionOp>(user))
    return operand < 3 ? isViewOnly(producer) : cheap || once;
  return false;
}

/// Whether an operand of `anchor`, which must lie in memory, is computed from the member `op`.
static bool feeds(Operation *op, Operation *anchor) {
  return llvm::any_of(op->getUsers(), [&](Operation *user) {
    return user == anchor || (isa<nn::TransposeOp, nn::SliceOp, nn::BroadcastOp>(user) && feeds(user, anchor));
  });
}

bool Grouping::tryAbsorb(Id id) {
  KernelGroup &producer = groups[id];
  if (producer.ops.empty() || producer.stays || producer.anchor)
    return false;
  std::optional<Id> consumer;
  for (Operation *op : producer.ops)
    for (OpOperand &use : op->getResult(0).getUses()) {
      auto user = groupOf.find(use.getOwner());
      if (user == groupOf.end()) // the terminator
        return false;
      if (user->second == id)
        continue;
      if (consumer && *consumer != user->second)
        return false;
      consumer = user->second;
      const KernelGroup &group = groups[*consumer];
      if (group.stays || group.init != producer.init || !accepts(use, producer))
        return false;
      // A reshape alone is better left out, as another name of the same memory.
      if (isa<nn::ReshapeOp>(use.getOwner()) && group.ops.size() == 1)
        return false;
      if (readsMemory(group.anchor) && !isViewOnly(producer) && feeds(use.getOwner(), group.anchor))
        return false;
      // The runs of a grouped convolution begin anywhere, which reshapes do not allow for.
      if (isa_and_nonnull<nn::PackedConvOp>(group.anchor) && llvm::any_of(producer.ops, llvm::IsaPred<nn::ReshapeOp>))
        return false;
    }
  if (!consumer)
    return false;
  bool isReshape = producer.ops.size() == 1 && isa<nn::ReshapeOp>(producer.ops[0]);
  if (isReshape) {
    // Worth it only together with what computes its input, and where runs of lanes stay runs.
    Operation *def = producer.ops[0]->getOperand(0).getDefiningOp();
    if (!def || !def->hasOneUse())
      return false;
    Id source = groupOf[def];
    const KernelGroup &group = groups[source];
    if (group.stays || group.anchor || group.init != producer.init || isa<nn::ReshapeOp>(def) || group.ops.size() > 1)
      return false;
    ArrayRef<int64_t> from = tensorType(producer.ops[0]->getOperand(0)).getShape(),
                      to = tensorType(producer.ops[0]->getResult(0)).getShape();
    int64_t width = target.vectorWidth();
    bool keepsRuns = !from.empty() && !to.empty() &&
                     (from.back() == to.back() || (from.back() % width == 0 && to.back() % width == 0));
    Operation *user = *producer.ops[0]->user_begin();
    if (!keepsRuns || !isLight(user) || isa<nn::ReshapeOp>(user))
      return false;
    merge(id, source);
  }
  merge(*consumer, id);
  return true;
}

bool Grouping::absorbOnce() {
  bool changed = false;
  for (Id id = groups.size(); id-- > 0;)
    changed |= tryAbsorb(id);
  return changed;
}

/// Orders the groups so that each comes after what it needs, otherwise as the program was.
std::vector<KernelGroup> Grouping::inOrder() {
  std::vector<std::set<Id>> users(groups.size());
  std::vector<int64_t> missing(groups.size(), 0), first(groups.size(), 0);
  for (Id id = 0; id < groups.size(); ++id) {
    KernelGroup &group = groups[id];
    llvm::sort(group.ops, [&](Operation *a, Operation *b) { return number[a] < number[b]; });
    if (!group.ops.empty())
      first[id] = number[group.ops.back()];
    for (Operation *op : group.ops)
      for (Value operand : op->getOperands())
        if (Operation *def = operand.getDefiningOp();
            def && groupOf[def] != id && users[groupOf[def]].insert(id).second)
          ++missing[id];
  }
  using Ready = std::pair<int64_t, Id>;
  std::priority_queue<Ready, std::vector<Ready>, std::greater<>> ready;
  for (Id id = 0; id < groups.size(); ++id)
    if (!groups[id].ops.empty() && missing[id] == 0)
      ready.push({first[id], id});
  std::vector<KernelGroup> result;
  while (!ready.empty()) {
    Id id = ready.top().second;
    ready.pop();
    result.push_back(groups[id]);
    for (Id user : users[id])
      if (--missing[user] == 0)
        ready.push({first[user], user});
  }
  return result;
}

std::vector<KernelGroup> mpopt::codegen::formGroups(Block &block, const CpuTarget &target) {
  return Grouping(block, target).run();
}
