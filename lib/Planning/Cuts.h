#ifndef MPOPT_LIB_PLANNING_CUTS_H
#define MPOPT_LIB_PLANNING_CUTS_H

#include <cstdint>
#include <optional>
#include <vector>

namespace mpopt::planning {

/// A program as a chain of operators that is to be cut into stages.
struct Chain {
  std::vector<double> seconds;         ///< Per operator, for one microbatch.
  std::vector<int64_t> weightBytes;    ///< Per operator.
  std::vector<int64_t> liveBytes;      ///< Per operator: results that are alive while it runs.
  std::vector<int64_t> crossingBytes;  ///< Before operator i: results that are made earlier and used from there on.
  std::vector<double> transferSeconds; ///< Before operator i: to bring these to another stage.

  size_t size() const { return seconds.size(); }
};

/// What stages cost.
struct CutCost {
  double sumSeconds = 0; ///< Of all stages, transfers included.
  double maxSeconds = 0; ///< Of the slowest.
  int64_t maxBytes = 0;  ///< Of the largest: weights, live results, and what it has received.
};

enum class CutGoal { Latency, Throughput, Memory };

/// The first operators of the stages that follow the first one: `stages` - 1 numbers, ascending. The cuts minimise, for `microbatches` equal passes,
/// latency: sumSeconds + (microbatches - 1) * maxSeconds; throughput: maxSeconds; memory: maxBytes; no stage exceeds `memoryLimit`. Exact
/// over at most kMaxCuts places, where fewest bytes cross, but for the trade between sum and maximum, which is tried at a few maxima; of what is
/// within two hundredths of the best the most even is taken. Nothing where no cut fits. Deterministic.
inline constexpr size_t kMaxCuts = 512;
std::optional<std::vector<size_t>> chooseCuts(const Chain &chain, int64_t stages, int64_t microbatches, CutGoal goal,
                                              int64_t memoryLimit);

/// Where stages may begin, and the end: all places, or of each of `most` stretches of equal time the one where fewest bytes cross.
std::vector<size_t> cutPlaces(const Chain &chain, size_t most);

/// What the stages that these cuts make cost.
CutCost costOfCuts(const Chain &chain, const std::vector<size_t> &cuts);

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_CUTS_H
