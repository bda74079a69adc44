// Walks an ONNX graph and lowers it node by node.
#include "Model.h"
#include "Node.h"
#include "Tensors.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mpopt/Import/ONNX.h"
#include "onnx/defs/schema.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

namespace {

/// Functions and branches nest at most so deep.
constexpr int kMaxDepth = 32;
/// Loops are unrolled up to so many steps.
constexpr int64_t kMaxSteps = 4096;

using Attributes = std::map<std::string, const proto::AttributeProto *>;

/// Names in sight inside a graph or function: its own, and for a branch those around it.
struct Scope {
  llvm::StringMap<Value> values;
  const Scope *parent = nullptr;
  /// Inside a function: the attributes of the call, for references to them.
  const Attributes *call = nullptr;
  int depth = 0;

  Value lookup(StringRef name) const {
    for (const Scope *scope = this; scope; scope = scope->parent)
      if (auto it = scope->values.find(name); it != scope->values.end())
        return it->second;
    return nullptr;
  }
};

class Importer {
public:
  Importer(MLIRContext &context, const proto::ModelProto &model, StringRef path)
      : model(model), builder(&context), file(llvm::sys::path::filename(path)),
        fileLoc(FileLineColLoc::get(&context, path, 0, 0)) {
    setOpsets(model.opset_import());
  }

  FailureOr<OwningOpRef<ModuleOp>> run();

private:
  LogicalResult importMain(func::FuncOp function);
  LogicalResult importArguments(func::FuncOp function, Scope &scope);
  LogicalResult importInitializers(const proto::GraphProto &graph, Scope &scope);
  template <typename Nodes> LogicalResult importNodes(const Nodes &nodes, Scope &scope);
  LogicalResult importNode(const proto::NodeProto &node, Scope &scope);
  LogicalResult importIf(const proto::NodeProto &node, Location loc, Scope &scope);
  LogicalResult importLoop(const proto::NodeProto &node, Location loc, Scope &scope);
  LogicalResult importScan(const proto::NodeProto &node, Location loc, Scope &scope);
  FailureOr<SmallVector<Value>> importBody(const proto::NodeProto &node, StringRef attribute, ArrayRef<Value> arguments,
                                           Location loc, Scope &scope);
  LogicalResult bindSteps(const proto::NodeProto &node, SmallVector<Value> states, ArrayRef<SmallVector<Value>> perStep,
                          Node &scan, Scope &scope);
  LogicalResult lower(const proto::NodeProto &node, Location loc, Scope &scope);
  LogicalResult readAttributes(const proto::NodeProto &node, Node &to);
  LogicalResult inlineFunction(const proto::NodeProto &node, Node &call, Scope &scope);
  const proto::FunctionProto *functionBody(const Node &call, const proto::NodeProto &node, proto::FunctionProto &made);
  LogicalResult bindResults(const proto::NodeProto &node, ArrayRef<Value> results, Location loc, Scope &scope);
  void dropUnused(func::FuncOp function);

  template <typename Opsets> void setOpsets(const Opsets &opsets) {
    for (const auto &opset : opsets)
      versions[opset.domain() == "ai.onnx" ? "" : opset.domain()] = opset.version();
  }
  void collectUses(const proto::GraphProto &graph);
  template <typename Nodes> void collectUses(const Nodes &nodes) {
    for (const proto::NodeProto &node : nodes) {
      for (const std::string &input : node.input())
        used.insert(input);
      for (const proto::AttributeProto &attribute : node.attribute()) {
        if (attribute.has_g())
          collectUses(attribute.g());
        for (const proto::GraphProto &graph : attribute.graphs())
          collectUses(graph);
      }
    }
  }
  Location locate(const proto::NodeProto &node);

