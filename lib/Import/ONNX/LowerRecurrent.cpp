// ONNX LSTM, GRU and RNN, unrolled over time: the products of all inputs are one, those of the state one per step.
#include "Node.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

namespace {

/// One direction of a layer, weights with their direction taken off. Lengths is [batch, 1], or null.
struct Direction {
  Value input, weights, recurrence, bias, recurrentBias, peepholes, lengths, hidden, cell;
  int64_t size = 0;
  bool reverse = false;
  SmallVector<std::string> activations;
  /// Where its activations begin among the node's, for their parameters.
  size_t firstActivation = 0;
};

class Recurrent {
public:
  Recurrent(Node &n, int64_t gates) : n(n), gates(gates) {}

  void lower() {
    Value x = n.in(0), w = n.in(1), r = n.in(2);
    if (!x || !w || !r)
      return;
    if (Build::rankOf(x) != 3 || Build::rankOf(w) != 3 || Build::rankOf(r) != 3) {
      n.fail() << "ONNX operator " << n.op << " needs inputs of rank 3";
      return;
    }
    bool batchFirst = n.intAttr("layout", 0);
    if (batchFirst)
      x = n.transpose(x, {1, 0, 2});
    std::string direction = n.textAttr("direction", "forward");
    int64_t count = Build::shapeOf(w)[0];
    SmallVector<Value> outputs, hiddens, cells;
    for (int64_t d = 0; d < count && !n.hasFailed(); ++d) {
      Direction layer = take(x, d, batchFirst);
      layer.reverse = direction == "reverse" || d == 1;
      run(layer, outputs);
      hiddens.push_back(front(layer.hidden));
      cells.push_back(layer.cell ? front(layer.cell) : Value());
    }
    if (n.hasFailed())
      return;
    Value y = n.concat(outputs, 1), h = n.concat(hiddens, 0), c = cells[0] ? n.concat(cells, 0) : Value();
    if (batchFirst) {
      y = n.transpose(y, {2, 0, 1, 3});
      h = n.transpose(h, {1, 0, 2});
      c = c ? n.transpose(c, {1, 0, 2}) : c;
    }
    n.give({y, h, c});
  }

private:
  /// x with a leading dimension of 1.
  Value front(Value x) {
    SmallVector<int64_t> shape(Build::shapeOf(x));
    shape.insert(shape.begin(), 1);
    return n.reshape(x, shape);
  }

  /// Part d along dimension 0, without that dimension.
  Value part(Value x, int64_t d) {
    if (!x)
      return nullptr;
    Value slice = n.slice(x, 0, d, 1);
    return slice ? n.reshape(slice, Build::shapeOf(x).drop_front()) : slice;
  }

  Direction take(Value x, int64_t d, bool batchFirst) {
    Direction layer;
    layer.input = x;
    layer.weights = part(n.in(1), d);
    layer.recurrence = part(n.in(2), d);
    int64_t size = Build::shapeOf(layer.recurrence)[1], batch = Build::shapeOf(x)[1];
    layer.size = size;
    if (Value bias = part(n.opt(3), d)) {
      layer.bias = n.slice(bias, 0, 0, gates * size);
      layer.recurrentBias = n.slice(bias, 0, gates * size, gates * size);
    }
    if (n.has(4))
      layer.lengths = n.reshape(n.cast(n.opt(4), IntegerType::get(n.context(), 64)), {batch, 1});
    auto state = [&](unsigned input) {
      Value given = n.opt(input);
      if (given && batchFirst)
        given = n.transpose(given, {1, 0, 2});
      return given ? part(given, d) : n.splat(0, Build::elementOf(x), {batch, size});
    };
    layer.hidden = state(5);
    if (gates == 4)
      layer.cell = state(6);
    layer.peepholes = gates == 4 ? part(n.opt(7), d) : Value();
    size_t each = gates == 4 ? 3 : gates == 3 ? 2 : 1;
    SmallVector<std::string> defaults{"Sigmoid", "Tanh", "Tanh"};
    if (gates == 1)
      defaults = {"Tanh"};
    auto given = n.attributes.lookup("activations").texts;
    layer.firstActivation = static_cast<size_t>(d) * each;
    for (size_t i = 0; i < each; ++i)
      layer.activations.push_back(
          given && given->size() > layer.firstActivation + i ? (*given)[layer.firstActivation + i] : defaults[i]);
    return layer;
  }

  Value clip(Value x) {
    double bound = n.floatAttr("clip", 0);
    return bound > 0 ? n.make<nn::MinOp>({n.make<nn::MaxOp>({x, n.like(x, -bound)}), n.like(x, bound)}) : x;
  }

  Value activate(const Direction &layer, size_t which, Value x) {
    x = clip(x);
    std::string name = StringRef(layer.activations[which]).lower();
    auto parameter = [&](StringRef list, double otherwise) {
      auto given = n.attributes.lookup(list).numbers;
      size_t at = layer.firstActivation + which;
      return given && at < given->size() ? (*given)[at] : otherwise;
    };
    if (name == "sigmoid")
      return n.make<nn::SigmoidOp>({x});
    if (name == "tanh")
      return n.make<nn::TanhOp>({x});
    if (name == "relu")
      return n.make<nn::ReluOp>({x});
    if (name == "softplus")
      return n.make<nn::SoftplusOp>({x});
    if (name == "softsign")
      return n.div(x, n.add(n.make<nn::AbsOp>({x}), n.like(x, 1)));
    double alpha = parameter("activation_alpha", name == "leakyrelu" ? 0.01 : name == "hardsigmoid" ? 0.2 : 1);
    double beta = parameter("activation_beta", name == "hardsigmoid" ? 0.5 : name == "affine" ? 0 : 1);
    if (name == "leakyrelu")
      return n.make<nn::LeakyReluOp>({x}, {n.number("alpha", alpha)});
    if (name == "elu")
      return n.make<nn::EluOp>({x}, {n.number("alpha", alpha)});
    if (name == "hardsigmoid")
      return n.make<nn::HardSigmoidOp>({x}, {n.number("alpha", alpha), n.number("beta", beta)});
    if (name == "affine")
      return n.add(n.mul(x, n.like(x, alpha)), n.like(x, beta));
    if (name == "scaledtanh")
      return n.mul(n.make<nn::TanhOp>({n.mul(x, n.like(x, beta))}), n.like(x, alpha));
    n.fail() << "ONNX operator " << n.op << " with the activation " << layer.activations[which] << " is not supported"
             << kExportAnew;
    return nullptr;
  }

