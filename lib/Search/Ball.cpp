#include "Ball.h"
#include "Kernels.h"

#include <algorithm>

namespace mpopt::search {

Ball::Ball(const Flat &flat) : flat(flat), place(flat.sizes.size(), -1), local(flat.sizes.size(), -1) {}

void Ball::push(int32_t at) {
  double table = 1;
  for (int32_t other : adjacent[size_t(at)])
    table *= flat.size(members[size_t(other)]);
  tableOf[size_t(at)] = table;
  heap.emplace_back(-table, -at);
  std::push_heap(heap.begin(), heap.end());
}

void Ball::connect(const std::vector<int32_t> &free) {
  members = free;
  adjacent.resize(std::max(adjacent.size(), members.size()));
  tableOf.resize(std::max(tableOf.size(), members.size()));
  for (size_t i = 0; i < members.size(); ++i)
    local[size_t(members[i])] = int32_t(i);
  heap.clear();
  for (size_t i = 0; i < members.size(); ++i) {
    adjacent[i].clear();
    for (const Flat::Link &link : flat.links[size_t(members[i])])
      if (local[size_t(link.other)] >= 0)
        adjacent[i].push_back(local[size_t(link.other)]);
    push(int32_t(i));
  }
}

/// Holds a neighbour of the member whose table is too large: one of those with most neighbours, which frees most.
void Ball::holdOne(int32_t tight, int32_t keep, std::mt19937_64 &random) {
  int32_t chosen = -1;
  double most = -1;
  for (int32_t other : adjacent[size_t(tight)]) {
    double weight = double(adjacent[size_t(other)].size()) * (1 + double(random() % 1024) / 1024);
    if (members[size_t(other)] != keep && weight > most)
      most = weight, chosen = other;
  }
  if (chosen < 0)
    chosen = tight;
  for (int32_t other : adjacent[size_t(chosen)]) {
    std::erase(adjacent[size_t(other)], chosen);
    push(other);
  }
  for (auto &[member, scope] : eliminated)
    std::erase(scope, chosen);
  tableOf[size_t(chosen)] = -1;
}

void Ball::eliminate(int32_t at) {
  std::vector<int32_t> &scope = adjacent[size_t(at)];
  planned += tableOf[size_t(at)] * flat.size(members[size_t(at)]);
  tableOf[size_t(at)] = -1;
  for (int32_t one : scope) {
    std::vector<int32_t> &list = adjacent[size_t(one)];
    std::erase(list, at);
    for (int32_t two : scope)
      if (two != one && std::find(list.begin(), list.end(), two) == list.end())
        list.push_back(two);
    push(one);
  }
  eliminated.emplace_back(at, scope);
}

void Ball::plan(const std::vector<int32_t> &free, Limits limits, int32_t keep, std::mt19937_64 &random) {
  for (int32_t variable : order)
    place[size_t(variable)] = -1;
  eliminated.clear();
  planned = 0;
  connect(free);
  while (!heap.empty()) {
    auto [negative, negativeAt] = heap.front();
    int32_t at = -negativeAt;
    if (-negative != tableOf[size_t(at)]) { // out of date
      std::pop_heap(heap.begin(), heap.end());
      heap.pop_back();
    } else if (planned > limits.work) {
      tableOf[size_t(at)] = -1; // held
      for (int32_t other : adjacent[size_t(at)])
        std::erase(adjacent[size_t(other)], at);
      for (auto &[member, scope] : eliminated)
        std::erase(scope, at);
    } else if (-negative > limits.table) {
      holdOne(at, keep, random);
    } else {
      eliminate(at);
    }
  }
  for (int32_t variable : members)
    local[size_t(variable)] = -1;
  settleOrder();
}

/// Places and axes: every scope ends with the variable that goes last, so that it is also the last axis of every input that
/// has it, and rows need no rearranging.
void Ball::settleOrder() {
  order.clear();
  for (const auto &[member, scope] : eliminated) {
    place[size_t(members[size_t(member)])] = int32_t(order.size());
    order.push_back(members[size_t(member)]);
  }
  steps.resize(std::max(steps.size(), order.size()));
  size_t total = 0;
  for (size_t i = 0; i < order.size(); ++i)
    steps[i].children.clear();
  for (size_t i = 0; i < order.size(); ++i) {
    Step &step = steps[i];
    step.scope.clear();
    for (int32_t member : eliminated[i].second)
      step.scope.push_back(place[size_t(members[size_t(member)])]);
    std::sort(step.scope.begin(), step.scope.end());
    if (step.scope.empty())
      continue;
    steps[size_t(step.scope.front())].children.push_back(int32_t(i));
    step.output = total;
    step.size = size_t(widthOf(step.scope.back()));
    for (size_t a = 0; a + 1 < step.scope.size(); ++a)
      step.size *= size_t(flat.size(order[size_t(step.scope[a])]));
    total += step.size;
  }
  if (numbers.size() < total)
    numbers.resize(total);
}

/// Sorts the inputs of a step: into `matrix` what depends on the innermost axis alone, into `baseInputs` and `rowInputs` what
/// depends on outer axes.
void Ball::gather(const Step &step, const std::vector<Flat::Link> &links, int32_t at) {
  baseCount = rowCount = 0;
  int32_t inner = step.scope.back();
  int64_t width = widthOf(inner);
  size_t size = size_t(flat.size(order[size_t(at)])), outers = step.scope.size() - 1;
  auto add = [&](std::vector<Input> &inputs, size_t &count) -> Input & {
    if (inputs.size() == count)
      inputs.emplace_back();
    inputs[count].outer.assign(outers, 0);
    return inputs[count++];
  };
  auto addToMatrix = [&](const double *table) {
    for (size_t i = 0; i < size * size_t(width); ++i)
      matrix[i] += table[i];
  };
  for (const Flat::Link &link : links) {
    int32_t other = place[size_t(link.other)];
    if (other <= at)
      continue;
    if (other == inner) {
      addToMatrix(link.table);
      continue;
    }
    Input &input = add(baseInputs, baseCount);
    input.data = link.table, input.own = widthOf(other);
    input.outer[size_t(std::find(step.scope.begin(), step.scope.end(), other) - step.scope.begin())] = 1;
  }
  for (int32_t child : step.children) {
    const Step &made = steps[size_t(child)];
    if (made.scope.size() == 1)
      continue; // in the unary costs
    if (made.scope.size() == 2 && made.scope.back() == inner) {
      addToMatrix(numbers.data() + made.output);
      continue;
    }
    bool hasInner = made.scope.back() == inner;
    Input &input = hasInner ? add(rowInputs, rowCount) : add(baseInputs, baseCount);
    input.data = numbers.data() + made.output;
    int64_t stride = hasInner ? width : 1;
    for (size_t a = made.scope.size() - (hasInner ? 1 : 0); a-- > 0;) {
      int32_t axis = made.scope[a];
      if (axis == at)
        input.own = stride;
      else
        input.outer[size_t(std::find(step.scope.begin(), step.scope.end(), axis) - step.scope.begin())] = stride;
      stride *= a + 1 == made.scope.size() ? widthOf(axis) : flat.size(order[size_t(axis)]);
    }
  }
}

void Ball::run(int32_t at, const std::vector<double> &unary) {
  Step &step = steps[size_t(at)];
  int32_t variable = order[size_t(at)];
  size_t size = size_t(flat.size(variable)), width = size_t(widthOf(step.scope.back()));
  matrix.resize(std::max(matrix.size(), size * width));
  for (size_t s = 0; s < size; ++s)
    std::fill_n(matrix.begin() + int64_t(s * width), width, unary[s]);
  for (int32_t child : step.children)
    if (steps[size_t(child)].scope.size() == 1)
      for (size_t s = 0; s < size; ++s)
        for (size_t i = 0; i < width; ++i)
          matrix[s * width + i] += numbers[steps[size_t(child)].output + s];
  gather(step, flat.links[size_t(variable)], at);
  bases.assign(std::max(bases.size(), size), 0.0);
  rows.resize(std::max(rows.size(), size * (rowCount + 1)));
  for (size_t s = 0; s < size; ++s)
    rows[s * (rowCount + 1)] = matrix.data() + s * width;
  size_t outers = step.scope.size() - 1;
  std::vector<int32_t> position(outers, 0);
  double *out = numbers.data() + step.output, *end = out + step.size;
  for (; out != end; out += width) {
    for (size_t i = 0; i < baseCount; ++i) {
      const double *data = baseInputs[i].data;
      for (size_t j = 0; j < outers; ++j)
        data += position[j] * baseInputs[i].outer[j];
      for (size_t s = 0; s < size; ++s)
        bases[s] = (i == 0 ? 0 : bases[s]) + data[int64_t(s) * baseInputs[i].own];
    }
    for (size_t i = 0; i < rowCount; ++i) {
      const double *data = rowInputs[i].data;
      for (size_t j = 0; j < outers; ++j)
        data += position[j] * rowInputs[i].outer[j];
      for (size_t s = 0; s < size; ++s)
        rows[s * (rowCount + 1) + i + 1] = data + int64_t(s) * rowInputs[i].own;
    }
    minOfSums(out, bases.data(), rows.data(), rowCount + 1, size, int64_t(width));
    for (size_t j = outers; j-- > 0 && ++position[j] == flat.size(order[size_t(step.scope[j])]);)
      position[j] = 0;
  }
}

/// The best strategy when the later variables are chosen. Recomputing it for one point is cheaper than recording it for all.
int32_t Ball::best(int32_t at, const std::vector<double> &unary, const std::vector<int32_t> &choice) const {
  int32_t variable = order[size_t(at)];
  std::vector<double> costs = unary;
  for (const Flat::Link &link : flat.links[size_t(variable)])
    if (place[size_t(link.other)] > at)
      for (size_t s = 0; s < costs.size(); ++s)
        costs[s] += flat.row(link, int32_t(s))[choice[size_t(link.other)]];
  for (int32_t child : steps[size_t(at)].children) {
    const Step &made = steps[size_t(child)];
    int64_t offset = 0, own = 0, stride = 1;
    for (size_t a = made.scope.size(); a-- > 0;) {
      int32_t axis = made.scope[a];
      if (axis == at)
        own = stride;
      else
        offset += stride * choice[size_t(order[size_t(axis)])];
      stride *= a + 1 == made.scope.size() ? widthOf(axis) : flat.size(order[size_t(axis)]);
    }
    for (size_t s = 0; s < costs.size(); ++s)
      costs[s] += numbers[made.output + size_t(offset + int64_t(s) * own)];
  }
  size_t least = size_t(std::min_element(costs.begin(), costs.end()) - costs.begin());
  return costs[least] == kForbidden ? -1 : int32_t(least);
}

bool Ball::solve(const std::vector<std::vector<double>> &unary, std::vector<int32_t> &choice) {
  for (size_t i = 0; i < order.size(); ++i)
    if (!steps[i].scope.empty())
      run(int32_t(i), unary[i]);
  for (size_t i = order.size(); i-- > 0;) {
    int32_t strategy = best(int32_t(i), unary[i], choice);
    if (strategy < 0)
      return false;
    choice[size_t(order[i])] = strategy;
  }
  return true;
}

} // namespace mpopt::search
