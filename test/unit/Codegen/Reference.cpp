#include "Interpreter.h"
#include "llvm/ADT/TypeSwitch.h"
#include <algorithm>
#include <cmath>
#include <limits>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::test;

namespace {

double gelu(double x, bool byTanh) {
  if (byTanh)
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
}

double convert(double x, Type to) {
  if (to.isInteger(1))
    return x != 0;
  if (isa<IntegerType>(to)) {
    unsigned bits = to.getIntOrFloatBitWidth();
    int64_t whole = static_cast<int64_t>(std::trunc(x));
    if (bits == 64)
      return double(whole);
    uint64_t low = uint64_t(whole) & ((uint64_t(1) << bits) - 1);
    bool negative = !to.isUnsignedInteger() && (low >> (bits - 1));
    return negative ? double(int64_t(low) - (int64_t(1) << bits)) : double(low);
  }
  return to.isF32() ? double(float(x)) : x;
}

double modulo(double x, double y, bool fmod, bool isInt) {
  double r = std::fmod(x, y);
  (void)isInt;
  if (!fmod && r != 0 && (r < 0) != (y < 0))
    r += y;
  return r;
}

bool compare(nn::Predicate p, double x, double y) {
  switch (p) {
  case nn::Predicate::Eq:
    return x == y;
  case nn::Predicate::Ne:
    return x != y;
  case nn::Predicate::Lt:
    return x < y;
  case nn::Predicate::Le:
    return x <= y;
  case nn::Predicate::Gt:
    return x > y;
  case nn::Predicate::Ge:
    return x >= y;
  }
  return false;
}

double maximum(double x, double y) { return std::isnan(x) || std::isnan(y) ? NAN : std::max(x, y); }
double minimum(double x, double y) { return std::isnan(x) || std::isnan(y) ? NAN : std::min(x, y); }

/// A pointwise operator on one element of each operand.
std::optional<double> pointwise(Operation *op, const std::vector<double> &v) {
  double x = v.empty() ? 0 : v[0], y = v.size() > 1 ? v[1] : 0;
  bool isInt = op->getNumOperands() && isa<IntegerType>(typeOf(op->getOperand(0)).getElementType());
  return TypeSwitch<Operation *, std::optional<double>>(op)
      .Case([&](nn::NegOp) { return -x; })
      .Case([&](nn::AbsOp) { return std::abs(x); })
      .Case([&](nn::SignOp) { return x > 0   ? 1.0
                                     : x < 0 ? -1.0
                                             : x; })
      .Case([&](nn::ExpOp) { return std::exp(x); })
      .Case([&](nn::LogOp) { return std::log(x); })
      .Case([&](nn::SqrtOp) { return std::sqrt(x); })
      .Case([&](nn::RsqrtOp) { return 1 / std::sqrt(x); })
      .Case([&](nn::ReciprocalOp) { return 1 / x; })
      .Case([&](nn::SinOp) { return std::sin(x); })
      .Case([&](nn::CosOp) { return std::cos(x); })
      .Case([&](nn::TanhOp) { return std::tanh(x); })
      .Case([&](nn::ErfOp) { return std::erf(x); })
      .Case([&](nn::FloorOp) { return std::floor(x); })
      .Case([&](nn::CeilOp) { return std::ceil(x); })
      .Case([&](nn::RoundOp) { return std::nearbyint(x); })
      .Case([&](nn::SigmoidOp) { return 1 / (1 + std::exp(-x)); })
      .Case([&](nn::ReluOp) { return x < 0 ? 0 : x; })
      .Case([&](nn::SiluOp) { return x / (1 + std::exp(-x)); })
      .Case([&](nn::SoftplusOp) { return std::log1p(std::exp(-std::abs(x))) + std::max(x, 0.0); })
      .Case([&](nn::NotOp) { return x == 0; })
      .Case([&](nn::GeluOp op) { return gelu(x, op.getTanh()); })
      .Case([&](nn::LeakyReluOp op) { return x < 0 ? op.getAlpha().convertToDouble() * x : x; })
      .Case([&](nn::EluOp op) { return x < 0 ? op.getAlpha().convertToDouble() * std::expm1(x) : x; })
      .Case([&](nn::HardSigmoidOp op) {
        return std::clamp(op.getAlpha().convertToDouble() * x + op.getBeta().convertToDouble(), 0.0, 1.0);
      })
      .Case([&](nn::IsNanOp) { return std::isnan(x); })
      .Case([&](nn::AddOp) { return x + y; })
      .Case([&](nn::SubOp) { return x - y; })
      .Case([&](nn::MulOp) { return x * y; })
      .Case([&](nn::DivOp) { return isInt ? std::trunc(x / y) : x / y; })
      .Case([&](nn::PowOp) { return std::pow(x, y); })
      .Case([&](nn::MaxOp) { return maximum(x, y); })
      .Case([&](nn::MinOp) { return minimum(x, y); })
      .Case([&](nn::ModOp op) { return modulo(x, y, op.getFmod(), isInt); })
      .Case([&](nn::AndOp) { return x != 0 && y != 0; })
      .Case([&](nn::OrOp) { return x != 0 || y != 0; })
      .Case([&](nn::XorOp) { return (x != 0) != (y != 0); })
      .Case([&](nn::CompareOp op) { return compare(op.getPredicate(), x, y); })
      .Case([&](nn::SelectOp) { return x != 0 ? y : v[2]; })
      .Case([&](nn::CastOp op) { return convert(x, typeOf(op.getResult()).getElementType()); })
      .Default([](Operation *) { return std::nullopt; });
}

int64_t wrap(double index, int64_t size) { return index < 0 ? int64_t(index) + size : int64_t(index); }

double reduceTwo(nn::ReduceKind kind, double x, double y) {
  switch (kind) {
  case nn::ReduceKind::Sum:
    return x + y;
  case nn::ReduceKind::Prod:
    return x * y;
  case nn::ReduceKind::Max:
    return maximum(x, y);
  case nn::ReduceKind::Min:
    return minimum(x, y);
  }
  return 0;
}

} // namespace

