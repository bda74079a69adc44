// Walks an ONNX graph and lowers it node by node.
#include "Importer.h"
#include "Tensors.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mpopt/Import/ONNX.h"
#include "onnx/defs/schema.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

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
    if (isSequence(results.back()))
      return emitError(fileLoc) << "the graph's output '" << output.name()
                                << "' is a sequence of tensors, which is not supported; export its elements as outputs";
    if (isRun(results.back()))
      return emitError(fileLoc) << "the shape of the graph's output '" << output.name()
                                << "' depends on the model's inputs, which is not supported";
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
  llvm::StringSet<> names;
  for (const auto &input : model.graph().input()) {
    if (!names.insert(input.name()).second)
      return emitError(fileLoc) << "two of the graph's inputs are called '" << input.name()
                                << "'; give each a name of its own";
    if (scope.values.contains(input.name()))
      continue; // an initializer that may be overridden: here it is constant
    const auto &type = input.type().tensor_type();
    Type element = elementTypeOf(builder.getContext(), type.elem_type());
    if (!element)
      return emitError(fileLoc) << "input '" << input.name() << "' has data type " << type.elem_type()
                                << ", which is not supported" << kExportAnew;
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

LogicalResult Importer::importNodes(const google::protobuf::RepeatedPtrField<proto::NodeProto> &nodes, Scope &scope) {
  for (const proto::NodeProto &node : nodes)
    if (failed(importNode(node, scope)))
      return failure();
  return success();
}

/// A node of a function's body with references to the call's attributes replaced by these, or dropped where it has none.
static proto::NodeProto resolveReferences(const proto::NodeProto &node, const Attributes &call) {
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
  if (!takesSequences(call.op) && llvm::any_of(call.inputs, isSequence))
    return call.fail() << "ONNX operator " << call.op << " cannot take a sequence";
  for (const std::string &output : node.output())
    call.wanted.push_back(!output.empty() && used.contains(output));
  if (failed(readAttributes(node, call)))
    return failure();
  std::string key = call.domain.empty() ? call.op : call.domain + ":" + call.op;
  auto it = loweringTable().find(key);
  Lowering lowering = llvm::any_of(call.inputs, isRun) ? runLowering(call)
                      : it != loweringTable().end()    ? it->second
                                                       : nullptr;
  if (call.hasFailed())
    return failure();
  if (!lowering)
    return inlineFunction(node, call, scope);
  lowering(call);
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
      return emitError(loc) << "result " << i << " of ONNX operator " << node.op_type() << " is not supported"
                            << kExportAnew;
  }
  return success();
}

/// The type of a value as libonnx describes it.
static proto::TypeProto describe(Value value) {
  proto::TypeProto type;
  if (!value)
    return type;
  if (isSequence(value)) {
    ValueRange elements = value.getDefiningOp()->getOperands();
    *type.mutable_sequence_type()->mutable_elem_type() = describe(elements.empty() ? Value() : elements.front());
    return type;
  }
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
                       << " (operator set " << call.version << ") is not supported" << kExportAnew;
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
