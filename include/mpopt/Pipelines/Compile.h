#ifndef MPOPT_PIPELINES_COMPILE_H
#define MPOPT_PIPELINES_COMPILE_H

#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "mpopt/Codegen/Codegen.h"
#include "mpopt/Import/ONNX/Annotations.h"
#include "mpopt/Planning/Planning.h"
#include <functional>
#include <string>
#include <vector>

namespace mpopt {

/// The stages of compilation whose IR can be printed.
enum class Stage { NN, Planned, Partitioned, RT, Plan };

struct CompileOptions {
  std::string model;  // path of the ONNX file
  std::string output; // path of the plan
  std::vector<std::string> dims;
  planning::PlanOptions plan;
  codegen::CpuTarget target;
  Stage until = Stage::Plan;
  /// Whether CompileResult::account says more than the one in the plan file: tensors, the step over time, what limits it.
  bool details = false;
  /// Whether CompileResult::annotations is wanted.
  bool annotate = false;
  /// Whether the model's multi-device annotations (ONNX IR 11) are left unread; otherwise they are pins.
  bool ignoreAnnotations = false;
  /// Called when a phase begins, with its name in the present participle.
  std::function<void(llvm::StringRef)> progress;
};

struct CompileResult {
  mlir::OwningOpRef<mlir::ModuleOp> module; // in the form of options.until
  planning::PlanReport report;
  std::optional<Annotations> annotations; // with options.annotate, from Stage::Planned on
  std::string account; // JSON, from Stage::RT on; what the plan file carries, or more with options.details
};

/// The plan of a planned module as annotations for the model's file, under the configuration's name "mpopt". What ONNX cannot say (partial sums,
/// operators that are part of something larger) is left out. Errors name the file.
Result<Annotations> makeAnnotations(mlir::ModuleOp planned, const std::string &model);

/// Compiles a model up to a stage; at Stage::Plan the plan and weights files are written. Errors go to the context's diagnostics.
mlir::FailureOr<CompileResult> compile(mlir::MLIRContext &context, const CompileOptions &options);
/// The same; after a failure of planning `result.report` says whether memory is what lacks.
mlir::LogicalResult compile(mlir::MLIRContext &context, const CompileOptions &options, CompileResult &result);

/// Registers every dialect, and every pass, of the project.
void registerAll(mlir::DialectRegistry &registry);
void registerAllPasses();

} // namespace mpopt

#endif // MPOPT_PIPELINES_COMPILE_H