void Interpreter::run(Operation *op) {
  if (auto topKOp = dyn_cast<nn::TopKOp>(op))
    return topK(topKOp);
  Tensor out = zeros(op->getResult(0));
  std::vector<double> probe(op->getNumOperands(), 1);
  if (pointwise(op, probe)) {
    each(out.shape, [&](const Index &i) {
      std::vector<double> elements;
      for (Value v : op->getOperands())
        elements.push_back(broadcast(operand(v), i));
      get(out, i) = convert(*pointwise(op, elements), typeOf(op->getResult(0)).getElementType());
    });
  } else {
    shapes(op, out);
    indexing(op, out);
    reductions(op, out);
    products(op, out);
  }
  values[op->getResult(0)] = std::move(out);
}

void Interpreter::shapes(Operation *op, Tensor &out) {
  TypeSwitch<Operation *>(op)
      .Case([&](nn::ConstantOp constant) {
        auto dense = cast<DenseElementsAttr>(constant.getValue());
        int64_t n = 0;
        if (isa<FloatType>(dense.getElementType()))
          for (APFloat x : dense.getValues<APFloat>()) {
            bool loses;
            x.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &loses);
            out.data[n++] = x.convertToDouble();
          }
        else
          for (APInt x : dense.getValues<APInt>())
            out.data[n++] = x.getBitWidth() == 1 ? double(x.getZExtValue()) : double(x.getSExtValue());
      })
      .Case([&](nn::IotaOp iota) {
        each(out.shape, [&](const Index &i) {
          get(out, i) =
              iota.getStart().convertToDouble() + iota.getStep().convertToDouble() * double(i[iota.getAxis()]);
        });
      })
      .Case([&](nn::ReshapeOp reshape) { out.data = operand(reshape.getInput()).data; })
      .Case([&](nn::TransposeOp transpose) {
        each(out.shape, [&](const Index &i) {
          Index from(i.size());
          for (size_t d = 0; d < i.size(); ++d)
            from[transpose.getPermutation()[d]] = i[d];
          get(out, i) = get(operand(transpose.getInput()), from);
        });
      })
      .Case([&](nn::BroadcastOp b) {
        each(out.shape, [&](const Index &i) { get(out, i) = broadcast(operand(b.getInput()), i); });
      })
      .Case([&](nn::SliceOp slice) {
        each(out.shape, [&](const Index &i) {
          Index from(i.size());
          for (size_t d = 0; d < i.size(); ++d)
            from[d] = slice.getStarts()[d] + i[d] * slice.getSteps()[d];
          get(out, i) = get(operand(slice.getInput()), from);
        });
      })
      .Case([&](nn::SliceAtOp slice) {
        int64_t axis = slice.getAxis(), start = int64_t(operand(slice.getStart()).data[0]);
        const Tensor &in = operand(slice.getInput());
        each(out.shape, [&](const Index &i) {
          Index from = i;
          from[axis] += start;
          get(out, i) = from[axis] < in.shape[axis] ? get(in, from) : 0;
        });
      })
      .Case([&](nn::ConcatOp concat) {
        int64_t offset = 0, axis = concat.getAxis();
        for (Value v : concat.getInputs()) {
          const Tensor &in = operand(v);
          each(in.shape, [&](const Index &i) {
            Index to = i;
            to[axis] += offset;
            get(out, to) = get(in, i);
          });
          offset += in.shape[axis];
        }
      })
      .Case([&](nn::PadOp pad) {
        const Tensor &in = operand(pad.getInput());
        each(out.shape, [&](const Index &i) {
          Index from = i;
          bool inside = true;
          for (size_t d = 0; d < i.size(); ++d) {
            from[d] -= pad.getLow()[d];
            inside &= from[d] >= 0 && from[d] < in.shape[d];
          }
          get(out, i) = inside ? get(in, from) : pad.getValue().convertToDouble();
        });
      })
      .Case([&](nn::RotaryOp rotaryOp) { rotary(rotaryOp, out); });
}

