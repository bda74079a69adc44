#ifndef MPOPT_LIB_SEARCH_BALL_H
#define MPOPT_LIB_SEARCH_BALL_H

#include "Flat.h"

#include <random>

namespace mpopt::search {

/// Exact minimisation over a few variables with all others held, by elimination. Where that would take too large tables,
/// further variables are held. Made for many small calls: nothing is allocated once the buffers have grown.
class Ball {
public:
  explicit Ball(const Flat &flat);

  struct Limits {
    double table; ///< Numbers in one table.
    double work;  ///< Additions of one solve.
  };

  /// Chooses the order for the variables of `free`, and which of them to hold. `keep` is held last.
  void plan(const std::vector<int32_t> &free, Limits limits, int32_t keep, std::mt19937_64 &random);

  /// The variables that are minimised over, in the order of elimination.
  const std::vector<int32_t> &variables() const { return order; }
  bool contains(int32_t variable) const { return place[size_t(variable)] >= 0; }
  double work() const { return planned; }

  /// unary[i][s]: cost of strategy s of variables()[i], without the arcs between free variables. Writes the minimiser into
  /// `choice` at the free variables; false where nothing is allowed.
  bool solve(const std::vector<std::vector<double>> &unary, std::vector<int32_t> &choice);

private:
  struct Step {
    std::vector<int32_t> scope;    ///< Places, ascending: the last is the innermost axis of the output.
    std::vector<int32_t> children; ///< Steps whose output is consumed here.
    size_t output = 0;             ///< In `numbers`.
    size_t size = 0;
  };
  /// An input of a step that depends on an outer axis of its output.
  struct Input {
    const double *data;
    int64_t own;                ///< Stride of the eliminated variable.
    std::vector<int64_t> outer; ///< Stride per outer axis.
  };

  void connect(const std::vector<int32_t> &free);
  void holdOne(int32_t tight, int32_t keep, std::mt19937_64 &random);
  void eliminate(int32_t local);
  void settleOrder();
  void push(int32_t local);
  void run(int32_t at, const std::vector<double> &unary);
  void gather(const Step &step, const std::vector<Flat::Link> &links, int32_t at);
  int32_t best(int32_t at, const std::vector<double> &unary, const std::vector<int32_t> &choice) const;
  int64_t widthOf(int32_t at) const { return flat.padded(order[size_t(at)]); }

  const Flat &flat;
  std::vector<int32_t> place;                 ///< Per variable: place in `order`, or -1.
  std::vector<int32_t> order;                 ///< Free variables.
  std::vector<Step> steps;                    ///< Per place.
  std::vector<int32_t> local;                 ///< While planning, per variable: index in `members`, or -1.
  std::vector<int32_t> members;               ///< While planning.
  std::vector<std::vector<int32_t>> adjacent; ///< While planning, per member.
  std::vector<double> tableOf;                ///< While planning, per member: size of its output; -1 once gone.
  std::vector<std::pair<double, int32_t>> heap;
  std::vector<std::pair<int32_t, std::vector<int32_t>>> eliminated; ///< Members and their scopes.
  double planned = 0;
  std::vector<double> numbers, matrix, bases;
  std::vector<const double *> rows;
  std::vector<Input> baseInputs, rowInputs;
  size_t baseCount = 0, rowCount = 0;
};

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_BALL_H
