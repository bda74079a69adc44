#include "Strategies.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace mpopt::planning {
namespace {

constexpr int kNothing = -1;

class Enumerator {
public:
  Enumerator(const shd::PartitionRule &rule, const PlanMesh &mesh, ArrayRef<bool> linearSets,
             const RoleDemands &demands)
      : rule(rule), mesh(mesh), linearSets(linearSets), demands(demands), numFactors(rule.factors.size()),
        ways(numFactors, 1) {
    if (demands.needsTensor)
      limitTensorWays();
    for (auto [i, factor] : llvm::enumerate(rule.factors)) {
      if (factor.role == shd::FactorRole::Expert)
        experts = static_cast<int>(i);
      if (factor.role == shd::FactorRole::Token)
        tokens.push_back(static_cast<int>(i));
    }
    if (!experts)
      tokens.clear();
  }

  std::vector<Candidate> run() {
    deal();
    for (Role role : kRoles)
      if (mesh.hasRoles() && mustSplit(role))
        keepMost(role);
    return std::move(candidates);
  }

private:
  /// Axis number targets.size() and those after it go to every target that may have them.
  void deal() {
    if (targets.size() == mesh.size())
      return add();
    size_t axis = targets.size();
    for (int target = kNothing; target < firstRoute() + static_cast<int>(tokens.size()); ++target) {
      if (!allows(axis, target) || !keepsRuns(axis, target) || !keepsTogether(axis, target))
        continue;
      int64_t size = mesh.mesh.axes[axis].size;
      for (int factor : factorsOf(target))
        ways[factor] *= size;
      targets.push_back(target);
      deal();
      targets.pop_back();
      for (int factor : factorsOf(target))
        ways[factor] /= size;
    }
  }

  /// Targets are the factors, then the linear sets, then routes: one of `tokens` and the experts.
  bool isFactor(int target) const { return target >= 0 && target < numFactors; }
  bool isLinear(int target) const { return target >= numFactors && target < firstRoute(); }
  int firstRoute() const { return numFactors + static_cast<int>(linearSets.size()); }

  SmallVector<int, 2> factorsOf(int target) const {
    if (isFactor(target))
      return {target};
    if (target < firstRoute())
      return {};
    return {tokens[target - firstRoute()], *experts};
  }

  bool allows(size_t axis, int target) const {
    if (target == kNothing)
      return true;
    if (isLinear(target))
      return linearSets[target - numFactors] &&
             llvm::all_of(targets, [&](int other) { return !isLinear(other) || other == target; });
    bool routes = !isFactor(target);
    return llvm::all_of(factorsOf(target), [&](int factor) { return splits(axis, factor, routes); });
  }

  bool splits(size_t axis, int factor, bool routes) const {
    int64_t now = ways[factor], next = now * mesh.mesh.axes[axis].size;
    return rule.factors[factor].kind != shd::FactorKind::NeedReplicate && splitsFurther(factor, now, next) &&
           (routes ? roleRoutes(mesh.roles[axis], factor, next) : roleAllows(mesh.roles[axis], factor, next));
  }

  /// Parts of a factor that must stay whole; its elements where there are none.
  int64_t partsOf(int target) const {
    int64_t size = rule.factors[target].size, parts = demands.parts.empty() ? 0 : demands.parts[target];
    return parts > 0 && size % parts == 0 && rule.factors[target].kind != shd::FactorKind::Halo ? parts : size;
  }

  bool splitsFurther(int target, int64_t now, int64_t next) const {
    int64_t count = mesh.hasRoles() ? partsOf(target) : rule.factors[target].size;
    return next <= count || (mayBeUneven() && leavesLess(count, now, next));
  }

  /// Every way to leave units uneven is a strategy more; free choices over many axes would meet too many.
  bool mayBeUneven() const { return mesh.hasRoles() || mesh.size() <= 2; }

  static bool leavesLess(int64_t count, int64_t now, int64_t next) {
    return next <= count || llvm::divideCeil(count, next) < llvm::divideCeil(count, now);
  }