void Interpreter::rotary(nn::RotaryOp op, Tensor &out) {
  const Tensor &in = operand(op.getInput()), &cos = operand(op.getCos()), &sin = operand(op.getSin());
  int64_t half = cos.shape.back();
  each(out.shape, [&](const Index &i) {
    int64_t d = i.back();
    if (d >= 2 * half) {
      get(out, i) = get(in, i);
      return;
    }
    bool second = op.getInterleaved() ? d % 2 : d >= half;
    Index angle = i, other = i;
    angle.back() = op.getInterleaved() ? d / 2 : d % half;
    other.back() = op.getInterleaved() ? (second ? d - 1 : d + 1) : (second ? d - half : d + half);
    double c = broadcast(cos, angle), s = broadcast(sin, angle), x = get(in, i), y = get(in, other);
    get(out, i) = second ? x * c + y * s : x * c - y * s;
  });
}

void Interpreter::indexing(Operation *op, Tensor &out) {
  TypeSwitch<Operation *>(op)
      .Case([&](nn::GatherOp gather) {
        const Tensor &in = operand(gather.getInput()), &indices = operand(gather.getIndices());
        int64_t axis = gather.getAxis(), rank = indices.shape.size();
        each(out.shape, [&](const Index &i) {
          double k = get(indices, Index(i.begin() + axis, i.begin() + axis + rank));
          Index from(i.begin(), i.begin() + axis);
          if (gather.getOffset()) {
            k -= operand(gather.getOffset()).data[0];
            if (k < 0 || k >= double(in.shape[axis]))
              return;
          }
          from.push_back(wrap(k, in.shape[axis]));
          from.insert(from.end(), i.begin() + axis + rank, i.end());
          get(out, i) = get(in, from);
        });
      })
      .Case([&](nn::GatherElementsOp gather) {
        const Tensor &in = operand(gather.getInput()), &indices = operand(gather.getIndices());
        each(out.shape, [&](const Index &i) {
          Index from = i;
          from[gather.getAxis()] = wrap(get(indices, i), in.shape[gather.getAxis()]);
          get(out, i) = get(in, from);
        });
      })
      .Case([&](nn::GatherNdOp gather) {
        const Tensor &in = operand(gather.getInput()), &indices = operand(gather.getIndices());
        int64_t lookups = indices.shape.size() - 1, batch = gather.getBatchDims();
        each(out.shape, [&](const Index &i) {
          Index from(i.begin(), i.begin() + batch), lookup(i.begin(), i.begin() + lookups);
          lookup.push_back(0);
          for (int64_t k = 0; k < indices.shape.back(); ++k) {
            lookup.back() = k;
            from.push_back(wrap(get(indices, lookup), in.shape[batch + k]));
          }
          from.insert(from.end(), i.begin() + lookups, i.end());
          get(out, i) = get(in, from);
        });
      })
      .Case([&](nn::ScatterNdOp scatter) {
        out = operand(scatter.getInput());
        const Tensor &indices = operand(scatter.getIndices()), &updates = operand(scatter.getUpdates());
        int64_t lookups = indices.shape.size() - 1;
        each(updates.shape, [&](const Index &i) {
          Index to, lookup(i.begin(), i.begin() + lookups);
          lookup.push_back(0);
          for (int64_t k = 0; k < indices.shape.back(); ++k) {
            lookup.back() = k;
            to.push_back(wrap(get(indices, lookup), out.shape[k]));
          }
          to.insert(to.end(), i.begin() + lookups, i.end());
          double &x = get(out, to);
          x = scatter.getReduction() ? reduceTwo(*scatter.getReduction(), x, get(updates, i)) : get(updates, i);
        });
      });
}

