#ifndef MPOPT_LIB_SEARCH_STAGES_COMPOSE_H
#define MPOPT_LIB_SEARCH_STAGES_COMPOSE_H

#include "Ranges.h"

namespace mpopt::search {

/// Composes stages from the end of the chain to its beginning, none slower than a given time.
class Composer {
public:
  Composer(const StageProblem &problem, const StageOptions &options);

  void setCuts(std::vector<int64_t> layersBefore) { ranges.setCuts(std::move(layersBefore)); }

  /// A stage between two cuts.
  struct Piece {
    int place = 0;
    int64_t held = 0;
    size_t begin = 0;
    size_t end = 0;
  };
  struct Pipeline {
    std::vector<Piece> pieces;
    double sum = kForbidden; ///< Of the stages' seconds.
    double slowest = 0;
  };

  /// The pipeline of least sum whose stages take at most `most` seconds; without pieces where there is none.
  Pipeline compose(double most);

  /// No pipeline has a lower sum, or a faster slowest stage.
  double leastSum() const { return sumBound; }
  double leastSlowest() const { return workBefore(problem.layers()) / static_cast<double>(problem.devices); }

  StageSolution unfold(const Pipeline &pipeline);

private:
  /// The stages from a cut to the end, and how many devices they use.
  struct Cell {
    size_t begin = 0;
    int64_t devices = 0;
    double sum = kForbidden;
    double slowest = 0;
    int place = 0;
    int32_t next = -1; ///< Cell of one stage fewer.
  };
  using Level = std::vector<Cell>;

  void extend(const Level &level, size_t index, int64_t stages, double most, Level &longer);
  bool mayBe(int place, int64_t stages, int64_t device) const;
  bool canFinish(size_t begin, int64_t devices, int64_t stages, double most) const;
  void offer(Level &level, const Cell &cell);
  double workBefore(int64_t layer) const;
  Pipeline trace(const std::vector<Level> &levels, size_t level, int32_t cell) const;

  const StageProblem &problem;
  Ranges ranges;
  int64_t unit = 1;               ///< Divides the devices of every place.
  std::vector<double> workOfKind; ///< Least device-seconds of a layer.
  std::vector<int64_t> runEnds;   ///< Layers up to the end of each run, from 0 on,
  std::vector<double> workToRun;  ///< and their least device-seconds.
  double sumBound = 0;
  std::vector<int32_t> slots; ///< Number of the cell, by cut and devices, while a level is made.
};

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_STAGES_COMPOSE_H