  /// As few as any factor with parts can be split over: where heads can be split 4 ways only, so are the products around them, since another
  /// split would have to be undone.
  void limitTensorWays() {
    for (int i = 0; i < numFactors; ++i) {
      int64_t most = 1;
      for (auto [axis, role] : llvm::zip_equal(mesh.mesh.axes, mesh.roles))
        if (role == Role::Tensor && demands.parts[i] > 0 && leavesLess(partsOf(i), most, most * axis.size))
          most *= axis.size;
      if (demands.tensorFactors[i] && most > 1)
        tensorLimit = std::min(tensorLimit, most);
    }
  }

  bool roleAllows(std::optional<Role> role, int target, int64_t ways) const {
    if (!role)
      return true;
    const Segments &parts = demands.factors[target];
    auto is = [](DimRole role) { return [role](const Segment &part) { return part.role == role; }; };
    switch (*role) {
    case Role::Data:
      return ways <= leading(parts, DimRole::Batch);
    case Role::Expert: // between the experts, these devices may each have tokens of their own
      return hasExperts(rule) ? rule.factors[target].role == shd::FactorRole::Expert
                              : ways <= leading(parts, DimRole::Batch);
    case Role::Sequence:
      return ways <= leading(parts, DimRole::Sequence) || isBatchThenSequence(parts);
    case Role::Tensor:
      if (demands.needsTensor)
        return ways <= tensorLimit && demands.tensorFactors[target] && llvm::all_of(parts, is(DimRole::Other));
      return llvm::all_of(parts, is(DimRole::Other)) || llvm::all_of(parts, is(DimRole::Sequence));
    }
    llvm_unreachable("all roles are listed");
  }

  /// Devices that share the experts may have tokens of their own, where these are rows of the batch, as between the experts.
  bool roleRoutes(std::optional<Role> role, int factor, int64_t ways) const {
    return !role ||
           (*role == Role::Expert && (factor == experts || ways <= leading(demands.factors[factor], DimRole::Batch)));
  }

  /// Size of the parts of that role with which a dimension begins; 0 when it does not begin with one.
  static int64_t leading(const Segments &parts, DimRole role) {
    int64_t size = 1;
    for (const Segment &part : parts) {
      if (part.role != role)
        return &part == parts.begin() ? 0 : size;
      size *= part.size;
    }
    return parts.empty() ? 0 : size;
  }

  /// A merged dimension's minor part can be split where the data axes have split the major one to the end.
  bool isBatchThenSequence(const Segments &parts) const {
    return parts.size() == 2 && parts[0].role == DimRole::Batch && parts[1].role == DimRole::Sequence &&
           parts[0].size == mesh.ways[Role::Data];
  }

  bool alike(size_t a, size_t b) const {
    const machine::MeshAxis &x = mesh.mesh.axes[a], &y = mesh.mesh.axes[b];
    return x.level == y.level && x.size == y.size && mesh.roles[a] == mesh.roles[b];
  }

  /// Whether the alike axes up to this one still lie in runs, and in few enough.
  bool keepsRuns(size_t axis, int target) const {
    SmallVector<int> runs;
    for (size_t other = 0; other <= axis; ++other) {
      int next = other == axis ? target : targets[other];
      if (alike(other, axis) && (runs.empty() || runs.back() != next))
        runs.push_back(next);
    }
    bool comesBack = target != kNothing && llvm::is_contained(ArrayRef(runs).drop_back(), target);
    size_t most = mesh.size() <= 4 ? 3 : 2;
    return !comesBack && runs.size() <= most && (mesh.size() <= 3 || mesh.hasRoles() || keepsFewRuns(axis, target));
  }

  /// Whether, up to this axis, hardly more than one kind of axes is cut into several runs.
  bool keepsFewRuns(size_t axis, int target) const {
    auto targetOf = [&](size_t other) { return other == axis ? target : targets[other]; };
    size_t kinds = 0, runs = 0;
    for (size_t other = 0; other < mesh.size(); ++other) {
      bool isFirst = other == 0 || !alike(other - 1, other);
      kinds += isFirst;
      runs += other <= axis && (isFirst || targetOf(other) != targetOf(other - 1));
    }
    return runs <= std::max<size_t>(kinds + 1, 3);
  }

  /// The axes of a role act as one: the first of them split something together, the rest nothing.
  bool keepsTogether(size_t axis, int target) const {
    for (size_t other = axis; mesh.roles[axis] && other-- > 0;)
      if (mesh.roles[other] == mesh.roles[axis])
        return target == kNothing || target == targets[other];
    return true;
  }

