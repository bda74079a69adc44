#ifndef MPOPT_LIB_SEARCH_FOREST_H
#define MPOPT_LIB_SEARCH_FOREST_H

#include "Model.h"

namespace mpopt::search {

/// Improves a plan around some variables where a model is too wide for elimination. A round frees variables whose arcs form a forest, grown from
/// the seeds outwards, holds the others, and minimises over the free ones exactly; the next round frees first what the last one held.
/// Messages run over classes, so a round takes as long as reading the tables.
class ForestSearch {
public:
  /// Per variable and strategy: its cost, kForbidden where it must not be taken.
  using Costs = std::vector<std::vector<double>>;

  ForestSearch(const Model &model, std::vector<int32_t> choice) : model(model), choice_(std::move(choice)) {}

  /// Rounds over the variables at most `radius` arcs away from the seeds, until one gains nothing or `rounds` are over; returns whether the plan
  /// is allowed by `costs` then. The seeds are free in every round; what is held must be allowed.
  bool improve(const std::vector<int32_t> &seeds, const Costs &costs, int radius, int rounds);

  const std::vector<int32_t> &choice() const { return choice_; }
  /// Numbers read so far.
  double work() const { return spent; }

private:
  /// A free variable, with the arc towards its root; -1 at a root.
  struct Place {
    int32_t variable, arc, parent;
  };

  std::vector<int32_t> reach(const std::vector<int32_t> &seeds, int radius) const;
  std::vector<Place> grow(const std::vector<int32_t> &order);
  double minimise(const std::vector<Place> &places, const Costs &costs);
  std::vector<double> message(const Arc &arc, int side, const std::vector<double> &own);
  int32_t other(const Arc &arc, int32_t variable) const { return arc.ends[arc.ends[0] == variable ? 1 : 0]; }

  const Model &model;
  std::vector<int32_t> choice_;
  std::vector<char> isFree;
  double spent = 0;
};

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_FOREST_H
