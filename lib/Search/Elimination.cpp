#include "Elimination.h"

#include <algorithm>

// One body per instruction set, chosen when the program loads. Only additions
// and minima, so all give the same bits.
#if defined(__x86_64__) && defined(__ELF__)
#define MPOPT_VECTOR_CLONES                                                    \
  __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define MPOPT_VECTOR_CLONES
#endif

namespace mpopt::search {

MPOPT_VECTOR_CLONES static void minPlusOne(double *__restrict out,
                                           const double *__restrict a,
                                           double base, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    double sum = base + a[i];
    out[i] = sum < out[i] ? sum : out[i];
  }
}

MPOPT_VECTOR_CLONES static void minPlusTwo(double *__restrict out,
                                           const double *__restrict a,
                                           const double *__restrict b,
                                           double base, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    double sum = base + a[i] + b[i];
    out[i] = sum < out[i] ? sum : out[i];
  }
}

MPOPT_VECTOR_CLONES static void addRow(double *__restrict out,
                                       const double *__restrict a, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    out[i] += a[i];
}

/// Adds several rows and a number into a minimum.
static void minPlusRows(double *out, const std::vector<const double *> &rows,
                        double base, int64_t n, std::vector<double> &scratch) {
  if (rows.size() == 1)
    return minPlusOne(out, rows[0], base, n);
  if (rows.size() == 2)
    return minPlusTwo(out, rows[0], rows[1], base, n);
  scratch.assign(rows[0], rows[0] + n);
  for (size_t r = 1; r < rows.size(); ++r)
    addRow(scratch.data(), rows[r], n);
  minPlusOne(out, scratch.data(), base, n);
}

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
    (int32_t(a) < input.inner ? above : below) *=
        int32_t(a) == input.inner ? 1 : factor.axes[a].count;
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
  std::vector<int64_t> bases(step.inputs.size());
  std::vector<const double *> rows;
  std::vector<double> scratch;
  for (double *out = output.values.data(), *end = out + output.values.size();
       out != end; out += width) {
    for (size_t i = 0; i < step.inputs.size(); ++i) {
      bases[i] = 0;
      for (size_t j = 0; j < outer; ++j)
        if (!step.inputs[i].offsets[j].empty())
          bases[i] += step.inputs[i].offsets[j][size_t(position[j])];
    }
    for (int32_t c = 0; c < step.classCount; ++c) {
      double base = step.unary[size_t(c)];
      rows.clear();
      for (size_t i = 0; i < step.inputs.size(); ++i) {
        const Input &input = step.inputs[i];
        int64_t at = bases[i] + input.ownOffsets[size_t(c)];
        if (input.inner >= 0)
          rows.push_back(input.rows.data() + at);
        else
          base += factors[size_t(input.factor)]->data[at];
      }
      if (base != kForbidden)
        minPlusRows(out, rows, base, width, scratch);
    }
    for (size_t j = outer; j-- > 0 && ++position[j] == output.axes[j].count;)
      position[j] = 0;
  }
}

/// The best strategy of the step's variable when its neighbours are chosen.
/// Recomputing it for one point is cheaper than recording it for all.
int32_t Elimination::recover(const Step &step,
                             const std::vector<int32_t> &choice) const {
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
        int32_t strategy = axis.variable == step.variable
                               ? step.best[c]
                               : choice[size_t(axis.variable)];
        at = at * axis.count + (*axis.classes)[size_t(strategy)];
      }
      sum += factor.data[at];
    }
    if (sum < least)
      least = sum, best = step.best[c];
  }
  return best;
}

double Elimination::solve(const std::vector<std::vector<double>> &unary,
                          std::vector<int32_t> &choice) {
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