  void add() {
    Candidate candidate;
    candidate.strategy.axes.resize(numFactors);
    for (auto [axis, target] : llvm::enumerate(targets)) {
      if (isLinear(target)) {
        candidate.strategy.unreduced.push_back(mesh.axes[axis]);
        candidate.strategy.linearSet = target - numFactors;
      }
      for (int factor : factorsOf(target))
        candidate.strategy.axes[factor].push_back(mesh.axes[axis]);
    }
    if (experts) // axes that tokens are routed over are minor to others
      std::stable_partition(candidate.strategy.axes[*experts].begin(), candidate.strategy.axes[*experts].end(),
                            [&](StringAttr axis) { return isFactor(targets[mesh.indexOf(axis)]); });
    SmallVector<int64_t> blocks;
    if (mayBeUneven())
      blocks = blocksOf(candidate.strategy);
    if (blocks.empty() || !mesh.hasRoles())
      addIfPossible(candidate);
    if (blocks.empty())
      return;
    candidate.strategy.blocks = std::move(blocks);
    addIfPossible(std::move(candidate));
  }

  /// Blocks of whole parts; empty where equal shares are whole parts anyway.
  SmallVector<int64_t> blocksOf(const shd::FactorSharding &strategy) const {
    SmallVector<int64_t> blocks(numFactors, 1);
    bool isUneven = false;
    for (int i = 0; i < numFactors; ++i)
      if (int64_t parts = partsOf(i);
          !strategy.axes[i].empty() && parts % ways[i] != 0 && parts < rule.factors[i].size) {
        blocks[i] = rule.factors[i].size / parts;
        isUneven = true;
      }
    return isUneven ? blocks : SmallVector<int64_t>{};
  }

  void addIfPossible(Candidate candidate) {
    FailureOr<shd::OpShardings> shardings = shd::getShardings(rule, candidate.strategy, mesh.symbol, mesh.attr);
    if (failed(shardings))
      return;
    candidate.shardings = std::move(*shardings);
    candidates.push_back(std::move(candidate));
  }

  bool mustSplit(Role role) const {
    return role == Role::Tensor ? demands.needsTensor : role != Role::Expert || hasExperts(rule);
  }

  void keepMost(Role role) {
    int64_t most = 1;
    for (const Candidate &candidate : candidates)
      most = std::max(most, waysOf(role, candidate, mesh));
    std::erase_if(candidates, [&](const Candidate &candidate) { return waysOf(role, candidate, mesh) < most; });
  }

  const shd::PartitionRule &rule;
  const PlanMesh &mesh;
  ArrayRef<bool> linearSets;
  const RoleDemands &demands;
  int numFactors;
  SmallVector<int64_t> ways;
  std::optional<int> experts; ///< The factor that counts them.
  SmallVector<int, 2> tokens; ///< Factors whose elements can be sent to these.
  int64_t tensorLimit = std::numeric_limits<int64_t>::max();
  SmallVector<int> targets;
  std::vector<Candidate> candidates;
};

} // namespace

std::vector<Candidate> enumerateCandidates(const shd::PartitionRule &rule, const PlanMesh &mesh,
                                           ArrayRef<bool> linearSets, const RoleDemands &demands) {
  return Enumerator(rule, mesh, linearSets, demands).run();
}

bool hasExperts(const shd::PartitionRule &rule) {
  return llvm::any_of(rule.factors, [](const shd::Factor &factor) { return factor.role == shd::FactorRole::Expert; });
}

int64_t waysOf(Role role, const Candidate &candidate, const PlanMesh &mesh) {
  int64_t product = 1;
  for (size_t index = 0; index < mesh.size(); ++index)
    if (mesh.roles[index] == role && llvm::any_of(candidate.strategy.axes, [&](ArrayRef<StringAttr> axes) {
          return llvm::is_contained(axes, mesh.axes[index]);
        }))
      product *= mesh.mesh.axes[index].size;
  return product;
}

shd::PartitionRule identityRule(ArrayRef<int64_t> shape) {
  shd::PartitionRule rule;
  shd::PartitionRule::TensorDims dims;
  for (int64_t size : shape) {
    dims.emplace_back();
    if (size > 1)
      dims.back().push_back(rule.addFactor(size));
  }
  rule.operandDims.push_back(dims);
  rule.resultDims.push_back(dims);
  return rule;
}

} // namespace mpopt::planning
