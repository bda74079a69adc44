#include "mpopt/Cost/Training/Calibrate.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

namespace mpopt::cost {

using machine::LayerProfile;
using machine::Stack;
using machine::StackConstant;

namespace {

constexpr double kNoise = 0.04;
constexpr double kOutlier = 2; ///< Beyond so many times the noise the misfit grows linearly (pseudo-Huber).

double secondsOf(const Stack &stack, const MeasuredStep &step) {
  return priceStep(*step.machine, stack, step.plan, TransformerPrices(*step.machine, stack, step.shape, step.plan))
      .seconds;
}

/// Negative logarithm of the posterior, less what is constant.
double misfit(const Stack &stack, const Stack &start, std::span<const MeasuredStep> steps, double spread) {
  double sum = 0;
  for (const MeasuredStep &step : steps) {
    double error = std::log(secondsOf(stack, step) / step.seconds) / kNoise;
    sum += kOutlier * kOutlier * (std::sqrt(1 + error * error / (kOutlier * kOutlier)) - 1);
  }
  for (const StackConstant &constant : machine::stackConstants())
    if (constant.spread > 0 && start.*constant.field > 0) {
      double moved = std::log(stack.*constant.field / start.*constant.field) / (constant.spread * spread);
      sum += 0.5 * moved * moved;
    }
  return sum;
}

/// One try in each direction; whether it helped.
bool improve(Stack &stack, const StackConstant &constant, double step, const Stack &start,
             std::span<const MeasuredStep> steps, double spread, double &best) {
  double before = stack.*constant.field;
  for (double factor : {std::exp(step), std::exp(-step)}) {
    stack.*constant.field = std::clamp(before * factor, constant.low, constant.high);
    if (double now = misfit(stack, start, steps, spread); now < best - 1e-9)
      return best = now, true;
  }
  stack.*constant.field = before;
  return false;
}

using LayerKey = std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, int64_t>;

LayerKey keyOf(const MeasuredStep &step) {
  return {step.shape.hidden,   step.shape.heads, step.shape.feedForward,
          step.shape.sequence, step.plan.tp,     step.plan.microbatch};
}

LayerProfile layerOf(const Stack &stack, const MeasuredStep &step, double factor) {
  TrainingPlan plan = step.plan;
  plan.recompute = Recompute::None;
  plan.cp = 1;
  PartSeconds seconds = analyticLayerSeconds(*step.machine, stack, step.shape, plan);
  return {step.shape.hidden, step.shape.heads,     step.shape.feedForward,   step.shape.sequence,
          step.plan.tp,      step.plan.microbatch, seconds.forward * factor, seconds.backward() * factor};
}

/// The factor on the layer that makes the step's price the measured one, or 0 where layers are too small a part.
double impliedFactor(const Stack &plain, const MeasuredStep &step) {
  Stack stack = plain;
  auto priced = [&](double factor) {
    stack.profile = {layerOf(plain, step, factor)};
    return secondsOf(stack, step);
  };
  double whole = priced(1), less = priced(0.9);
  double share = (whole - less) / (0.1 * whole);
  if (share < 0.5)
    return 0;
  double low = 0.25, high = 4;
  for (int i = 0; i < 40; ++i) {
    double middle = std::sqrt(low * high);
    (priced(middle) < step.seconds ? low : high) = middle;
  }
  return std::sqrt(low * high);
}

} // namespace

Stack fitStack(const Stack &start, std::span<const MeasuredStep> steps, double spread) {
  Stack stack = start;
  stack.profile.clear();
  double best = misfit(stack, start, steps, spread);
  std::vector<StackConstant> constants;
  for (const StackConstant &constant : machine::stackConstants())
    if (constant.spread > 0 && start.*constant.field > 0 && (steps.size() > 2 || constant.key == "matmul"))
      constants.push_back(constant);
  for (double step = 0.2; step > 0.004; step /= 2)
    for (bool better = true; better;) {
      better = false;
      for (const StackConstant &constant : constants)
        better |= improve(stack, constant, step, start, steps, spread, best);
    }
  return stack;
}

void profileLayers(Stack &stack, std::span<const MeasuredStep> steps) {
  struct Cell {
    const MeasuredStep *step;
    double logarithms = 0, count = 0;
  };
  std::map<LayerKey, Cell> cells;
  for (const MeasuredStep &step : steps)
    if (double factor = step.plan.cp == 1 ? impliedFactor(stack, step) : 0; factor > 0) {
      Cell &cell = cells.try_emplace(keyOf(step), Cell{&step}).first->second;
      cell.logarithms += std::log(factor);
      cell.count += 1;
    }
  std::vector<LayerProfile> profile;
  for (const auto &[key, cell] : cells)
    profile.push_back(layerOf(stack, *cell.step, std::exp(cell.logarithms / (cell.count + 0.3))));
  stack.profile = std::move(profile);
}

} // namespace mpopt::cost
