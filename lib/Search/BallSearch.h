#ifndef MPOPT_LIB_SEARCH_BALLSEARCH_H
#define MPOPT_LIB_SEARCH_BALLSEARCH_H

#include "Ball.h"
#include "Meter.h"
#include "Prices.h"
#include "Walk.h"

namespace mpopt::search {

/// Large-neighbourhood search on models of any width: frees a ball of variables, minimises over them exactly at some prices for
/// memory, keeps what is no worse.
class BallSearch {
public:
  BallSearch(const Flat &flat, const Prices &prices, std::vector<int32_t> start, uint64_t seed);

  /// Steps until the meter passes `until`, or `patience` of effort brought nothing. `temperature`: by what share of the cost a
  /// step may make the plan worse at first; it falls to zero by `until`.
  void run(Meter &meter, double until, double patience, double temperature);

  /// The best plan so far.
  const std::vector<int32_t> &best() const { return bestChoice; }
  const Merit &merit() const { return bestMerit; }

private:
  void collect(int32_t seed, size_t size);
  void chooseFree();
  void heldCosts();
  void priceMemory();
  void raisePrices();
  bool attempt(double allowance);
  void step(Meter &meter, double allowance);
  uint64_t below(uint64_t n) { return random() % n; }
  int32_t hub();
  int32_t sharer(int32_t variable);

  const Flat &flat;
  Ball ball;
  Walk walk;
  Prices prices;
  std::mt19937_64 random;
  std::vector<int32_t> bestChoice;
  Merit bestMerit;
  double meanTable = 0, floorPrice = 0;
  std::vector<int32_t> ends;               ///< Each variable once per arc.
  std::vector<std::vector<int32_t>> byRow; ///< Per bucket of rows: variables with memory there.
  std::vector<char> inside;
  std::vector<int32_t> free;
  std::vector<std::vector<double>> held, memory, unary;
  std::vector<double> noise;
  Prices local;
  std::vector<int32_t> candidate;
  double factor = 1;
  int64_t steps = 0;
};

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_BALLSEARCH_H
