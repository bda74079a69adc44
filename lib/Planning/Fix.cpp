#include "Fix.h"
#include "mpopt/Planning/Planning.h"

using namespace mlir;

namespace mpopt::planning {
namespace {

Status refuse(const FixedPlan &plan, const std::string &what) { return error("plan '" + plan.file + "' " + what); }

class Fixer {
public:
  Fixer(Model &model, const Prices &prices, const FixedPlan &plan, FixedPlace &place)
      : model(model), prices(prices), plan(plan), place(place) {}

  Status run() {
    size_t inputs = 0, outputs = 0;
    for (auto [index, decision] : llvm::enumerate(model.decisions)) {
      Status status;
      if (decision.kind == Decision::Operator)
        status = fixOperator(index, decision);
      if (decision.kind == Decision::Argument && !decision.op)
        status = fixPort(index, decision, plan.inputs, place.inputs + inputs++);
      if (decision.kind == Decision::Result && decision.op->hasTrait<OpTrait::IsTerminator>()) {
        status = fixPort(index, decision, plan.outputs, place.outputs + decision.result);
        outputs = decision.op->getNumOperands();
      }
      if (!status)
        return status;
    }
    place.inputs += inputs;
    place.outputs += outputs;
    return {};
  }

private:
  Status refuse(const std::string &what) const { return mpopt::planning::refuse(plan, what); }

  bool equal(ArrayRef<unsigned> ids, const std::vector<std::string> &texts) {
    return llvm::equal(ids, texts, [&](unsigned id, const std::string &text) {
      auto [it, isNew] = known.try_emplace(id);
      if (isNew)
        it->second = shardingText(prices.sharding(id));
      return it->second == text;
    });
  }

  /// Forbids the options that are not wanted; whether one is left.
  bool keep(size_t index, llvm::function_ref<bool(const Option &)> wanted) {
    bool any = false;
    std::vector<double> &costs = model.problem.nodes[index].costs;
    for (auto [cost, option] : llvm::zip_equal(costs, *model.decisions[index].options)) {
      if (wanted(option))
        any = true;
      else
        cost = search::kForbidden;
    }
    return any;
  }

  Status fixOperator(size_t index, const Decision &decision) {
    if (place.operators >= plan.operators.size())
      return refuse("has fewer operators than the model");
    const FixedPlan::Operator &wanted = plan.operators[place.operators++];
    StringRef op = decision.op->getName().stripDialect();
    if (wanted.node != decision.name || wanted.op != op)
      return refuse("is of another model: where that has " + wanted.op + " at node '" + wanted.node +
                    "', this one has " + op.str() + " at node '" + decision.name + "'");
    if (!keep(index,
              [&](const Option &option) { return equal(option.in, wanted.in) && equal(option.out, wanted.out); }))
      return refuse("cannot be made again: " + op.str() + " at node '" + decision.name +
                    "' cannot be spread as it says on this machine, with these dimensions");
    return {};
  }

  Status fixPort(size_t index, const Decision &decision, const std::vector<std::string> &texts, size_t number) {
    if (number >= texts.size())
      return refuse("has fewer inputs or outputs than the model");
    auto wanted = [&](const Option &option) {
      return equal(decision.kind == Decision::Argument ? ArrayRef<unsigned>(option.out) : option.in, {texts[number]});
    };
    if (!keep(index, wanted))
      return refuse("cannot be made again: '" + decision.name + "' cannot be spread as " + texts[number]);
    return {};
  }

  Model &model;
  const Prices &prices;
  const FixedPlan &plan;
  FixedPlace &place;
  llvm::DenseMap<unsigned, std::string> known; // looked up only
};

} // namespace

Status checkFixedMesh(const FixedPlan &fixed, const std::string &mesh) {
  if (mesh == fixed.mesh)
    return {};
  return refuse(fixed, "is for the mesh " + (fixed.mesh.empty() ? "of one device" : fixed.mesh) +
                           ", but this one is for " + (mesh.empty() ? "one device" : mesh) +
                           "; give the number of devices and the machine that it was made for");
}

Status fixPlan(Model &model, const Prices &prices, const FixedPlan &fixed, FixedPlace &place) {
  return Fixer(model, prices, fixed, place).run();
}

Status checkAllFixed(const FixedPlan &fixed, const FixedPlace &place) {
  return place.operators == fixed.operators.size() ? Status() : refuse(fixed, "has more operators than the model");
}

} // namespace mpopt::planning
