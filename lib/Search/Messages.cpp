#include "Messages.h"
#include "Kernels.h"

#include <algorithm>

namespace mpopt::search {

Messages::Messages(const Model &model) : model(model) {
  for (const Arc &arc : model.arcs) {
    const Table &table = *arc.table;
    std::vector<double> &flipped = transposed[&table];
    if (flipped.empty())
      for (int32_t col = 0; col < table.cols; ++col)
        for (int32_t row = 0; row < table.rows; ++row)
          flipped.push_back(table.at(row, col));
    byOther[0].push_back(flipped.data());
    byOther[1].push_back(table.values.data());
    messages[0].emplace_back(size_t(table.rows), 0.0);
    messages[1].emplace_back(size_t(table.cols), 0.0);
    sweepWork += 2 * double(table.values.size());
  }
  for (const Variable &variable : model.variables)
    sweepWork += 6 * double(variable.costs.size() * (variable.arcs.size() + 1));
}

void Messages::moved(const Unary &unary, int32_t variable, std::vector<double> &costs) const {
  costs = unary[size_t(variable)];
  for (int32_t index : model.variables[size_t(variable)].arcs) {
    const Arc &arc = model.arcs[size_t(index)];
    int side = model.side(arc, variable);
    const std::vector<double> &message = messages[side][size_t(index)];
    const ClassMap &classes = *arc.classes[side];
    for (size_t s = 0; s < costs.size(); ++s)
      costs[s] += message[size_t(classes[s])];
  }
}

/// Moves all the arc can spare to one end: then every class of that end has a pair of cost 0 left.
void Messages::pull(int32_t index, int side) {
  std::vector<double> &own = messages[side][size_t(index)];
  const std::vector<double> &other = messages[1 - side][size_t(index)];
  scratch.resize(other.size());
  rows.resize(other.size());
  for (size_t c = 0; c < other.size(); ++c) {
    scratch[c] = -other[c];
    rows[c] = byOther[side][size_t(index)] + c * own.size();
  }
  std::fill(own.begin(), own.end(), kForbidden);
  minPlus(own.data(), scratch.data(), rows.data(), 1, other.size(), nullptr, int64_t(own.size()));
}

/// Moves a share of a variable's excess costs to an arc; its least cost stays.
void Messages::push(int32_t index, int side, const std::vector<double> &costs, double least, double share) {
  std::vector<double> &own = messages[side][size_t(index)];
  const ClassMap &classes = *model.arcs[size_t(index)].classes[side];
  scratch.assign(own.size(), kForbidden);
  for (size_t s = 0; s < costs.size(); ++s)
    scratch[size_t(classes[s])] = std::min(scratch[size_t(classes[s])], costs[s]);
  for (size_t c = 0; c < own.size(); ++c)
    own[c] -= share * (scratch[c] - least);
}

double Messages::pass(const Unary &unary, bool forward) {
  double bound = 0;
  std::vector<double> costs;
  int32_t count = int32_t(model.variables.size());
  for (int32_t i = 0; i < count; ++i) {
    int32_t variable = forward ? i : count - 1 - i;
    std::vector<int32_t> ahead;
    size_t behind = 0;
    for (int32_t index : model.variables[size_t(variable)].arcs) {
      const Arc &arc = model.arcs[size_t(index)];
      int side = model.side(arc, variable);
      if ((arc.ends[1 - side] > variable) == forward) {
        ahead.push_back(index);
      } else {
        pull(index, side);
        ++behind;
      }
    }
    moved(unary, variable, costs);
    double least = *std::min_element(costs.begin(), costs.end());
    bound += least;
    double share = 1.0 / double(std::max<size_t>({ahead.size(), behind, 1}));
    for (int32_t index : ahead)
      push(index, model.side(model.arcs[size_t(index)], variable), costs, least, share);
  }
  return bound;
}

double Messages::sweep(const Unary &unary) {
  pass(unary, true);
  // After the way back every arc has a pair of cost 0 and none below, so the variables' least costs are the whole bound.
  return pass(unary, false);
}

std::vector<int32_t> Messages::decode(const Unary &unary) const {
  std::vector<int32_t> choice(model.variables.size(), 0);
  std::vector<double> costs;
  for (int32_t v = 0; v < int32_t(choice.size()); ++v) {
    costs = unary[size_t(v)];
    for (int32_t index : model.variables[size_t(v)].arcs) {
      const Arc &arc = model.arcs[size_t(index)];
      int side = model.side(arc, v);
      int32_t other = arc.ends[1 - side];
      for (size_t s = 0; s < costs.size(); ++s)
        costs[s] += other < v ? arc.from(side, int32_t(s), choice[size_t(other)])
                              : messages[side][size_t(index)][size_t((*arc.classes[side])[s])];
    }
    choice[size_t(v)] = int32_t(std::min_element(costs.begin(), costs.end()) - costs.begin());
  }
  return choice;
}

} // namespace mpopt::search
