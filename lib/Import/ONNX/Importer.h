#ifndef MPOPT_LIB_IMPORT_ONNX_IMPORTER_H
#define MPOPT_LIB_IMPORT_ONNX_IMPORTER_H

#include "Model.h"
#include "Node.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Path.h"
#include <map>

namespace mpopt::onnx {

using llvm::FailureOr;
using llvm::LogicalResult;

/// Functions and branches nest at most so deep.
inline constexpr int kMaxDepth = 32;

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

/// Walks one model. Its members are in Importer.cpp, those of If, Loop and Scan in ControlFlow.cpp.
class Importer {
public:
  Importer(mlir::MLIRContext &context, const proto::ModelProto &model, StringRef path)
      : model(model), builder(&context), file(llvm::sys::path::filename(path)),
        fileLoc(mlir::FileLineColLoc::get(&context, path, 0, 0)) {
    setOpsets(model.opset_import());
  }

  FailureOr<mlir::OwningOpRef<mlir::ModuleOp>> run();

private:
  LogicalResult importMain(mlir::func::FuncOp function);
  LogicalResult importArguments(mlir::func::FuncOp function, Scope &scope);
  LogicalResult importInitializers(const proto::GraphProto &graph, Scope &scope);
  LogicalResult importNodes(const google::protobuf::RepeatedPtrField<proto::NodeProto> &nodes, Scope &scope);
  LogicalResult importNode(const proto::NodeProto &node, Scope &scope);
  LogicalResult importIf(const proto::NodeProto &node, mlir::Location loc, Scope &scope);
  LogicalResult importChoice(const proto::NodeProto &node, Value condition, mlir::Location loc, Scope &scope);
  LogicalResult importLoop(const proto::NodeProto &node, mlir::Location loc, Scope &scope);
  LogicalResult importScan(const proto::NodeProto &node, mlir::Location loc, Scope &scope);
  FailureOr<SmallVector<Value>> importBody(const proto::NodeProto &node, StringRef attribute, ArrayRef<Value> arguments,
                                           mlir::Location loc, Scope &scope);
  LogicalResult bindSteps(const proto::NodeProto &node, SmallVector<Value> states, ArrayRef<SmallVector<Value>> perStep,
                          Node &scan, Scope &scope);
  LogicalResult lower(const proto::NodeProto &node, mlir::Location loc, Scope &scope);
  LogicalResult readAttributes(const proto::NodeProto &node, Node &to);
  LogicalResult inlineFunction(const proto::NodeProto &node, Node &call, Scope &scope);
  const proto::FunctionProto *functionBody(const Node &call, const proto::NodeProto &node, proto::FunctionProto &made);
  LogicalResult bindResults(const proto::NodeProto &node, ArrayRef<Value> results, mlir::Location loc, Scope &scope);
  void dropUnused(mlir::func::FuncOp function);

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
  mlir::Location locate(const proto::NodeProto &node);

  const proto::ModelProto &model;
  mlir::OpBuilder builder;
  std::string file;
  mlir::Location fileLoc;
  /// Inside a function, the location of its outermost call.
  mlir::Location callLoc = fileLoc;
  llvm::StringMap<int64_t> versions;
  llvm::StringSet<> used;
  int64_t nodeCount = 0;
};

} // namespace mpopt::onnx

#endif // MPOPT_LIB_IMPORT_ONNX_IMPORTER_H
