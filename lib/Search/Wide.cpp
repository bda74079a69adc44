#include "Wide.h"
#include "BallSearch.h"
#include "Bound.h"
#include "Routes.h"

#include <algorithm>
#include <cmath>
#include <thread>

namespace mpopt::search {

namespace {

constexpr int kRounds = 4;
/// Shares of a descent for the bound: of the first round, and of later ones.
constexpr double kFirstBoundShare = 0.45, kBoundShare = 0.12;
/// Share of the strategies that must be ruled out to be worth a new layout.
constexpr double kWorthwhileShare = 0.03;
/// Variables below which the bound is cheap enough to be started anew each time.
constexpr size_t kSmall = 1000;
/// Shares of all effort for one descent, and until which new ones are begun.
constexpr double kDescentShare = 0.12, kSmallDescentShare = 0.06, kRestartShare = 0.6;
/// Most of all effort that a first plan may take.
constexpr double kFirstPlanShare = 0.01;

/// Strategies in the numbers of the problem, which restricting a model leaves alone.
std::vector<int32_t> toProblem(const Model &model, const std::vector<int32_t> &choice) {
  std::vector<int32_t> result(choice.size());
  for (size_t v = 0; v < choice.size(); ++v)
    result[v] = model.variables[v].strategies[size_t(choice[v])];
  return result;
}

/// The choice in a restricted model; empty where it lacks a strategy.
std::vector<int32_t> fromProblem(const Model &model, const std::vector<int32_t> &strategies) {
  std::vector<int32_t> result(strategies.size());
  for (size_t v = 0; v < result.size(); ++v) {
    const std::vector<int32_t> &own = model.variables[v].strategies;
    auto at = std::lower_bound(own.begin(), own.end(), strategies[v]);
    if (at == own.end() || *at != strategies[v])
      return {};
    result[v] = int32_t(at - own.begin());
  }
  return result;
}

} // namespace

void Incumbent::offer(const Model &model, const std::vector<int32_t> &choice, double value) {
  std::lock_guard<std::mutex> lock(mutex);
  if (value >= cost)
    return;
  cost = value;
  strategies = toProblem(model, choice);
  if (onChange)
    onChange({strategies, cost, bound});
}

void Incumbent::raise(double value) {
  std::lock_guard<std::mutex> lock(mutex);
  double raised = std::max(bound, std::min(value, cost));
  if (raised <= bound)
    return;
  bound = raised;
  if (onChange)
    onChange({strategies, cost, bound});
}

Incumbent::State Incumbent::state() const {
  std::lock_guard<std::mutex> lock(mutex);
  return {strategies, cost, bound};
}

namespace {

/// One searcher: bound, plan, strategies ruled out, over and over.
class Worker {
public:
  Worker(const Model &root, Incumbent &shared, Meter &meter, uint64_t seed, double gap)
      : model(std::make_unique<Model>(root)), shared(shared), meter(meter), seed(seed), gap(gap),
        integral(isIntegral(root)) {}

  /// Descents begin with a temperature each, the first with number `temperature` of them.
  void run(uint64_t temperature);
  void runBriefly();

private:
  void descend(double until, bool fresh, double temperature);
  void round(double until, double boundShare, bool first, double temperature);
  void restrict();
  double descentWork() const;
  bool closed() const;

  void layOut();

