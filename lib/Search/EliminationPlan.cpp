#include "Elimination.h"

#include <algorithm>
#include <map>
#include <set>

namespace mpopt::search {

/// Chooses the order: always the variable whose elimination takes the least
/// work next.
class Elimination::Planner {
public:
  Planner(const Model &model, const std::vector<int32_t> &free, double tableLimit)
      : model(model), tableLimit(tableLimit), touching(model.variables.size()), costs(model.variables.size()) {
    std::vector<char> isFree(model.variables.size(), 0);
    for (int32_t variable : free)
      isFree[size_t(variable)] = 1;
    for (const Arc &arc : model.arcs)
      if (isFree[size_t(arc.ends[0])] && isFree[size_t(arc.ends[1])])
        addArc(arc);
    for (int32_t variable : free)
      enqueue(variable);
  }

  bool run(Elimination &result, double workLimit) {
    while (!queue.empty()) {
      auto [cost, variable] = *queue.begin();
      if (result.totalWork + cost > workLimit || cost == kForbidden)
        return false;
      queue.erase(queue.begin());
      result.totalWork += cost;
      eliminate(variable, cost, result.steps);
    }
    result.factors = std::move(factors);
    for (Step &step : result.steps)
      if (step.output >= 0)
        allocate(*result.factors[size_t(step.output)]);
    return true;
  }

private:
  /// The neighbours of a variable and the class maps under which its
  /// elimination sees them and itself.
  struct Scope {
    std::vector<Factor::Axis> axes;
    std::shared_ptr<const ClassMap> own;
    int32_t ownCount;
    double table = 1, work = 1;
  };

  static void allocate(Factor &factor) {
    size_t size = 1;
    for (const Factor::Axis &axis : factor.axes)
      size *= size_t(axis.count);
    factor.values.resize(size);
    factor.data = factor.values.data();
  }

  void addArc(const Arc &arc) {
    auto factor = std::make_unique<Factor>();
    factor->data = arc.table->values.data();
    factor->axes = {{arc.ends[0], arc.classes[0], arc.table->rows}, {arc.ends[1], arc.classes[1], arc.table->cols}};
    addFactor(std::move(factor));
  }

  int32_t addFactor(std::unique_ptr<Factor> factor) {
    int32_t index = int32_t(factors.size());
    for (const Factor::Axis &axis : factor->axes)
      touching[size_t(axis.variable)].push_back(index);
    factors.push_back(std::move(factor));
    return index;
  }

  Scope scopeOf(int32_t variable) const {
    Scope scope;
    std::map<int32_t, std::shared_ptr<const ClassMap>> joint;
    for (int32_t index : touching[size_t(variable)])
      for (const Factor::Axis &axis : factors[size_t(index)]->axes) {
        auto [entry, fresh] = joint.try_emplace(axis.variable, axis.classes);
        if (!fresh)
          entry->second = refine(entry->second, axis.classes);
      }
    scope.own = joint.contains(variable)
                    ? joint[variable]
                    : std::make_shared<const ClassMap>(size_t(model.variables[size_t(variable)].size()), 0);
    scope.ownCount = countClasses(*scope.own);
    joint.erase(variable);
    for (auto &[other, classes] : joint) {
      scope.axes.push_back({other, classes, countClasses(*classes)});
      scope.table *= scope.axes.back().count;
    }
    scope.work = scope.table * scope.ownCount;
    if (scope.table > tableLimit)
      scope.work = kForbidden;
    return scope;
  }

  void enqueue(int32_t variable) {
    costs[size_t(variable)] = scopeOf(variable).work;
    queue.insert({costs[size_t(variable)], variable});
  }

  void eliminate(int32_t variable, double cost, std::vector<Step> &steps) {
    Scope scope = scopeOf(variable);
    // The innermost loop runs over the largest axis, so that it fills the
    // vector units.
    std::sort(scope.axes.begin(), scope.axes.end(), [](const Factor::Axis &a, const Factor::Axis &b) {
      return a.count != b.count ? a.count < b.count : a.variable < b.variable;
    });
    // Padded with classes that no strategy has: whole vectors, no tails.
    if (!scope.axes.empty() && scope.axes.back().count > 3)
      scope.axes.back().count = (scope.axes.back().count + 7) / 8 * 8;
    Step step{variable, scope.own, scope.ownCount, {}, -1, {}, {}, cost};
    for (int32_t index : touching[size_t(variable)]) {
      step.inputs.push_back({index, -1, {}, {}, {}});
      for (const Factor::Axis &axis : factors[size_t(index)]->axes)
        if (axis.variable != variable)
          std::erase(touching[size_t(axis.variable)], index);
    }
    if (!scope.axes.empty()) {
      auto output = std::make_unique<Factor>();
      output->axes = scope.axes;
      step.output = addFactor(std::move(output));
    }
    for (Input &input : step.inputs)
      address(step, scope, input);
    steps.push_back(std::move(step));
    for (const Factor::Axis &axis : scope.axes) {
      queue.erase({costs[size_t(axis.variable)], axis.variable});
      enqueue(axis.variable);
    }
  }

  /// Steps through an axis of a factor in the finer classes of the step: per
  /// fine class, stride times coarse class.
  static std::vector<int64_t> offsetsOf(const ClassMap &fine, int32_t count, const ClassMap &coarse, int64_t stride) {
    std::vector<int64_t> offsets(size_t(count), 0);
    for (size_t s = 0; s < fine.size(); ++s)
      offsets[size_t(fine[s])] = coarse[s] * stride;
    return offsets;
  }

  void address(const Step &step, const Scope &scope, Input &input) const {
    const Factor &factor = *factors[size_t(input.factor)];
    int32_t innermost = scope.axes.empty() ? -1 : scope.axes.back().variable;
    for (size_t a = 0; a < factor.axes.size(); ++a)
      if (factor.axes[a].variable == innermost)
        input.inner = int32_t(a);
    // With an inner axis the data is rearranged to have it last, in the step's
    // finer classes.
    int64_t stride = input.inner >= 0 ? scope.axes.back().count : 1;
    if (!scope.axes.empty())
      input.offsets.resize(scope.axes.size() - 1);
    for (size_t a = factor.axes.size(); a-- > 0;) {
      const Factor::Axis &axis = factor.axes[a];
      if (int32_t(a) == input.inner)
        continue;
      if (axis.variable == step.variable)
        input.ownOffsets = offsetsOf(*step.classes, step.classCount, *axis.classes, stride);
      for (size_t j = 0; j < input.offsets.size(); ++j)
        if (scope.axes[j].variable == axis.variable)
          input.offsets[j] = offsetsOf(*scope.axes[j].classes, scope.axes[j].count, *axis.classes, stride);
      stride *= axis.count;
    }
    if (input.inner >= 0)
      input.rows.resize(size_t(stride));
  }

  const Model &model;
  double tableLimit;
  std::vector<std::unique_ptr<Factor>> factors;
  std::vector<std::vector<int32_t>> touching; ///< Per variable: factors not yet consumed.
  std::vector<double> costs;
  std::set<std::pair<double, int32_t>> queue;
};

std::optional<Elimination> Elimination::plan(const Model &model, const std::vector<int32_t> &free, double workLimit,
                                             double tableLimit) {
  Elimination result;
  if (!Planner(model, free, tableLimit).run(result, workLimit))
    return std::nullopt;
  return result;
}

} // namespace mpopt::search
