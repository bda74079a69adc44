#include "Elimination.h"
#include "Kernels.h"

#include <algorithm>

namespace mpopt::search {

/// Copies a factor so that its inner axis is last and in the step's finer
/// classes.
void Elimination::prepareInput(const Step &step, Input &input) {
  if (input.inner < 0)
    return;
  const Factor &factor = *factors[size_t(input.factor)];
  const Factor::Axis &inner = factor.axes[size_t(input.inner)];
  const Factor::Axis &fine = factors[size_t(step.output)]->axes.back();
  std::vector<int32_t> coarse(size_t(fine.count), 0);
  for (size_t s = 0; s < fine.classes->size(); ++s)
    coarse[size_t((*fine.classes)[s])] = (*inner.classes)[s];
  int64_t below = 1, above = 1;
  for (size_t a = 0; a < factor.axes.size(); ++a)
    (int32_t(a) < input.inner ? above : below) *= int32_t(a) == input.inner ? 1 : factor.axes[a].count;
  double *out = input.rows.data();
  for (int64_t i = 0; i < above; ++i)
    for (int64_t j = 0; j < below; ++j) {
      const double *in = factor.data + i * inner.count * below + j;
      for (int32_t c : coarse)
        *out++ = in[c * below];
    }
}

void Elimination::classMinima(Step &step, const std::vector<double> &unary) {
  step.unary.assign(size_t(step.classCount), kForbidden);
  step.best.assign(size_t(step.classCount), -1);
  for (size_t s = 0; s < unary.size(); ++s) {
    size_t c = size_t((*step.classes)[s]);
    if (unary[s] < step.unary[c])
      step.unary[c] = unary[s], step.best[c] = int32_t(s);
  }
}

/// The least value of a variable that no other depends on any more.
double Elimination::least(const Step &step) const {
  double result = kForbidden;
  for (size_t c = 0; c < step.unary.size(); ++c) {
    double sum = step.unary[c];
    for (const Input &input : step.inputs)
      sum += factors[size_t(input.factor)]->data[input.ownOffsets[c]];
    result = std::min(result, sum);
  }
  return result;
}

/// Computes the step's output factor.
void Elimination::run(Step &step) {
  for (Input &input : step.inputs)
    prepareInput(step, input);
  Factor &output = *factors[size_t(step.output)];
  std::fill(output.values.begin(), output.values.end(), kForbidden);
  size_t outer = output.axes.size() - 1;
  int64_t width = output.axes.back().count;
  std::vector<int32_t> position(outer, 0);
  size_t rowCount = size_t(
      std::count_if(step.inputs.begin(), step.inputs.end(), [](const Input &input) { return input.inner >= 0; }));
  std::vector<double> classBases(size_t(step.classCount)), scratch(static_cast<size_t>(width));
  std::vector<const double *> rows(rowCount * classBases.size());
  for (double *out = output.values.data(), *end = out + output.values.size(); out != end; out += width) {
    classBases = step.unary;
    size_t row = 0;
    for (const Input &input : step.inputs) {
      int64_t at = 0;
      for (size_t j = 0; j < outer; ++j)
        if (!input.offsets[j].empty())
          at += input.offsets[j][size_t(position[j])];
      if (input.inner >= 0) {
        for (size_t c = 0; c < classBases.size(); ++c)
          rows[c * rowCount + row] = input.rows.data() + at + input.ownOffsets[c];
        ++row;
      } else {
        const double *data = factors[size_t(input.factor)]->data + at;
        for (size_t c = 0; c < classBases.size(); ++c)
          classBases[c] += data[input.ownOffsets[c]];
      }
    }
    minPlus(out, classBases.data(), rows.data(), rowCount, classBases.size(), scratch.data(), width);
    for (size_t j = outer; j-- > 0 && ++position[j] == output.axes[j].count;)
      position[j] = 0;
  }
}

/// The best strategy of the step's variable when its neighbours are chosen.
/// Recomputing it for one point is cheaper than recording it for all.
int32_t Elimination::recover(const Step &step, const std::vector<int32_t> &choice) const {
  double least = kForbidden;
  int32_t best = -1;
  for (size_t c = 0; c < step.unary.size(); ++c) {
    if (step.best[c] < 0)
      continue;
    double sum = step.unary[c];
    for (const Input &input : step.inputs) {
      const Factor &factor = *factors[size_t(input.factor)];
      int64_t at = 0;
      for (const Factor::Axis &axis : factor.axes) {
        int32_t strategy = axis.variable == step.variable ? step.best[c] : choice[size_t(axis.variable)];
        at = at * axis.count + (*axis.classes)[size_t(strategy)];
      }
      sum += factor.data[at];
    }
    if (sum < least)
      least = sum, best = step.best[c];
  }
  return best;
}

double Elimination::solve(const std::vector<std::vector<double>> &unary, std::vector<int32_t> &choice) {
  double total = 0;
  for (Step &step : steps) {
    classMinima(step, unary[size_t(step.variable)]);
    if (step.output < 0)
      total += least(step);
    else
      run(step);
  }
  if (total == kForbidden)
    return total;
  for (size_t i = steps.size(); i-- > 0;)
    choice[size_t(steps[i].variable)] = recover(steps[i], choice);
  return total;
}

} // namespace mpopt::search