  Value gate(Value all, const Direction &layer, int64_t number) {
    return n.slice(all, 1, number * layer.size, layer.size);
  }

  /// Steps through time; appends [time, 1, batch, hidden] to the outputs and leaves the last state in `layer`.
  void run(Direction &layer, SmallVectorImpl<Value> &outputs) {
    ArrayRef<int64_t> shape = Build::shapeOf(layer.input);
    int64_t steps = shape[0], batch = shape[1];
    Value inputs = n.matmul(layer.input, n.transpose(layer.weights, {1, 0}));
    if (layer.bias)
      inputs = n.add(inputs, layer.bias);
    Value recurrence = n.transpose(layer.recurrence, {1, 0});
    SmallVector<Value> all(steps);
    for (int64_t step = 0; step < steps && !n.hasFailed(); ++step) {
      int64_t time = layer.reverse ? steps - 1 - step : step;
      Value x = part(inputs, time), hidden = layer.hidden, cell = layer.cell;
      advance(layer, x, recurrence);
      Value shown = layer.hidden;
      if (layer.lengths) {
        Value valid = n.compare(nn::Predicate::Lt, n.like(layer.lengths, static_cast<double>(time)), layer.lengths);
        shown = n.select(valid, shown, n.like(shown, 0));
        layer.hidden = n.select(valid, layer.hidden, hidden);
        layer.cell = cell ? n.select(valid, layer.cell, cell) : cell;
      }
      all[time] = n.reshape(shown, {1, 1, batch, layer.size});
    }
    if (steps)
      outputs.push_back(n.concat(all, 0));
    else
      n.fail() << "ONNX operator " << n.op << " has no steps";
  }

  void advance(Direction &layer, Value x, Value recurrence) {
    if (gates == 4)
      return advanceLstm(layer, x, recurrence);
    if (gates == 3)
      return advanceGru(layer, x, recurrence);
    Value sum = n.add(x, n.matmul(layer.hidden, recurrence));
    layer.hidden = activate(layer, 0, layer.recurrentBias ? n.add(sum, layer.recurrentBias) : sum);
  }

  /// Gates: input, output, forget, cell.
  void advanceLstm(Direction &layer, Value x, Value recurrence) {
    Value sum = n.add(x, n.matmul(layer.hidden, recurrence));
    if (layer.recurrentBias)
      sum = n.add(sum, layer.recurrentBias);
    auto peep = [&](Value gate, int64_t number, Value cell) {
      return layer.peepholes ? n.add(gate, n.mul(n.slice(layer.peepholes, 0, number * layer.size, layer.size), cell))
                             : gate;
    };
    Value input = activate(layer, 0, peep(gate(sum, layer, 0), 0, layer.cell));
    Value forget = n.intAttr("input_forget", 0) ? n.sub(n.like(input, 1), input)
                                                : activate(layer, 0, peep(gate(sum, layer, 2), 2, layer.cell));
    Value candidate = activate(layer, 1, gate(sum, layer, 3));
    layer.cell = n.add(n.mul(forget, layer.cell), n.mul(input, candidate));
    Value output = activate(layer, 0, peep(gate(sum, layer, 1), 1, layer.cell));
    layer.hidden = n.mul(output, activate(layer, 2, layer.cell));
  }

  /// Gates: update, reset, hidden.
  void advanceGru(Direction &layer, Value x, Value recurrence) {
    int64_t size = layer.size;
    auto product = [&](Value state, int64_t first, int64_t count) {
      Value result = n.matmul(state, n.slice(recurrence, 1, first * size, count * size));
      return layer.recurrentBias ? n.add(result, n.slice(layer.recurrentBias, 0, first * size, count * size)) : result;
    };
    Value both = n.add(n.slice(x, 1, 0, 2 * size), product(layer.hidden, 0, 2));
    Value update = activate(layer, 0, gate(both, layer, 0)), reset = activate(layer, 0, gate(both, layer, 1));
    Value state = n.intAttr("linear_before_reset", 0) ? n.mul(reset, product(layer.hidden, 2, 1))
                                                      : product(n.mul(reset, layer.hidden), 2, 1);
    Value candidate = activate(layer, 1, n.add(gate(x, layer, 2), state));
    layer.hidden = n.add(n.mul(n.sub(n.like(update, 1), update), candidate), n.mul(update, layer.hidden));
  }

  Node &n;
  int64_t gates;
};

template <int64_t gates> void lowerRecurrent(Node &n) { Recurrent(n, gates).lower(); }

} // namespace

void mpopt::onnx::addRecurrent(LoweringTable &table) {
  table["LSTM"] = lowerRecurrent<4>;
  table["GRU"] = lowerRecurrent<3>;
  table["RNN"] = lowerRecurrent<1>;
}
