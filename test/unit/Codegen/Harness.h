#ifndef MPOPT_TEST_UNIT_CODEGEN_HARNESS_H
#define MPOPT_TEST_UNIT_CODEGEN_HARNESS_H

#include "Reference.h"
#include "mlir/IR/OwningOpRef.h"
#include "mpopt/Codegen/Codegen.h"
#include <gtest/gtest.h>
#include <memory>
#include <string>

namespace mpopt::test {

/// The targets that this machine can run.
std::vector<codegen::CpuTarget> runnableTargets();

/// A library of kernels, loaded from memory.
class Library {
public:
  explicit Library(llvm::ArrayRef<char> elf);
  ~Library();
  void *symbol(const std::string &name) const;

private:
  void *handle = nullptr;
};

/// Bytes of a tensor in memory, odd addresses included, and back.
std::vector<char> encode(const Tensor &tensor, mlir::Type element);
Tensor decode(const std::vector<char> &bytes, mlir::RankedTensorType type);

struct Options {
  double low = -2, high = 2; ///< range of random operands
  double tolerance = 1e-5;   ///< relative to max(1, |expected|)
  std::vector<Tensor> given; ///< operands to use instead of random ones; empty tensors are random
};

/// Compiles `body` (the text of one function @k with nn operators) for every runnable target, runs it on random operands and compares every
/// result with the interpreter's.
void check(const std::string &text, const Options &options = {});

mlir::MLIRContext &context();
mlir::OwningOpRef<mlir::ModuleOp> parse(const std::string &text);

} // namespace mpopt::test

#endif // MPOPT_TEST_UNIT_CODEGEN_HARNESS_H
