#include "mpopt/Search/Stages.h"

#include <gtest/gtest.h>
#include <random>

using namespace mpopt::search;

namespace {

/// Draws problems that are small enough to try everything.
class Drawer {
public:
  explicit Drawer(uint32_t seed) : random(seed) {}

  StageProblem problem(int64_t mostLayers) {
    StageProblem problem;
    int kinds = whole(1, 3), left = whole(2, static_cast<int>(mostLayers));
    while (left > 0) {
      int count = whole(1, left);
      problem.runs.push_back({whole(0, kinds - 1), count});
      left -= count;
    }
    int places = whole(1, 3);
    for (int i = 0; i < places; ++i)
      problem.places.push_back(place(kinds, i == 0 ? 1 : whole(1, 3)));
    problem.devices = whole(1, 5);
    problem.microbatches = whole(0, 3) == 0 ? 1 : whole(1, 12);
    int stages = whole(1, 4);
    for (int i = 0; i < stages; ++i) // as 1F1B, or all of them as GPipe
      problem.held.resize(i + 1, gpipe ? problem.microbatches : std::min<int64_t>(i + 1, problem.microbatches));
    problem.held[0] = gpipe ? problem.microbatches : 1;
    problem.minStages = whole(1, stages);
    problem.memoryBytes = whole(5, 70);
    if (whole(0, 5) == 0) {
      problem.minStages = stages;
      for (int i = 0; i < stages; ++i)
        problem.order.push_back(whole(0, places - 1));
    }
    return problem;
  }

  int whole(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); }

private:
  Place place(int kinds, int devices) {
    Place place;
    place.devices = devices;
    place.states = whole(1, 3);
    if (whole(0, 9) == 0)
      place.from = whole(0, 2);
    if (whole(0, 9) == 0)
      place.to = whole(2, 5);
    for (int kind = 0; kind < kinds; ++kind)
      place.kinds.push_back(table(place.states));
    for (int state = 0; state < place.states; ++state) {
      place.enter.push_back(seconds());
      place.leave.push_back(seconds());
    }
    return place;
  }

  LayerTable table(int states) {
    LayerTable table;
    table.workingBytes = whole(0, 3);
    table.enterSeconds = whole(0, 4) * 0.5;
    table.enterBytes = whole(0, 2);
    for (int pair = 0; pair < states * states; ++pair) {
      table.ways.emplace_back();
      for (int way = whole(0, 4) == 0 ? 0 : whole(1, 3); way > 0; --way)
        table.ways.back().push_back({1 + whole(0, 20) * 0.25, double(whole(0, 4)), double(whole(0, 4))});
    }
    return table;
  }

  double seconds() { return whole(0, 4) == 0 ? kForbidden : whole(0, 4) * 0.25; }

  std::mt19937 random;
  bool gpipe = whole(0, 1) == 0;
};

int kindAt(const StageProblem &problem, int64_t layer) {
  for (const LayerRun &run : problem.runs)
    if ((layer -= run.count) < 0)
      return run.kind;
  return 0;
}

/// Tries every cut, place, state and way, one layer after the other.
class Exhaustive {
public:
  explicit Exhaustive(const StageProblem &problem) : problem(problem) {}

  double run() {
    for (int64_t stages = problem.minStages; stages <= problem.maxStages(); ++stages)
      begin(0, stages, problem.devices, 0, 0);
    return best;
  }

private:
  void begin(int64_t layer, int64_t stagesLeft, int64_t devices, double sum, double slowest) {
    if (stagesLeft == 0) {
      if (layer == problem.layers() && devices == 0)
        best = std::min(best, sum + double(problem.microbatches - 1) * slowest);
      return;
    }
    if (layer == problem.layers())
      return;
    int64_t device = problem.devices - devices;
    for (const Place &place : problem.places) {
      bool asked = problem.order.empty() ||
                   &place == &problem.places[problem.order[problem.order.size() - static_cast<size_t>(stagesLeft)]];
      if (!asked || place.devices > devices || device < place.from || device + place.devices > place.to)
        continue;
      const LayerTable &first = place.kinds[kindAt(problem, layer)];
      for (int state = 0; state < place.states; ++state)
        if (place.enter[state] < kForbidden)
          inside({&place, stagesLeft, devices - place.devices, sum, slowest}, layer, state,
                 place.enter[state] + first.enterSeconds, first.enterBytes, 0);
    }
  }

