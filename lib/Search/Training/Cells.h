#ifndef MPOPT_LIB_SEARCH_TRAINING_CELLS_H
#define MPOPT_LIB_SEARCH_TRAINING_CELLS_H

#include "mpopt/Search/TrainingPlanner.h"

#include <map>
#include <memory>
#include <tuple>

namespace mpopt::search {

/// What the seconds of a layer depend on: how a microbatch is shared out. Holds the prices under each kind of recomputation.
class Cell {
public:
  Cell(const TrainingQuery &query, int64_t tp, int64_t cp, int64_t ep, int64_t microbatch);
  Cell(const Cell &) = delete;
  Cell &operator=(const Cell &) = delete;

  const cost::TrainingPrices &prices(cost::Recompute recompute) const { return *made[static_cast<size_t>(recompute)]; }
  /// Devices that one copy of a layer is on.
  int64_t devices() const { return plans[0].tp * plans[0].cp; }
  const cost::TrainingPlan &plan() const { return plans[0]; }

  /// The whole model on one stage, by recomputation.
  struct Whole {
    cost::PartSeconds seconds;
    double activationBytes = 0;
    double workingBytes = 0;
  };
  std::array<Whole, 3> whole;
  double parameters = 0; ///< Of the whole model on one rank.

private:
  std::array<cost::TrainingPlan, 3> plans;
  std::array<std::unique_ptr<cost::TransformerPrices>, 3> made;
};

/// Makes cells once.
class Cells {
public:
  explicit Cells(const TrainingQuery &query) : query(query) {}

  /// Null where the shape does not allow such a cell.
  const Cell *get(int64_t tp, int64_t cp, int64_t ep, int64_t microbatch);

  /// Device-seconds of one sequence at its cheapest over all cells made so far, layer by layer.
  double leastWork() const;

private:
  const TrainingQuery &query;
  std::map<std::tuple<int64_t, int64_t, int64_t, int64_t>, std::unique_ptr<Cell>> cells;
};

/// Kinds of recomputation that are worth telling apart under the query.
std::vector<cost::Recompute> recomputations(const TrainingQuery &query);

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_TRAINING_CELLS_H
