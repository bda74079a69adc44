// If, Loop and Scan: known conditions and numbers of steps, so that nothing of them is left.
#include "Importer.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

/// Loops are unrolled up to so many steps.
static constexpr int64_t kMaxSteps = 4096;

LogicalResult Importer::importIf(const proto::NodeProto &node, Location loc, Scope &scope) {
  Value condition = node.input_size() == 1 ? scope.lookup(node.input(0)) : Value();
  auto type = condition ? dyn_cast<RankedTensorType>(condition.getType()) : nullptr;
  if (!type || type.getNumElements() != 1)
    return emitError(loc) << "ONNX operator If needs one boolean as its condition";
  auto known = Node::constantIntsOf(condition);
  if (!known)
    return importChoice(node, condition, loc, scope);
  auto results = importBody(node, known->front() ? "then_branch" : "else_branch", {}, loc, scope);
  return failed(results) ? failure() : bindResults(node, *results, loc, scope);
}

/// An If whose condition depends on the model's inputs: both branches are computed, and results of equal shapes chosen.
LogicalResult Importer::importChoice(const proto::NodeProto &node, Value condition, Location loc, Scope &scope) {
  auto yes = importBody(node, "then_branch", {}, loc, scope), no = importBody(node, "else_branch", {}, loc, scope);
  if (failed(yes) || failed(no))
    return failure();
  Build build(builder, loc);
  Value scalar = build.reshape(condition, {});
  SmallVector<Value> results;
  for (auto [a, b] : llvm::zip(*yes, *no)) {
    if (a.getType() != b.getType() || !isa<RankedTensorType>(a.getType()))
      return emitError(loc)
             << "the condition of ONNX operator If depends on the model's inputs, and its branches' results "
                "differ in shape, which is not supported"
             << kExportAnew;
    results.push_back(a == b ? a : build.select(scalar, a, b));
  }
  return build.hasFailed() ? failure() : bindResults(node, results, loc, scope);
}

/// Imports a graph that is an attribute once, with values for its inputs; gives those of its outputs.
FailureOr<SmallVector<Value>> Importer::importBody(const proto::NodeProto &node, StringRef attribute,
                                                   ArrayRef<Value> arguments, Location loc, Scope &scope) {
  const proto::GraphProto *body = nullptr;
  for (const proto::AttributeProto &each : node.attribute())
    if (each.name() == attribute)
      body = &each.g();
  if (!body || scope.depth >= kMaxDepth || body->input_size() != static_cast<int>(arguments.size()) ||
      llvm::is_contained(arguments, Value()))
    return emitError(loc) << "ONNX operator " << node.op_type() << " lacks a " << attribute
                          << " that fits its inputs, or nests too deeply";
  Scope inner{{}, &scope, scope.call, scope.depth + 1};
  for (auto [input, value] : llvm::zip(body->input(), arguments))
    inner.values[input.name()] = value;
  if (failed(importInitializers(*body, inner)) || failed(importNodes(body->node(), inner)))
    return failure();
  SmallVector<Value> results;
  for (const auto &output : body->output()) {
    results.push_back(inner.lookup(output.name()));
    if (!results.back())
      return emitError(loc) << "the output '" << output.name() << "' of the " << attribute << " of ONNX operator "
                            << node.op_type() << " is computed by no node";
  }
  return results;
}

/// A loop whose condition and number of steps are known at every step is unrolled.
LogicalResult Importer::importLoop(const proto::NodeProto &node, Location loc, Scope &scope) {
  Node build(builder, loc);
  build.op = node.op_type();
  auto input = [&](int i) {
    return i < node.input_size() && !node.input(i).empty() ? scope.lookup(node.input(i)) : Value();
  };
  auto number = [](Value value, int64_t otherwise) {
    auto known = value ? Node::constantIntsOf(value) : std::optional(SmallVector<int64_t>{otherwise});
    return known && known->size() == 1 ? std::optional(known->front()) : std::nullopt;
  };
  auto steps = number(input(0), INT64_MAX);
  Value condition = input(1);
  SmallVector<Value> states;
  for (int i = 2; i < node.input_size(); ++i)
    states.push_back(input(i));
  SmallVector<SmallVector<Value>> perStep;
  for (int64_t step = 0;; ++step) {
    auto more = number(condition, 1);
    if (!steps || !more)
      return emitError(loc)
             << "how often ONNX operator Loop repeats depends on the model's inputs, which is not supported"
             << kExportAnew;
    if (step >= *steps || !*more)
      break;
    if (step == kMaxSteps)
      return emitError(loc) << "ONNX operator Loop repeats more than " << kMaxSteps << " times";
    Value truth = build.splat(1, builder.getI1Type());
    SmallVector<Value> arguments{build.splat(static_cast<double>(step), builder.getI64Type()),
                                 condition ? condition : truth};
    llvm::append_range(arguments, states);
    auto results = importBody(node, "body", arguments, loc, scope);
    if (failed(results))
      return failure();
    if (results->size() < states.size() + 1)
      return emitError(loc) << "the body of ONNX operator Loop has too few outputs";
    condition = results->front();
    states.assign(results->begin() + 1, results->begin() + 1 + static_cast<int64_t>(states.size()));
    perStep.emplace_back(results->begin() + 1 + static_cast<int64_t>(states.size()), results->end());
  }
  return bindSteps(node, states, perStep, build, scope);
}

