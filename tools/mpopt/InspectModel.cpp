#include "Inspect.h"
#include "Text.h"
#include "mlir/IR/BuiltinOps.h"
#include "mpopt/Emit/Emit.h"
#include "mpopt/Import/ONNX/Inspect.h"
#include "mpopt/Machine/Machine.h"
#include "mpopt/Pipelines/Compile.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"
#include <set>

namespace json = llvm::json;

namespace mpopt {
namespace {

/// How the model fares in the compiler once its dimensions are bound.
struct Trial {
  bool tried = false;
  std::string problem; // empty: it can be compiled
  int64_t workBytes = 0, weightsBytes = 0;
};

/// Compiles for one device, up to the program; writes nothing.
Trial tryToCompile(const InspectArguments &arguments) {
  Trial trial{true, "", 0, 0};
  auto machine = machine::load("a100-80"); // any device that is large enough
  if (!machine) {
    trial.problem = machine.error().message;
    return trial;
  }
  CompileOptions options;
  options.model = arguments.file;
  options.dims = arguments.dims;
  options.plan.machine = &*machine;
  options.plan.memoryLimit = int64_t(1) << 50;
  options.target = codegen::CpuTarget{"x86-64-v3"};
  options.until = Stage::RT;
  mlir::DialectRegistry registry;
  registerAll(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error && trial.problem.empty())
      trial.problem = diagnostic.str();
    return mlir::success();
  });
  auto result = compile(context, options);
  if (failed(result)) {
    if (trial.problem.empty())
      trial.problem = "it cannot be compiled";
    return trial;
  }
  trial.problem.clear();
  for (const emit::DeviceMemory &memory : emit::getDeviceMemory(*result->module)) {
    trial.workBytes = memory.work;
    trial.weightsBytes = memory.weights;
  }
  return trial;
}

std::string shapeText(const PortSummary &port) {
  if (!port.hasShape)
    return "any shape";
  std::string text;
  for (const DimSummary &dim : port.dims)
    text += (text.empty() ? "" : " x ") + (dim.size             ? std::to_string(*dim.size)
                                           : dim.symbol.empty() ? std::string("?")
                                                                : dim.symbol);
  return port.dims.empty() ? "scalar" : text;
}

bool isOpen(const PortSummary &port) {
  return !port.hasShape || llvm::any_of(port.dims, [](const DimSummary &dim) { return !dim.size; });
}

