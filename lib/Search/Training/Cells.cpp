#include "Cells.h"

#include <algorithm>

namespace mpopt::search {

using cost::Recompute;
using cost::TrainingPlan;
using cost::TrainingPrices;

namespace {

constexpr std::array<Recompute, 3> kRecomputes = {Recompute::None, Recompute::Selective, Recompute::Full};

TrainingPlan planOf(const TrainingQuery &query, int64_t tp, int64_t cp, int64_t ep, int64_t microbatch) {
  TrainingPlan plan;
  plan.tp = tp;
  plan.cp = cp;
  plan.ep = plan.dp = ep;
  plan.microbatch = microbatch;
  plan.globalBatch = ep * microbatch;
  plan.sequenceParallel = tp > 1 && query.shape.sequence % (tp * cp) == 0;
  plan.precision = query.precision;
  plan.type = query.type;
  return plan;
}

} // namespace

Cell::Cell(const TrainingQuery &query, int64_t tp, int64_t cp, int64_t ep, int64_t microbatch) {
  int64_t layers = query.shape.layers;
  for (size_t i = 0; i < kRecomputes.size(); ++i) {
    plans[i] = planOf(query, tp, cp, ep, microbatch);
    plans[i].recompute = kRecomputes[i];
    made[i] = std::make_unique<cost::TransformerPrices>(*query.machine, *query.stack, query.shape, plans[i]);
    whole[i] = {made[i]->range(0, layers), made[i]->activationBytes(0, layers), made[i]->workingBytes(0, layers)};
  }
  parameters = made[0]->parameters(0, layers);
}

const Cell *Cells::get(int64_t tp, int64_t cp, int64_t ep, int64_t microbatch) {
  auto [found, isNew] = cells.try_emplace({tp, cp, ep, microbatch});
  if (isNew && query.shape.sequence % cp == 0 && cost::check(query.shape, planOf(query, tp, cp, ep, microbatch)))
    found->second = std::make_unique<Cell>(query, tp, cp, ep, microbatch);
  return found->second.get();
}

double Cells::leastWork() const {
  int64_t layers = query.shape.layers;
  double layer = kForbidden, ends = kForbidden;
  for (const auto &[key, cell] : cells) {
    if (!cell)
      continue;
    for (Recompute recompute : recomputations(query)) {
      const TrainingPrices &prices = cell->prices(recompute);
      cost::PartSeconds all = prices.range(0, layers);
      cost::PartSeconds middle = layers > 2 ? prices.range(1, layers - 2) : cost::PartSeconds{};
      double share = static_cast<double>(cell->devices()) / static_cast<double>(cell->plan().microbatch);
      double one = layers > 2 ? (middle.forward + middle.backward()) / static_cast<double>(layers - 2) : 0;
      layer = std::min(layer, one * share);
      ends = std::min(ends, (all.forward + all.backward() - one * static_cast<double>(layers)) * share);
    }
  }
  return static_cast<double>(layers) * layer + ends;
}

std::vector<Recompute> recomputations(const TrainingQuery &query) {
  if (query.pins.recompute)
    return {*query.pins.recompute};
  // With fused attention there are no scores to recompute.
  if (query.stack->fusedAttention)
    return {Recompute::None, Recompute::Full};
  return {Recompute::None, Recompute::Selective, Recompute::Full};
}

} // namespace mpopt::search
