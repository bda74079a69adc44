#ifndef MPOPT_LIB_SEARCH_LOCALSEARCH_H
#define MPOPT_LIB_SEARCH_LOCALSEARCH_H

#include "Model.h"

namespace mpopt::search {

/// Walks from plan to plan, one strategy at a time, with the usage of every row
/// kept up to date.
class LocalSearch {
public:
  LocalSearch(const Model &model, std::vector<int32_t> choice);

  const std::vector<int32_t> &choice() const { return current; }
  bool fits() const;

  /// Takes the cheapest memory off overfull rows until all fit; false where
  /// that gets stuck.
  bool repair();

  /// From a plan that fits, changes single strategies as long as that lowers
  /// the cost and still fits.
  void improve();

  /// Additions done so far, about.
  double work() const { return done; }

private:
  struct Move {
    int32_t variable = -1;
    int32_t strategy = -1;
    double score = kForbidden;
  };

  void addUse(int32_t variable, int64_t sign);
  void change(int32_t variable, int32_t strategy);
  /// Cost of each strategy of a variable with all others as they are.
  void conditionalCosts(int32_t variable, std::vector<double> &costs);
  bool fitsWith(int32_t variable, int32_t strategy);
  Move cheapestRelief();

  const Model &model;
  std::vector<int32_t> current;
  std::vector<int64_t> used;
  double done = 0;
};

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_LOCALSEARCH_H