/// A name as a shell takes it.
std::string quoted(llvm::StringRef name) {
  bool plain = llvm::all_of(name, [](char c) { return llvm::isAlnum(c) || llvm::StringRef("_-./:").contains(c); });
  if (plain && !name.empty())
    return name.str();
  std::string text = "'";
  for (char c : name)
    text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

/// One --dim for each open symbol, and one for each input with dimensions without a name.
std::vector<std::string> dimFlags(const ModelSummary &model) {
  std::vector<std::string> flags;
  std::set<std::string> named;
  for (const PortSummary &input : model.inputs) {
    bool nameless = !input.hasShape ||
                    llvm::any_of(input.dims, [](const DimSummary &dim) { return !dim.size && dim.symbol.empty(); });
    if (nameless && input.type.find(' ') == std::string::npos) {
      std::string sizes;
      for (const DimSummary &dim : input.dims)
        sizes += (sizes.empty() ? "" : "x") + (dim.size ? std::to_string(*dim.size) : std::string("N"));
      flags.push_back("--dim " + quoted(input.name) + "=" + (sizes.empty() ? "NxN" : sizes));
      continue;
    }
    for (const DimSummary &dim : input.dims)
      if (!dim.size && named.insert(dim.symbol).second)
        flags.push_back("--dim " + quoted(dim.symbol) + "=N");
  }
  return flags;
}

void printPorts(llvm::StringRef title, const std::vector<PortSummary> &ports) {
  llvm::outs() << "\n" << title << "\n";
  Table table;
  for (const PortSummary &port : ports)
    table.add({port.name, port.type, shapeText(port)});
  table.print(llvm::outs());
}

std::string operatorName(const OperatorSummary &op) { return op.domain.empty() ? op.name : op.domain + ":" + op.name; }

void printOperators(const ModelSummary &model) {
  std::string counts, unsupported;
  for (const OperatorSummary &op : model.operators) {
    counts += (counts.empty() ? "" : ", ") + operatorName(op) + kSpace.str() + std::to_string(op.count);
    if (!op.supported)
      unsupported += (unsupported.empty() ? "" : "; ") + operatorName(op) + " (" + std::to_string(op.count) +
                     ", first at node " + op.firstNode + ")";
  }
  llvm::outs() << "\n";
  printField(llvm::outs(), "operators", std::to_string(model.nodes) + " nodes: " + counts);
  if (!unsupported.empty())
    printField(llvm::outs(), "not supported", unsupported);
  for (const BlockSummary &block : model.blocks)
    printField(llvm::outs(), &block == &model.blocks.front() ? "repeated" : "",
               fitted(block.first, 60) + "  x" + std::to_string(block.count) + ", " + std::to_string(block.nodes) +
                   " nodes each, to " + fitted(block.last, 60));
}

void printParameters(const ModelSummary &model) {
  int64_t elements = 0, bytes = 0;
  std::string types;
  for (const ParameterSummary &type : model.parameters) {
    elements += type.elements;
    bytes += type.bytes;
    types += (types.empty() ? "" : ", ") + type.type + " " + countText(static_cast<double>(type.elements)) + " (" +
             bytesText(static_cast<double>(type.bytes)) + ")";
  }
  printField(llvm::outs(), "parameters",
             model.parameters.empty() ? "none"
                                      : countText(static_cast<double>(elements)) + ", " +
                                            bytesText(static_cast<double>(bytes)) + ": " + types);
  for (const DataFileSummary &file : model.files)
    if (!file.file.empty())
      printField(llvm::outs(), "external data",
                 file.file + ": " + std::to_string(file.tensors) + " tensors, " +
                     bytesText(static_cast<double>(file.bytes)) + ", " +
                     (file.problem.empty() ? "present" : file.problem));
}

/// The flags as a line to paste.
std::string bindText(const ModelSummary &model) {
  std::string text;
  for (const std::string &flag : dimFlags(model))
    text += (text.empty() ? "" : " ") + llvm::StringRef(flag).take_front(5).str() + kSpace.str() + flag.substr(6);
  return text;
}

void printTrial(const ModelSummary &model, const Trial &trial) {
  if (!trial.tried) {
    printField(llvm::outs(), "to bind", bindText(model));
    return;
  }
  if (!trial.problem.empty()) {
    printField(llvm::outs(), "problem", trial.problem);
    return;
  }
  printField(llvm::outs(), "on one device",
             "activations " + bytesText(static_cast<double>(trial.workBytes)) + ", weights as they are used " +
                 bytesText(static_cast<double>(trial.weightsBytes)));
}

json::Array portsJson(const std::vector<PortSummary> &ports) {
  json::Array list;
  for (const PortSummary &port : ports) {
    json::Object object{{"name", json::fixUTF8(port.name)}, {"type", port.type}};
    json::Array dims;
    for (const DimSummary &dim : port.dims)
      dims.push_back(dim.size             ? json::Value(*dim.size)
                     : dim.symbol.empty() ? json::Value(nullptr)
                                          : json::Value(json::fixUTF8(dim.symbol)));
    object["shape"] = port.hasShape ? json::Value(std::move(dims)) : json::Value(nullptr);
    list.push_back(std::move(object));
  }
  return list;
}

json::Object toJson(const ModelSummary &model, const Trial &trial) {
  json::Object opsets;
  for (const auto &[domain, version] : model.opsets)
    opsets[json::fixUTF8(domain)] = version;
  json::Array operators, parameters, files, blocks, flags;
  for (const OperatorSummary &op : model.operators)
    operators.push_back(json::Object{{"name", json::fixUTF8(operatorName(op))},
                                     {"count", op.count},
                                     {"supported", op.supported},
                                     {"first_node", json::fixUTF8(op.firstNode)}});
  for (const ParameterSummary &type : model.parameters)
    parameters.push_back(json::Object{
        {"type", type.type}, {"tensors", type.tensors}, {"elements", type.elements}, {"bytes", type.bytes}});
  for (const DataFileSummary &file : model.files)
    files.push_back(json::Object{{"file", json::fixUTF8(file.file)},
                                 {"tensors", file.tensors},
                                 {"bytes", file.bytes},
                                 {"problem", file.problem}});
  for (const BlockSummary &block : model.blocks)
    blocks.push_back(json::Object{{"first", json::fixUTF8(block.first)},
                                  {"last", json::fixUTF8(block.last)},
                                  {"count", block.count},
                                  {"nodes", block.nodes}});
  for (const std::string &flag : dimFlags(model))
    flags.push_back(json::fixUTF8(flag));
  json::Object result{{"kind", "model"},
                      {"name", json::fixUTF8(model.name)},
                      {"producer", json::fixUTF8(model.producer)},
                      {"ir_version", model.irVersion},
                      {"opsets", std::move(opsets)},
                      {"functions", model.functions},
                      {"inputs", portsJson(model.inputs)},
                      {"outputs", portsJson(model.outputs)},
                      {"dim_flags", std::move(flags)},
                      {"nodes", model.nodes},
                      {"operators", std::move(operators)},
                      {"parameters", std::move(parameters)},
                      {"files", std::move(files)},
                      {"blocks", std::move(blocks)}};
  if (trial.tried && trial.problem.empty())
    result["one_device"] = json::Object{{"activations_bytes", trial.workBytes}, {"weights_bytes", trial.weightsBytes}};
  else if (trial.tried)
    result["problem"] = json::fixUTF8(trial.problem);
  return result;
}

} // namespace

std::string inspectOnnx(const InspectArguments &arguments) {
  auto model = inspectModel(arguments.file);
  if (!model)
    return model.error().message;
  bool open = llvm::any_of(model->inputs, isOpen),
       supported = llvm::all_of(model->operators, [](const auto &op) { return op.supported; });
  Trial trial = (open && arguments.dims.empty()) || !supported ? Trial() : tryToCompile(arguments);
  if (arguments.json) {
    llvm::outs() << llvm::formatv("{0:2}", json::Value(toJson(*model, trial))) << "\n";
    return "";
  }
  std::string opsets;
  for (const auto &[domain, version] : model->opsets)
    opsets += (opsets.empty() ? "" : ", ") + domain + " " + std::to_string(version);
  printField(llvm::outs(), "model", arguments.file + (model->name.empty() ? "" : " (" + model->name + ")"));
  printField(llvm::outs(), "written by", model->producer.empty() ? "unknown" : model->producer);
  printField(llvm::outs(), "format",
             "ONNX IR " + std::to_string(model->irVersion) + ", operator sets " + opsets +
                 (model->functions ? ", " + std::to_string(model->functions) + " functions" : ""));
  printParameters(*model);
  if (trial.tried || open)
    printTrial(*model, trial);
  printPorts("inputs", model->inputs);
  printPorts("outputs", model->outputs);
  printOperators(*model);
  return "";
}

} // namespace mpopt