/// Unrolled, too: the inputs' sizes say how many steps there are.
LogicalResult Importer::importScan(const proto::NodeProto &node, Location loc, Scope &scope) {
  Node scan(builder, loc);
  scan.op = node.op_type();
  if (failed(readAttributes(node, scan)))
    return failure();
  int64_t count = scan.intAttr("num_scan_inputs", 0), first = node.input_size() - count;
  if (versions.lookup("") < 9 || count < 1 || first < 0)
    return emitError(loc) << "ONNX operator Scan of this form is not supported" << kExportAnew;
  SmallVector<Value> states, scanned;
  for (int i = 0; i < node.input_size(); ++i) {
    (i < first ? states : scanned).push_back(scope.lookup(node.input(i)));
    if (i < first ? !states.back() : !scanned.back())
      return emitError(loc) << "input '" << node.input(i) << "' of ONNX operator Scan is computed by no node before it";
    if (i >= first && !isa<RankedTensorType>(scanned.back().getType()))
      return emitError(loc) << "ONNX operator Scan cannot scan a sequence";
  }
  SmallVector<int64_t> none(count, 0), axes = scan.intsAttr("scan_input_axes").value_or(none),
                                       backward = scan.intsAttr("scan_input_directions").value_or(none);
  if (axes.size() != scanned.size() || backward.size() != scanned.size())
    return emitError(loc) << "ONNX operator Scan needs one axis and direction per scanned input";
  for (auto [axis, value] : llvm::zip(axes, scanned))
    axis = scan.axis(axis, Build::rankOf(value));
  if (scan.hasFailed())
    return failure();
  SmallVector<SmallVector<Value>> perStep;
  int64_t steps = Build::shapeOf(scanned[0])[axes[0]];
  if (steps > kMaxSteps)
    return emitError(loc) << "ONNX operator Scan repeats more than " << kMaxSteps << " times";
  for (int64_t step = 0; step < steps; ++step) {
    SmallVector<Value> arguments(states);
    for (auto [value, axis, isBackward] : llvm::zip(scanned, axes, backward)) {
      SmallVector<int64_t> shape(Build::shapeOf(value));
      if (shape[axis] != steps)
        return emitError(loc) << "the scanned inputs of ONNX operator Scan differ in length";
      shape.erase(shape.begin() + axis);
      arguments.push_back(scan.reshape(scan.slice(value, axis, isBackward ? steps - 1 - step : step, 1), shape));
    }
    auto results = importBody(node, "body", arguments, loc, scope);
    if (failed(results))
      return failure();
    if (results->size() < states.size())
      return emitError(loc) << "the body of ONNX operator Scan has too few outputs";
    perStep.emplace_back(results->begin() + static_cast<int64_t>(states.size()), results->end());
    states.assign(results->begin(), results->begin() + static_cast<int64_t>(states.size()));
  }
  return bindSteps(node, states, perStep, scan, scope);
}

/// The results of an unrolled loop: the last states, then what every step gave, joined along a new axis.
LogicalResult Importer::bindSteps(const proto::NodeProto &node, SmallVector<Value> states,
                                  ArrayRef<SmallVector<Value>> perStep, Node &loop, Scope &scope) {
  SmallVector<Value> results(states);
  size_t joined = perStep.empty() ? 0 : perStep[0].size();
  auto axes = loop.intsAttr("scan_output_axes"), backward = loop.intsAttr("scan_output_directions");
  for (size_t i = 0; i < joined; ++i) {
    if (llvm::any_of(perStep, [&](const SmallVector<Value> &step) {
          return i >= step.size() || !isa<RankedTensorType>(step[i].getType());
        }))
      return loop.fail() << "the results of the steps of ONNX operator " << node.op_type() << " cannot be joined";
    int64_t rank = Build::rankOf(perStep[0][i]) + 1;
    int64_t axis = loop.axis(axes && i < axes->size() ? (*axes)[i] : 0, rank);
    SmallVector<Value> parts;
    for (const SmallVector<Value> &step : perStep) {
      SmallVector<int64_t> shape(Build::shapeOf(step[i]));
      if (loop.hasFailed() || static_cast<int64_t>(shape.size()) + 1 != rank)
        return loop.fail() << "the results of the steps of ONNX operator " << node.op_type() << " differ in rank";
      shape.insert(shape.begin() + axis, 1);
      parts.push_back(loop.reshape(step[i], shape));
    }
    if (backward && i < backward->size() && (*backward)[i])
      std::reverse(parts.begin(), parts.end());
    results.push_back(loop.concat(parts, axis));
  }
  return loop.hasFailed() ? failure() : bindResults(node, results, loop.location(), scope);
}
