#ifndef MPOPT_LIB_SEARCH_STAGES_POWERS_H
#define MPOPT_LIB_SEARCH_STAGES_POWERS_H

#include "Frontier.h"
#include "mpopt/Search/Stages.h"

namespace mpopt::search {

/// 1, 2, 4, ... layers of one kind at one place, by the states before and after: (min,+) powers of the layer's own table. Made as they are
/// asked for.
class Powers {
public:
  Powers(const LayerTable &table, int states, int64_t held, double limit, size_t points);

  /// 2^exponent layers between two states.
  const Frontier &get(int exponent, int in, int out) {
    while (static_cast<size_t>(exponent) >= powers.size())
      square();
    return powers[exponent][in * states + out];
  }

  /// Appends what the layers of a trade do, in order.
  void unfold(int exponent, int in, int out, int32_t trade, std::vector<LayerChoice> &layers) const;

private:
  void square();

  int states;
  double limit;
  size_t points;
  std::vector<std::vector<Frontier>> powers;
};

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_STAGES_POWERS_H
