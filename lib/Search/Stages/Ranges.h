#ifndef MPOPT_LIB_SEARCH_STAGES_RANGES_H
#define MPOPT_LIB_SEARCH_STAGES_RANGES_H

#include "Powers.h"

#include <map>
#include <memory>
#include <tuple>

namespace mpopt::search {

/// Seconds of stages from one cut to another, at each place. Stages with the same end are made of each other: each is one more product over
/// the states before it. Known as far as they were asked for.
class Ranges {
public:
  Ranges(const StageProblem &problem, size_t points) : problem(problem), points(points) {}

  /// Layers before each cut, ascending from 0 to all; every border between runs is among them. Forgets ranges, not powers.
  void setCuts(std::vector<int64_t> layersBefore);
  size_t cuts() const { return cut.size(); }
  int64_t layersBefore(size_t index) const { return cut[index]; }

  /// All stages that end at one cut at one place.
  class Row {
  public:
    /// Seconds of the stage that begins `length` cuts before the end, or kForbidden; makes it if needed. False where every stage of that
    /// length or longer takes more than `most` seconds or does not fit.
    bool reaches(size_t length, double most, double &seconds);

  private:
    friend class Ranges;
    void extend();

    Ranges *ranges = nullptr;
    int place = 0;
    int64_t held = 0;
    size_t end = 0;
    double working = 0;
    std::vector<Frontier> tails; ///< By state at the stage's beginning, as far as it was made.
    std::vector<double> seconds; ///< By length - 1.
    std::vector<double> bounds;  ///< No longer stage takes less.
  };

  Row &row(int place, int64_t held, size_t end);

  /// The stage between two cuts in full.
  Stage unfold(int place, int64_t held, size_t begin, size_t end);

private:
  struct Step {
    int kind = 0;
    int exponent = 0;
    std::vector<Frontier> tails;
  };

  Powers &powers(int place, int64_t held, int kind);
  int kindAt(int64_t layer) const;
  std::vector<Frontier> start(const Place &place) const;
  std::vector<Frontier> prepend(const std::vector<Frontier> &tails, Powers &power, int exponent, double limit);
  /// Prepends `count` layers of a kind; calls note(exponent) before each product.
  template <typename Note>
  void prependLayers(std::vector<Frontier> &tails, Powers &power, int64_t count, double limit, Note note);

  const StageProblem &problem;
  size_t points;
  std::vector<int64_t> cut;
  std::map<std::tuple<int, int64_t, int>, std::unique_ptr<Powers>> made;
  std::map<std::tuple<int, int64_t, size_t>, Row> rows;
};

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_STAGES_RANGES_H