void Interpreter::reductions(Operation *op, Tensor &out) {
  TypeSwitch<Operation *>(op)
      .Case([&](nn::ReduceOp reduce) {
        const Tensor &in = operand(reduce.getInput());
        std::vector<bool> seen(out.data.size(), false);
        each(in.shape, [&](const Index &i) {
          Index to;
          for (int64_t d = 0; d < int64_t(i.size()); ++d) {
            bool reduced = llvm::is_contained(reduce.getAxes(), d);
            if (!reduced)
              to.push_back(i[d]);
            else if (reduce.getKeepDims())
              to.push_back(0);
          }
          int64_t n = flat(to, out.shape);
          out.data[n] = seen[n] ? reduceTwo(reduce.getKind(), out.data[n], get(in, i)) : get(in, i);
          seen[n] = true;
        });
      })
      .Case([&](nn::ArgReduceOp arg) {
        const Tensor &in = operand(arg.getInput());
        int64_t axis = arg.getAxis();
        each(in.shape, [&](const Index &i) {
          Index to = i, best = i;
          if (arg.getKeepDims())
            to[axis] = 0;
          else
            to.erase(to.begin() + axis);
          best[axis] = int64_t(get(out, to));
          double sign = arg.getMin() ? -1 : 1, x = sign * get(in, i), y = sign * get(in, best);
          if (i[axis] == 0 || x > y || (arg.getSelectLast() && x == y))
            get(out, to) = double(i[axis]);
        });
      })
      .Case([&](nn::CumSumOp cum) {
        const Tensor &in = operand(cum.getInput());
        int64_t axis = cum.getAxis();
        each(in.shape, [&](const Index &i) {
          double sum = 0;
          for (int64_t k = 0; k < in.shape[axis]; ++k) {
            bool before = cum.getReverse() ? k > i[axis] : k < i[axis];
            Index at = i;
            at[axis] = k;
            if (before || (k == i[axis] && !cum.getExclusive()))
              sum += get(in, at);
          }
          get(out, i) = sum;
        });
      })
      .Case([&](nn::SoftmaxOp softmaxOp) { softmax(softmaxOp, out); })
      .Case([&](nn::LayerNormOp norm) { layerNorm(norm, out); })
      .Case([&](nn::LrnOp lrn) {
        const Tensor &in = operand(lrn.getInput());
        int64_t size = lrn.getSize();
        each(in.shape, [&](const Index &i) {
          double sum = 0;
          int64_t axis = lrn.getAxis();
          for (int64_t c = i[axis] - (size - 1) / 2; c <= i[axis] + size / 2; ++c)
            if (c >= 0 && c < in.shape[axis]) {
              Index at = i;
              at[axis] = c;
              sum += get(in, at) * get(in, at);
            }
          double base = lrn.getBias().convertToDouble() + lrn.getAlpha().convertToDouble() / double(size) * sum;
          get(out, i) = get(in, i) / std::pow(base, lrn.getBeta().convertToDouble());
        });
      })
      .Case([&](nn::GroupNormOp norm) {
        const Tensor &in = operand(norm.getInput());
        int64_t perGroup = in.shape[1] / norm.getGroups();
        std::map<std::pair<int64_t, int64_t>, std::vector<double>> groups;
        each(in.shape, [&](const Index &i) { groups[{i[0], i[1] / perGroup}].push_back(get(in, i)); });
        each(in.shape, [&](const Index &i) {
          const std::vector<double> &g = groups[{i[0], i[1] / perGroup}];
          double mean = std::accumulate(g.begin(), g.end(), 0.0) / double(g.size()), variance = 0;
          for (double x : g)
            variance += (x - mean) * (x - mean) / double(g.size());
          double normal = (get(in, i) - mean) / std::sqrt(variance + norm.getEpsilon().convertToDouble());
          get(out, i) = normal * operand(norm.getScale()).data[i[1]] + operand(norm.getBias()).data[i[1]];
        });
      });
}

void Interpreter::topK(nn::TopKOp op) {
  const Tensor &in = operand(op.getInput());
  Tensor outValues = zeros(op.getValues()), outIndices = zeros(op.getIndices());
  int64_t axis = op.getAxis();
  std::vector<int64_t> outer = in.shape;
  outer[axis] = 1;
  each(outer, [&](const Index &i) {
    std::vector<int64_t> order(in.shape[axis]);
    std::iota(order.begin(), order.end(), 0);
    auto value = [&](int64_t k) {
      Index at = i;
      at[axis] = k;
      return op.getSmallest() ? -get(in, at) : get(in, at);
    };
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return value(a) > value(b); });
    for (int64_t k = 0; k < int64_t(op.getK()); ++k) {
      Index to = i;
      to[axis] = k;
      get(outValues, to) = op.getSmallest() ? -value(order[k]) : value(order[k]);
      get(outIndices, to) = double(order[k]);
    }
  });
  values[op.getValues()] = outValues;
  values[op.getIndices()] = outIndices;
}

std::vector<Tensor> mpopt::test::interpret(func::FuncOp function, const std::vector<Tensor> &arguments) {
  Interpreter interpreter;
  Block &body = function.getBody().front();
  for (auto [argument, tensor] : llvm::zip_equal(body.getArguments(), arguments))
    interpreter.values[argument] = tensor;
  for (Operation &op : body.without_terminator())
    interpreter.run(&op);
  std::vector<Tensor> results;
  for (Value value : body.getTerminator()->getOperands())
    results.push_back(interpreter.values[value]);
  return results;
}
