#include "Messages.h"
#include "Kernels.h"

#include <algorithm>

namespace mpopt::search {

Messages::Messages(const Flat &flat) : flat(flat) {
  int64_t total = 0;
  for (int32_t v = 0; v < int32_t(flat.sizes.size()); ++v) {
    starts.push_back(total);
    total += int64_t(flat.links[size_t(v)].size()) * flat.padded(v);
    sweepWork += 6 * double(flat.padded(v)) * double(flat.links[size_t(v)].size() + 1);
    for (const Flat::Link &link : flat.links[size_t(v)])
      sweepWork += double(flat.size(v)) * flat.padded(link.other);
  }
  messages.assign(size_t(total), 0.0);
}

void Messages::moved(const FlatCosts &unary, int32_t variable, std::vector<double> &costs) const {
  size_t width = size_t(flat.padded(variable));
  const double *own = unary.data() + flat.starts[size_t(variable)];
  costs.assign(own, own + width);
  for (size_t j = 0; j < flat.links[size_t(variable)].size(); ++j) {
    const double *add = message(messages, variable, j);
    for (size_t s = 0; s < width; ++s)
      costs[s] += add[s];
  }
}

/// Moves all the arc can spare to one end: then every strategy of that end has a pair of cost 0 left.
void Messages::pull(int32_t variable, size_t at) {
  const Flat::Link &link = flat.links[size_t(variable)][at];
  size_t others = size_t(flat.size(link.other));
  int64_t width = flat.padded(variable);
  scratch.resize(std::max(scratch.size(), others)), rows.resize(std::max(rows.size(), others));
  const double *other = message(messages, link.other, size_t(link.reverse));
  for (size_t t = 0; t < others; ++t) {
    scratch[t] = other[t] == kForbidden ? kForbidden : -other[t];
    rows[t] = link.back + int64_t(t) * width;
  }
  minOfSums(message(variable, at), scratch.data(), rows.data(), 1, others, width);
}

double Messages::pass(const FlatCosts &unary, bool forward) {
  double bound = 0;
  std::vector<double> costs;
  int32_t count = int32_t(flat.sizes.size());
  for (int32_t i = 0; i < count; ++i) {
    int32_t variable = forward ? i : count - 1 - i;
    const std::vector<Flat::Link> &links = flat.links[size_t(variable)];
    auto ahead = [&](const Flat::Link &link) { return (link.other > variable) == forward; };
    size_t aheadCount = 0;
    for (size_t j = 0; j < links.size(); ++j)
      if (ahead(links[j]))
        ++aheadCount;
      else
        pull(variable, j);
    moved(unary, variable, costs);
    double least = *std::min_element(costs.begin(), costs.end());
    bound += least;
    double share = 1.0 / double(std::max<size_t>({aheadCount, links.size() - aheadCount, 1}));
    // What the variable has above its least cost goes to the arcs ahead; its least cost stays.
    for (size_t s = 0; s < costs.size(); ++s)
      costs[s] = costs[s] == kForbidden ? 0 : share * (costs[s] - least);
    for (size_t j = 0; j < links.size(); ++j)
      if (ahead(links[j])) {
        double *own = message(variable, j);
        for (size_t s = 0; s < costs.size(); ++s)
          own[s] -= costs[s];
      }
  }
  return bound;
}

double Messages::sweep(const FlatCosts &unary) {
  pass(unary, true);
  // After the way back every arc has a pair of cost 0 and none below, so the variables' least costs are the whole bound.
  return pass(unary, false);
}

std::vector<int32_t> Messages::decode(const FlatCosts &unary) const {
  std::vector<int32_t> choice(flat.sizes.size(), 0);
  std::vector<double> costs;
  for (int32_t v = 0; v < int32_t(choice.size()); ++v) {
    size_t width = size_t(flat.padded(v));
    const double *own = unary.data() + flat.starts[size_t(v)];
    costs.assign(own, own + width);
    const std::vector<Flat::Link> &links = flat.links[size_t(v)];
    for (size_t j = 0; j < links.size(); ++j) {
      const double *add = links[j].other < v ? links[j].back + int64_t(choice[size_t(links[j].other)]) * int64_t(width)
                                             : message(messages, v, j);
      for (size_t s = 0; s < width; ++s)
        costs[s] += add[s];
    }
    choice[size_t(v)] = int32_t(std::min_element(costs.begin(), costs.end()) - costs.begin());
  }
  return choice;
}

} // namespace mpopt::search