  const proto::ModelProto &model;
  OpBuilder builder;
  std::string file;
  Location fileLoc;
  /// Inside a function, the location of its outermost call.
  Location callLoc = fileLoc;
  llvm::StringMap<int64_t> versions;
  llvm::StringSet<> used;
  int64_t nodeCount = 0;
};

Location Importer::locate(const proto::NodeProto &node) {
  std::string name = node.name();
  if (name.empty())
    for (const std::string &output : node.output())
      if (name.empty())
        name = output;
  if (name.empty())
    name = node.op_type() + "_" + std::to_string(nodeCount);
  return NameLoc::get(builder.getStringAttr(name));
}

void Importer::collectUses(const proto::GraphProto &graph) {
  collectUses(graph.node());
  for (const auto &output : graph.output())
    used.insert(output.name());
}

FailureOr<OwningOpRef<ModuleOp>> Importer::run() {
  OwningOpRef<ModuleOp> module = ModuleOp::create(fileLoc);
  (*module)->setAttr("nn.model", builder.getStringAttr(file));
  builder.setInsertionPointToEnd(module->getBody());
  auto function = func::FuncOp::create(builder, fileLoc, "main", builder.getFunctionType({}, {}));
  collectUses(model.graph());
  if (failed(importMain(function)))
    return failure();
  dropUnused(function);
  if (failed(verify(*module)))
    return failure();
  return module;
}

LogicalResult Importer::importMain(func::FuncOp function) {
  Scope scope;
  builder.setInsertionPointToStart(function.addEntryBlock());
  if (failed(importInitializers(model.graph(), scope)) || failed(importArguments(function, scope)) ||
      failed(importNodes(model.graph().node(), scope)))
    return failure();
  SmallVector<Value> results;
  for (const auto &output : model.graph().output()) {
    results.push_back(scope.lookup(output.name()));
    if (!results.back())
      return emitError(fileLoc) << "the graph's output '" << output.name() << "' is computed by no node";
  }
  func::ReturnOp::create(builder, fileLoc, results);
  Block &body = function.getBody().front();
  function.setType(builder.getFunctionType(body.getArgumentTypes(), ValueRange(results).getTypes()));
  int argument = 0;
  for (const auto &input : model.graph().input())
    if (Value value = scope.lookup(input.name()); isa<BlockArgument>(value))
      function.setArgAttr(argument++, "nn.name", builder.getStringAttr(input.name()));
  for (auto [i, output] : llvm::enumerate(model.graph().output()))
    function.setResultAttr(i, "nn.name", builder.getStringAttr(output.name()));
  return success();
}

LogicalResult Importer::importArguments(func::FuncOp function, Scope &scope) {
  for (const auto &input : model.graph().input()) {
    if (scope.values.contains(input.name()))
      continue; // an initializer that may be overridden: here it is constant
    const auto &type = input.type().tensor_type();
    Type element = elementTypeOf(builder.getContext(), type.elem_type());
    if (!element)
      return emitError(fileLoc) << "input '" << input.name() << "' has data type " << type.elem_type()
                                << ", which is not supported";
    SmallVector<int64_t> shape;
    for (const auto &dim : type.shape().dim())
      shape.push_back(dim.dim_value());
    RankedTensorType tensor = Build(builder, fileLoc).tensor(shape, element);
    if (!tensor)
      return failure();
    Location loc = NameLoc::get(builder.getStringAttr(input.name()));
    scope.values[input.name()] = function.getBody().front().addArgument(tensor, loc);
  }
  return success();
}

LogicalResult Importer::importInitializers(const proto::GraphProto &graph, Scope &scope) {
  if (graph.sparse_initializer_size())
    return emitError(fileLoc) << "sparse initializers are not supported; export dense weights";
  for (const proto::TensorProto &tensor : graph.initializer()) {
    if (!used.contains(tensor.name()))
      continue;
    Location loc = NameLoc::get(builder.getStringAttr(tensor.name()));
    auto value = buildTensor(builder, loc, tensor, tensor.name(), file);
    if (!value)
      return emitError(fileLoc) << value.error().message;
    scope.values[tensor.name()] = *value;
  }
  return success();
}

template <typename Nodes> LogicalResult Importer::importNodes(const Nodes &nodes, Scope &scope) {
  for (const proto::NodeProto &node : nodes)
    if (failed(importNode(node, scope)))
      return failure();
  return success();
}

/// A node of a function's body with references to the call's attributes replaced by these, or dropped where it has none.
proto::NodeProto resolveReferences(const proto::NodeProto &node, const Attributes &call) {
  proto::NodeProto resolved = node;
  resolved.clear_attribute();
  for (const proto::AttributeProto &attribute : node.attribute()) {
    auto it = call.find(attribute.ref_attr_name());
    if (!attribute.ref_attr_name().empty() && it == call.end())
      continue;
    proto::AttributeProto *added = resolved.add_attribute();
    *added = attribute.ref_attr_name().empty() ? attribute : *it->second;
    added->set_name(attribute.name());
  }
  return resolved;
}

LogicalResult Importer::importNode(const proto::NodeProto &given, Scope &scope) {
  ++nodeCount;
  proto::NodeProto resolved = scope.call ? resolveReferences(given, *scope.call) : proto::NodeProto();
  const proto::NodeProto &node = scope.call ? resolved : given;
  // Nodes of functions keep the location of the call, which is what the user's file has.
  Location loc = scope.call ? callLoc : locate(node);
  if (node.op_type() == "If" && node.domain().empty())
    return importIf(node, loc, scope);
  if (node.op_type() == "Loop" && node.domain().empty())
    return importLoop(node, loc, scope);
  if (node.op_type() == "Scan" && node.domain().empty())
    return importScan(node, loc, scope);
  return lower(node, loc, scope);
}

LogicalResult Importer::importIf(const proto::NodeProto &node, Location loc, Scope &scope) {
  Value condition = node.input_size() == 1 ? scope.lookup(node.input(0)) : Value();
  auto known = condition ? Node::constantIntsOf(condition) : std::nullopt;
  if (!known || known->size() != 1)
    return emitError(loc) << "the condition of ONNX operator If depends on the model's inputs, which is not supported";
  auto results = importBody(node, known->front() ? "then_branch" : "else_branch", {}, loc, scope);
  return failed(results) ? failure() : bindResults(node, *results, loc, scope);
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
             << "how often ONNX operator Loop repeats depends on the model's inputs, which is not supported";
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
    return emitError(loc) << "ONNX operator Scan of this form is not supported";
  SmallVector<Value> states, scanned;
  for (int i = 0; i < node.input_size(); ++i) {
    (i < first ? states : scanned).push_back(scope.lookup(node.input(i)));
    if (i < first ? !states.back() : !scanned.back())
      return emitError(loc) << "input '" << node.input(i) << "' of ONNX operator Scan is computed by no node before it";
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

LogicalResult Importer::readAttributes(const proto::NodeProto &node, Node &to) {
  for (const proto::AttributeProto &attribute : node.attribute()) {
    NodeAttribute value;
    if (attribute.has_i())
      value.integer = attribute.i();
    if (attribute.has_f())
      value.number = attribute.f();
    if (attribute.has_s())
      value.text = attribute.s();
    if (attribute.ints_size() || attribute.type() == proto::AttributeProto::INTS)
      value.integers.emplace(attribute.ints().begin(), attribute.ints().end());
    if (attribute.floats_size() || attribute.type() == proto::AttributeProto::FLOATS)
      value.numbers.emplace(attribute.floats().begin(), attribute.floats().end());
    if (attribute.strings_size())
      value.texts.emplace(attribute.strings().begin(), attribute.strings().end());
    if (attribute.has_t()) {
      std::string name = node.output_size() ? node.output(0) : attribute.name();
      auto tensor = buildTensor(builder, locate(node), attribute.t(), name, file);
      if (!tensor)
        return emitError(locate(node)) << tensor.error().message;
      value.tensor = *tensor;
    }
    to.attributes[attribute.name()] = std::move(value);
  }
  return success();
}

LogicalResult Importer::lower(const proto::NodeProto &node, Location loc, Scope &scope) {
  Node call(builder, loc);
  call.op = node.op_type();
  call.domain = node.domain() == "ai.onnx" ? "" : node.domain();
  call.version = versions.lookup(call.domain);
  for (const std::string &input : node.input()) {
    call.inputs.push_back(input.empty() ? Value() : scope.lookup(input));
    if (!input.empty() && !call.inputs.back())
      return emitError(loc) << "input '" << input << "' of ONNX operator " << node.op_type()
                            << " is computed by no node before it";
  }
  for (const std::string &output : node.output())
    call.wanted.push_back(!output.empty() && used.contains(output));
  if (failed(readAttributes(node, call)))
    return failure();
  std::string key = call.domain.empty() ? call.op : call.domain + ":" + call.op;
  auto it = loweringTable().find(key);
  if (it == loweringTable().end())
    return inlineFunction(node, call, scope);
  it->second(call);
  if (call.hasFailed())
    return failure();
  if (call.results.empty() || !call.results[0])
    return emitError(loc) << "ONNX operator " << key << " lacks an input or attribute that it needs";
  return bindResults(node, call.results, loc, scope);
}

LogicalResult Importer::bindResults(const proto::NodeProto &node, ArrayRef<Value> results, Location loc, Scope &scope) {
  for (int i = 0; i < node.output_size(); ++i) {
    Value result = i < static_cast<int>(results.size()) ? results[i] : Value();
    if (result)
      scope.values[node.output(i)] = result;
    else if (!node.output(i).empty() && used.contains(node.output(i)))
      return emitError(loc) << "result " << i << " of ONNX operator " << node.op_type() << " is not supported";
  }
  return success();
}

/// The type of a value as libonnx describes it.
proto::TypeProto describe(Value value) {
  proto::TypeProto type;
  if (!value)
    return type;
  auto tensor = cast<RankedTensorType>(value.getType());
  type.mutable_tensor_type()->set_elem_type(dataTypeOf(tensor.getElementType()));
  auto *shape = type.mutable_tensor_type()->mutable_shape();
  for (int64_t size : tensor.getShape())
    shape->add_dim()->set_dim_value(size);
  return type;
}

const proto::FunctionProto *Importer::functionBody(const Node &call, const proto::NodeProto &node,
                                                   proto::FunctionProto &made) {
  const auto *schema = proto::OpSchemaRegistry::Schema(call.op, static_cast<int>(call.version), call.domain);
  if (!schema)
    return nullptr;
  if (const proto::FunctionProto *body = schema->GetFunction(static_cast<int>(call.version)))
    return body;
  if (!schema->HasContextDependentFunction())
    return nullptr;
  std::vector<proto::TypeProto> types;
  for (Value input : call.inputs)
    types.push_back(describe(input));
  proto::FunctionBodyBuildContextImpl context(node, types);
  return schema->BuildContextDependentFunction(context, made, static_cast<int>(call.version)) ? &made : nullptr;
}

/// Operators without a lowering whose schema says what they are made of.
LogicalResult Importer::inlineFunction(const proto::NodeProto &node, Node &call, Scope &scope) {
  proto::FunctionProto made;
  const proto::FunctionProto *body = functionBody(call, node, made);
  if (!body || scope.depth >= kMaxDepth)
    return call.fail() << "ONNX operator " << call.op << (call.domain.empty() ? "" : " of domain " + call.domain)
                       << " (operator set " << call.version << ") is not supported";
  Attributes attributes;
  for (const proto::AttributeProto &attribute : body->attribute_proto())
    attributes[attribute.name()] = &attribute;
  if (const auto *schema = proto::OpSchemaRegistry::Schema(call.op, static_cast<int>(call.version), call.domain))
    for (const auto &[name, attribute] : schema->attributes())
      if (attribute.default_value.has_name())
        attributes[name] = &attribute.default_value;
  for (const proto::AttributeProto &attribute : node.attribute())
    attributes[attribute.name()] = &attribute;
  Scope inner{{}, nullptr, &attributes, scope.depth + 1};
  for (int i = 0; i < body->input_size() && i < static_cast<int>(call.inputs.size()); ++i)
    if (call.inputs[i])
      inner.values[body->input(i)] = call.inputs[i];
  collectUses(body->node());
  for (const std::string &output : body->output())
    used.insert(output);
  auto outerVersions = versions;
  Location outerLoc = std::exchange(callLoc, call.location());
  setOpsets(body->opset_import());
  LogicalResult done = importNodes(body->node(), inner);
  versions = outerVersions;
  callLoc = outerLoc;
  if (failed(done))
    return failure();
  SmallVector<Value> results;
  for (const std::string &output : body->output())
    results.push_back(inner.lookup(output));
  return bindResults(node, results, call.location(), scope);
}

void Importer::dropUnused(func::FuncOp function) {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
    if (isOpTriviallyDead(&op))
      op.erase();
}

} // namespace

FailureOr<OwningOpRef<ModuleOp>> mpopt::importOnnx(MLIRContext &context, StringRef path, const ImportOptions &options) {
  context.loadDialect<func::FuncDialect, nn::NNDialect>();
  Location loc = FileLineColLoc::get(&context, path, 0, 0);
  try {
    auto model = loadModel(path, options.dims);
    if (!model)
      return emitError(loc) << model.error().message;
    return Importer(context, *model, path).run();
  } catch (const std::exception &e) {
    return emitError(loc) << "cannot import '" << path << "': " << e.what();
  }
}
