#include "Ball.h"
#include "Bound.h"
#include "RandomProblem.h"
#include "Routes.h"
#include "Walk.h"

#include <gtest/gtest.h>

using namespace mpopt::search;

namespace {

/// A connected model that nothing was taken from.
Model modelOf(uint64_t seed, int64_t nodes, int64_t edges, int64_t forbiddenPercent) {
  RandomShape shape;
  shape.nodes = nodes, shape.edges = edges, shape.strategies = 6, shape.forbiddenPercent = forbiddenPercent;
  Random random(seed);
  Model model;
  for (int64_t i = 0; i < nodes; ++i) {
    Variable variable{int32_t(i), {}, {}, {}, {}};
    int64_t size = 2 + random.below(shape.strategies - 1);
    for (int32_t s = 0; s < size; ++s)
      variable.strategies.push_back(s), variable.costs.push_back(double(random.below(40)));
    Use use{int32_t(i % 4), int32_t(i % 4 + 1 + random.below(3)), {}};
    for (int32_t s = 0; s < size; ++s)
      use.usages.push_back(random.below(50));
    variable.uses.push_back(use);
    model.variables.push_back(std::move(variable));
  }
  for (int64_t e = 0; e < edges; ++e) {
    int32_t a = int32_t(random.below(nodes)), b = int32_t((a + 1 + random.below(nodes - 1)) % nodes);
    int32_t ends[2] = {std::min(a, b), std::max(a, b)};
    bool known = std::any_of(model.arcs.begin(), model.arcs.end(),
                             [&](const Arc &arc) { return arc.ends[0] == ends[0] && arc.ends[1] == ends[1]; });
    if (known)
      continue;
    Arc arc{{ends[0], ends[1]}, {}, nullptr};
    Matrix matrix =
        randomMatrix(random, shape, model.variables[size_t(ends[0])].size(), model.variables[size_t(ends[1])].size());
    for (int side : {0, 1}) {
      ClassMap classes(model.variables[size_t(ends[side])].strategies.begin(),
                       model.variables[size_t(ends[side])].strategies.end());
      arc.classes[side] = std::make_shared<ClassMap>(classes);
      model.variables[size_t(ends[side])].arcs.push_back(int32_t(model.arcs.size()));
    }
    for (double &value : matrix.values)
      value *= 8;
    arc.table = std::make_shared<Table>(Table{matrix.rows, matrix.cols, matrix.values});
    model.arcs.push_back(arc);
  }
  model.room.assign(6, 150);
  return model;
}

/// Least cost over the variables in `free` by trying all.
double leastCost(const Model &model, std::vector<int32_t> choice, const std::vector<int32_t> &free) {
  for (int32_t v : free)
    choice[size_t(v)] = 0;
  double least = kForbidden;
  for (bool more = true; more;) {
    least = std::min(least, model.cost(choice));
    more = false;
    for (size_t i = 0; i < free.size() && !more; ++i) {
      size_t v = size_t(free[i]);
      more = ++choice[v] < model.variables[v].size();
      if (!more)
        choice[v] = 0;
    }
  }
  return least;
}

/// Costs of the free variables of a ball with their arcs to held ones.
std::vector<std::vector<double>> heldCosts(const Model &model, const Ball &ball, const std::vector<int32_t> &choice) {
  std::vector<std::vector<double>> unary;
  for (int32_t v : ball.variables()) {
    std::vector<double> costs = model.variables[size_t(v)].costs;
    for (int32_t index : model.variables[size_t(v)].arcs) {
      const Arc &arc = model.arcs[size_t(index)];
      int side = model.side(arc, v);
      if (!ball.contains(arc.ends[1 - side]))
        for (size_t s = 0; s < costs.size(); ++s)
          costs[s] += arc.from(side, int32_t(s), choice[size_t(arc.ends[1 - side])]);
    }
    unary.push_back(std::move(costs));
  }
  return unary;
}

/// Whether the variables outside of a ball break a rule among themselves.
bool heldIsForbidden(const Model &model, const Ball &ball, const std::vector<int32_t> &choice) {
  return std::any_of(model.arcs.begin(), model.arcs.end(), [&](const Arc &arc) {
    return !ball.contains(arc.ends[0]) && !ball.contains(arc.ends[1]) &&
           arc.at(choice[size_t(arc.ends[0])], choice[size_t(arc.ends[1])]) == kForbidden;
  });
}

void compareBall(uint64_t seed, double tableLimit, int64_t forbiddenPercent, int &heldSome) {
  Model model = modelOf(seed, 8, 6 + int64_t(seed % 14), forbiddenPercent);
  Flat flat(model);
  Ball ball(flat);
  std::mt19937_64 random(seed);
  std::vector<int32_t> choice(8, 0), free = {0, 2, 3, 4, 6, 7};
  for (int repeat = 0; repeat < 2; ++repeat) { // the buffers of the first plan serve the second
    ball.plan(free, {tableLimit, 1e9}, free[size_t(repeat)], random);
    heldSome += ball.variables().size() < free.size();
    if (heldIsForbidden(model, ball, choice))
      continue;
    double least = leastCost(model, choice, ball.variables());
    bool found = ball.solve(heldCosts(model, ball, choice), choice);
    EXPECT_EQ(found, least != kForbidden);
    if (found) {
      EXPECT_EQ(model.cost(choice), least);
    }
  }
}

TEST(Ball, EqualsExhaustiveSearch) {
  int heldSome = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    compareBall(seed, 1e6, int64_t(seed % 3) * 8, heldSome);
  }
  EXPECT_EQ(heldSome, 0);
}