  std::unique_ptr<Model> model; ///< Without the strategies that were ruled out.
  std::unique_ptr<Flat> flat;
  std::unique_ptr<BoundSearch> bounds;
  Incumbent &shared;
  Meter &meter;
  uint64_t seed;
  double gap;
  bool integral;
  Prices prices;
  std::vector<int32_t> start; ///< In the numbers of the problem; empty: what the bound suggests.
};

bool Worker::closed() const {
  Incumbent::State state = shared.state();
  double slack = std::max(gap, 1e-9) * std::abs(state.cost);
  return state.cost != kForbidden && state.cost - state.bound <= std::max(slack, integral ? 0.5 : 0.0);
}

void Worker::layOut() {
  flat = std::make_unique<Flat>(*model);
  bounds = std::make_unique<BoundSearch>(*flat, prices);
}

/// Plans that use a strategy whose least cost is above the best known plan's need not be looked at.
void Worker::restrict() {
  Incumbent::State state = shared.state();
  if (state.cost == kForbidden)
    return;
  size_t removed = 0, all = 0;
  std::vector<std::vector<char>> keep = bounds->survivors(state.cost, removed);
  for (const std::vector<char> &strategies : keep)
    all += strategies.size();
  if (double(removed) < kWorthwhileShare * double(all))
    return;
  std::vector<int32_t> own = fromProblem(*model, state.strategies);
  for (size_t v = 0; v < own.size(); ++v)
    keep[v][size_t(own[v])] = 1;
  for (std::vector<char> &strategies : keep)
    if (std::none_of(strategies.begin(), strategies.end(), [](char k) { return k; }))
      return; // another searcher closed the gap
  auto rest = std::make_unique<Model>(restricted(*model, keep));
  bounds.reset(), flat.reset();
  model = std::move(rest);
}

void Worker::round(double until, double boundShare, bool first, double temperature) {
  if (!bounds)
    layOut();
  bounds->run(meter, meter.now() + boundShare * (until - meter.now()), shared.state().cost, first);
  prices = bounds->prices();
  shared.raise(integral ? bounds->certified() : bounds->bound());
  std::vector<int32_t> choice = start.empty() ? std::vector<int32_t>() : fromProblem(*model, start);
  if (choice.empty())
    choice = bounds->choice();
  if (choice.empty() || closed())
    return;
  BallSearch search(*flat, prices, choice, seed++);
  search.run(meter, until, kForbidden, temperature);
  if (search.merit().allowed())
    shared.offer(*model, search.best(), model->cost(search.best()));
  start = toProblem(*model, search.best());
  if (!meter.over())
    restrict();
}

/// Rounds until a point; `fresh` ones forget the plan they come from, others go on from the best one known.
void Worker::descend(double until, bool fresh, double temperature) {
  if (fresh) {
    start.clear();
    if (model->variables.size() < kSmall)
      prices.clear(), bounds.reset();
  }
  bool small = model->variables.size() < kSmall;
  for (int i = 0; i < kRounds && !meter.past(until) && !closed(); ++i) {
    bool first = fresh && i == 0;
    double share = first ? (small ? 0.45 : 0.6) : 1.0 / (kRounds - i);
    if (!fresh)
      start = shared.state().strategies;
    round(meter.now() + share * (until - meter.now()), first ? kFirstBoundShare : kBoundShare, first, temperature);
    temperature /= 2;
  }
}

/// Least effort for which starting anew is worthwhile.
double Worker::descentWork() const {
  double work = 1e6 * double(model->variables.size());
  for (const Arc &arc : model->arcs)
    work += 1600 * double(arc.table->values.size());
  return work;
}

/// Where a descent ends depends on where it began, so there are several, and then the best plan is worked on.
void Worker::run(uint64_t temperature) {
  static constexpr double kTemperatures[] = {0, 0.01, 0.003, 0.03};
  double share = model->variables.size() < kSmall ? kSmallDescentShare : kDescentShare;
  double begin = meter.now(), total = meter.end() - begin, length = std::max(share * total, descentWork());
  for (int i = 0; !meter.over() && !closed(); ++i) {
    if (i > 0 && meter.now() - begin + length > kRestartShare * total)
      break;
    descend(std::min(meter.end(), meter.now() + length), true, kTemperatures[(i + temperature) % 4]);
    seed += 7919;
  }
  for (int i = 0; !meter.over() && !closed(); ++i)
    descend(meter.now() + std::max(length, 0.5 * (meter.end() - meter.now())), false, i % 2 ? 0.002 : 0);
}

void Worker::runBriefly() {
  double begin = meter.now();
  descend(begin + std::min(kFirstPlanShare * (meter.end() - begin), descentWork()), true, 0);
}

} // namespace

void findFirstPlan(const Model &model, Meter meter, uint64_t seed, Incumbent &shared) {
  Worker(model, shared, meter, seed, 0).runBriefly();
}

void searchWidely(const Model &model, Meter meter, const WideOptions &options, Incumbent &shared) {
  std::vector<std::thread> threads;
  auto work = [&](int index) {
    Meter own = meter;
    Worker(model, shared, own, options.seed * 1000 + uint64_t(index) * 100, options.gap)
        .run(options.seed * 10 + uint64_t(index));
  };
  for (int i = 1; i < options.threads; ++i)
    threads.emplace_back(work, i);
  work(0);
  for (std::thread &thread : threads)
    thread.join();
}

Outcome outcomeOf(const Model &model, const Incumbent::State &state) {
  Outcome outcome;
  outcome.bound = state.bound;
  if (state.cost == kForbidden)
    return outcome;
  outcome.cost = state.cost;
  outcome.choice = fromProblem(model, state.strategies);
  return outcome;
}

Outcome searchWidely(const Model &model, Budget &budget, uint64_t seed, const Outcome &known) {
  Incumbent shared;
  if (known.found())
    shared.offer(model, known.choice, known.cost);
  searchWidely(model, Meter(budget.left), {seed, 1, budget.gap}, shared);
  budget.left = 0;
  return outcomeOf(model, shared.state());
}

} // namespace mpopt::search