  struct Around {
    const Place *place;
    int64_t stagesLeft, devices;
    double sum, slowest;
  };

  void inside(const Around &around, int64_t layer, int state, double seconds, double bytes, double working) {
    if (layer == problem.layers())
      return;
    const LayerTable &table = around.place->kinds[kindAt(problem, layer)];
    working = std::max(working, table.workingBytes);
    for (int out = 0; out < around.place->states; ++out)
      for (const LayerWay &way : table.ways[state * around.place->states + out]) {
        double now = bytes + way.stateBytes + double(problem.held[around.stagesLeft - 1]) * way.heldBytes;
        if (now + working > problem.memoryBytes)
          continue;
        double spent = seconds + way.seconds, end = spent + around.place->leave[out];
        if (end < kForbidden)
          begin(layer + 1, around.stagesLeft - 1, around.devices, around.sum + end, std::max(around.slowest, end));
        inside(around, layer + 1, out, spent, now, working);
      }
  }

  const StageProblem &problem;
  double best = kForbidden;
};

StageProblem equalLayers(int64_t layers, int64_t stages, int64_t microbatches) {
  StageProblem problem;
  problem.runs = {{0, 1}, {1, layers}, {2, 1}};
  LayerTable first{{{{0.5, 4, 0.1}}}, 0}, layer{{{{1, 1, 1}, {1.3, 1, 0.2}}}, 0}, last{{{{1.7, 4, 0.1}}}, 0};
  problem.places = {{1, 1, {first, layer, last}, {0}, {0}}};
  problem.devices = stages;
  problem.microbatches = microbatches;
  problem.minStages = stages;
  problem.held.clear();
  for (int64_t i = 1; i <= stages; ++i)
    problem.held.push_back(std::min(i, microbatches));
  problem.memoryBytes = 1e9;
  return problem;
}

TEST(Stages, CostsWhatTryingEverythingFinds) {
  int solved = 0, infeasible = 0;
  for (uint32_t seed = 1; seed <= 900; ++seed) {
    Drawer drawer(seed);
    StageProblem problem = drawer.problem(5);
    double best = Exhaustive(problem).run();
    auto solution = solveStages(problem);
    if (best == kForbidden) {
      EXPECT_FALSE(solution) << "seed " << seed;
      ++infeasible;
      continue;
    }
    ASSERT_TRUE(solution) << "seed " << seed << ": " << solution.error().message;
    auto cost = verify(problem, *solution);
    ASSERT_TRUE(cost) << "seed " << seed << ": " << cost.error().message;
    EXPECT_NEAR(*cost, best, 1e-6 * best) << "seed " << seed;
    EXPECT_NEAR(solution->cost, best, 1e-6 * best) << "seed " << seed;
    ++solved;
  }
  EXPECT_GT(solved, 200);
  EXPECT_GT(infeasible, 20);
}

TEST(Stages, RefinesCutsOfLongRuns) {
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    Drawer drawer(seed);
    StageProblem problem = equalLayers(drawer.whole(30, 60), drawer.whole(2, 5), drawer.whole(2, 9));
    problem.memoryBytes = drawer.whole(20, 120);
    StageOptions anywhere;
    anywhere.exactCuts = 100;
    auto exact = solveStages(problem, anywhere), refined = solveStages(problem, {.exactCuts = 1});
    ASSERT_EQ(exact.has_value(), refined.has_value()) << "seed " << seed;
    if (!exact)
      continue;
    ASSERT_TRUE(verify(problem, *refined));
    EXPECT_LE(refined->cost, 1.02 * exact->cost) << "seed " << seed;
  }
}

