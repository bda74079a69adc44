#ifndef MPOPT_LIB_SEARCH_ELIMINATION_H
#define MPOPT_LIB_SEARCH_ELIMINATION_H

#include "Model.h"

#include <memory>
#include <optional>

namespace mpopt::search {

/// A function of a few variables that looks at each through a class map.
struct Factor {
  struct Axis {
    int32_t variable;
    std::shared_ptr<const ClassMap> classes;
    int32_t count;
  };
  std::vector<Axis> axes;     ///< Row-major, the last fastest.
  const double *data;         ///< A table's values, or those below.
  std::vector<double> values; ///< Empty for a table.
};

/// Exact minimisation over some variables of a model, the others being held:
/// variables are eliminated one after the other (bucket elimination), in the
/// order of least work. The order and all sizes depend on the arcs alone, so
/// one plan serves any number of solves under changing unary costs.
class Elimination {
public:
  /// Plans the elimination of `free`, or nullopt where it would take more than
  /// `workLimit` additions or tables of more than `tableLimit` numbers.
  static std::optional<Elimination> plan(const Model &model, const std::vector<int32_t> &free, double workLimit,
                                         double tableLimit);

  /// Additions of one solve.
  double work() const { return totalWork; }

  /// The least of the unary costs plus the arcs among the free variables;
  /// unary[v][s] is the cost of strategy s of the model's variable v,
  /// kForbidden where it must not be taken. `choice` receives the strategies of
  /// the free variables and keeps the others. kForbidden where nothing is
  /// allowed; `choice` is unchanged then.
  double solve(const std::vector<std::vector<double>> &unary, std::vector<int32_t> &choice);

private:
  /// How one input of a step is addressed by the step's loops.
  struct Input {
    int32_t factor;
    int32_t inner = -1;                        ///< Its axis that is the innermost loop's variable, or -1.
    std::vector<std::vector<int64_t>> offsets; ///< Per outer axis of the output (empty: does not depend on
                                               ///< it).
    std::vector<int64_t> ownOffsets;           ///< Per class of the eliminated variable.
    std::vector<double> rows;                  ///< Data with the innermost variable refined and
                                               ///< last; empty if inner is -1.
  };
  struct Step {
    int32_t variable;
    std::shared_ptr<const ClassMap> classes; ///< Of the eliminated variable.
    int32_t classCount;
    std::vector<Input> inputs;
    int32_t output;            ///< Factor, or -1 for a number.
    std::vector<double> unary; ///< Per class: least unary cost.
    std::vector<int32_t> best; ///< Per class: the strategy that has it.
    double work;
  };
  class Planner;

  void prepareInput(const Step &step, Input &input);
  void classMinima(Step &step, const std::vector<double> &unary);
  double least(const Step &step) const;
  void run(Step &step);
  int32_t recover(const Step &step, const std::vector<int32_t> &choice) const;

  std::vector<std::unique_ptr<Factor>> factors;
  std::vector<Step> steps;
  double totalWork = 0;
};

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_ELIMINATION_H