TEST(Ball, HoldsVariablesWhereTablesGrowTooLarge) {
  int heldSome = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(seed);
    compareBall(seed, 12, int64_t(seed % 3) * 8, heldSome);
  }
  EXPECT_GT(heldSome, 50);
}

TEST(Walk, FollowsEveryChange) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    Model model = modelOf(seed + 500, 12, 24, 10);
    Flat flat(model);
    Random random(seed);
    Walk walk(flat, std::vector<int32_t>(12, 0));
    for (int step = 0; step < 30; ++step) {
      std::vector<int32_t> candidate = walk.choice(), changed;
      for (int i = 0; i < 4; ++i) {
        int32_t v = int32_t(random.below(12));
        if (std::find(changed.begin(), changed.end(), v) != changed.end())
          continue;
        changed.push_back(v);
        candidate[size_t(v)] = int32_t(random.below(flat.size(v)));
      }
      Merit measured = walk.measure(changed, candidate), fresh = Walk(flat, candidate).merit();
      EXPECT_EQ(measured.broken, fresh.broken);
      EXPECT_EQ(measured.excess, fresh.excess);
      EXPECT_EQ(measured.cost, fresh.cost);
      if (random.chance(50))
        walk.accept(changed, candidate);
      EXPECT_EQ(Walk(flat, walk.choice()).used(), walk.used());
    }
  }
}

TEST(Bound, TheCertifiedBoundHoldsAndIsNearTheOneOfTheSearch) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    Model model = modelOf(seed + 900, 6, 9, int64_t(seed % 3) * 8);
    ASSERT_TRUE(isIntegral(model));
    double least = kForbidden;
    std::vector<int32_t> choice(6, 0);
    for (bool more = true; more;) {
      if (model.fits(choice))
        least = std::min(least, model.cost(choice));
      more = false;
      for (size_t v = 0; v < 6 && !more; ++v) {
        more = ++choice[v] < model.variables[v].size();
        if (!more)
          choice[v] = 0;
      }
    }
    Flat flat(model);
    BoundSearch bounds(flat, {});
    Meter meter(3e6);
    bounds.run(meter, 3e6, kForbidden, true);
    EXPECT_LE(bounds.certified(), least);
    if (bounds.bound() != kForbidden) {
      EXPECT_NEAR(bounds.certified(), bounds.bound(), 1 + 1e-6 * std::abs(bounds.bound()));
    }
    if (least == kForbidden)
      continue;
    size_t removed = 0;
    std::vector<std::vector<char>> keep = bounds.survivors(least, removed);
    double leastLeft = kForbidden;
    Model rest = restricted(model, keep); // must still hold a best plan
    std::vector<int32_t> start(6, 0);
    for (bool more = true; more;) {
      if (rest.fits(start))
        leastLeft = std::min(leastLeft, rest.cost(start));
      more = false;
      for (size_t v = 0; v < 6 && !more; ++v) {
        more = ++start[v] < rest.variables[v].size();
        if (!more)
          start[v] = 0;
      }
    }
    EXPECT_EQ(leastLeft, least);
  }
}

} // namespace