TEST(Stages, GivesTheStageWithTheLogitsFewerLayers) {
  auto solution = solveStages(equalLayers(8, 2, 16));
  ASSERT_TRUE(solution);
  EXPECT_EQ(solution->stages[0].count, 1 + 5);
  EXPECT_EQ(solution->stages[1].count, 3 + 1);
}

TEST(Stages, RecomputesOnlyWhereMemoryIsShort) {
  StageProblem problem = equalLayers(8, 2, 16);
  problem.memoryBytes = 14; // the first stage holds two microbatches
  auto solution = solveStages(problem);
  ASSERT_TRUE(solution);
  ASSERT_TRUE(verify(problem, *solution));
  auto recomputed = [](const Stage &stage) {
    return std::count_if(stage.layers.begin(), stage.layers.end(), [](LayerChoice c) { return c.way == 1; });
  };
  EXPECT_GT(recomputed(solution->stages[0]), 0);
  EXPECT_EQ(recomputed(solution->stages[1]), 0);
}

TEST(Stages, MixesPlacesOfDifferentSizes) {
  // 3 devices, the layers of which only places of 1 and 2 devices know how to split.
  StageProblem problem = equalLayers(6, 1, 32);
  problem.places.push_back(problem.places[0]);
  problem.places[1].devices = 2;
  for (LayerTable &table : problem.places[1].kinds)
    for (LayerWay &way : table.ways[0])
      way.seconds /= 1.9;
  problem.devices = 3;
  problem.minStages = 1;
  problem.held = {1, 2};
  auto solution = solveStages(problem);
  ASSERT_TRUE(solution);
  ASSERT_EQ(solution->stages.size(), 2U);
  EXPECT_NE(solution->stages[0].place, solution->stages[1].place);
}

TEST(Stages, LongRunsTakeAsManyProductsAsTheirLogarithm) {
  // 2^40 layers in 4 stages: anything that walks over layers would not end. One stage alone would list all of its layers, so only the
  // refusal is asked for.
  StageProblem problem = equalLayers(int64_t(1) << 40, 4, 8);
  problem.memoryBytes = 1e9;
  auto solution = solveStages(problem, {.points = 32});
  ASSERT_FALSE(solution);
  EXPECT_NE(solution.error().message.find("no pipeline fits the memory"), std::string::npos);
}

TEST(Stages, OnlyAnswersBelowWhatIsKnown) {
  StageProblem problem = equalLayers(8, 2, 16);
  auto solution = solveStages(problem);
  ASSERT_TRUE(solution);
  EXPECT_FALSE(solveStages(problem, {.below = solution->cost}));
  EXPECT_TRUE(solveStages(problem, {.below = solution->cost * 1.01}));
}

TEST(Stages, RefusesWhatIsMalformed) {
  StageProblem problem = equalLayers(4, 2, 4);
  problem.runs[1].kind = 7;
  EXPECT_FALSE(check(problem));
  problem = equalLayers(4, 2, 4);
  problem.places[0].enter.clear();
  EXPECT_FALSE(solveStages(problem));
  problem = equalLayers(4, 2, 4);
  problem.places[0].kinds[0].ways[0][0].seconds = -1;
  EXPECT_FALSE(check(problem));
}

TEST(Stages, VerifyFindsWhatIsWrong) {
  StageProblem problem = equalLayers(8, 2, 16);
  StageSolution good = *solveStages(problem), bad = good;
  EXPECT_TRUE(verify(problem, good));
  bad.stages[0].seconds *= 2;
  EXPECT_FALSE(verify(problem, bad));
  bad = good;
  bad.stages.pop_back();
  EXPECT_FALSE(verify(problem, bad));
  bad = good;
  bad.stages[1].layers[0].way = 9;
  EXPECT_FALSE(verify(problem, bad));
  problem.memoryBytes = 1;
  EXPECT_FALSE(verify(problem, good));
}

} // namespace
