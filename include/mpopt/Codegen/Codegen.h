#ifndef MPOPT_CODEGEN_CODEGEN_H
#define MPOPT_CODEGEN_CODEGEN_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include <memory>
#include <string>

namespace mpopt::codegen {

/// An instruction set that kernels are compiled for.
struct CpuTarget {
  /// "x86-64-v3" (AVX2 and FMA) or "x86-64-v4" (AVX-512).
  std::string cpu = "x86-64-v3";

  /// The best of the known targets that this machine can run.
  static CpuTarget native();

  bool hasAvx512() const { return cpu == "x86-64-v4"; }
  /// f32 elements of one vector register.
  int64_t vectorWidth() const { return hasAvx512() ? 16 : 8; }
  /// Columns of one panel of packed weights for a product with `rows` rows: a multiple of vectorWidth().
  int64_t panelWidth(int64_t rows) const;
  /// Rows of the register block of a product with `vectors` vectors of columns.
  int64_t blockRows(int64_t vectors) const;
  /// Columns of one panel of the packed weights of a convolution with `channels` output channels (of a group) and lines of `length` outputs.
  int64_t convPanelWidth(int64_t channels, int64_t length) const;
  /// The most rows of a convolution's register block with `vectors` vectors of columns.
  int64_t convRows(int64_t vectors) const;
};

/// The widest panel of packed weights of a convolution, in vectors.
constexpr int64_t kMostConvVectors = 8;

/// Groups the `nn` ops of @main (local shapes) into functions with the unit attribute `rt.kernel`, which @main calls.
///
/// - Matrix products with constant weights become `nn.packed_matmul`; a kernel that runs when the plan is loaded packs the weights.
/// - Images are laid out with channels last between convolutions, pools and what is elementwise around them (LayOutImages.h).
/// - `nn.weight`, `nn.constant`, `coll` ops and most `nn.reshape` stay in @main.
/// - No kernel mixes what is known at load time with what a step computes.
/// - Equal kernels are one function; names are kernel_0, kernel_1, ... in order of first use.
std::unique_ptr<mlir::Pass> createFormKernelsPass(CpuTarget target);

/// Registers `mpopt-form-kernels`, for mpopt-opt.
void registerCodegenPasses();

/// Compiles every function with `rt.kernel` of `module` into one ELF shared library without undefined symbols, in memory.
///
/// Each kernel is a symbol `void name(void *const *args)`; args are the dense row-major buffers of the operands and then of the
/// results, which must not overlap. Booleans take one byte. Buffers need no alignment. Kernels allocate nothing and use less
/// than 64 KiB of stack. What cannot be compiled is diagnosed on the op's location.
mlir::FailureOr<llvm::SmallVector<char>> compileKernels(mlir::ModuleOp module, const CpuTarget &target);

} // namespace mpopt::codegen

#endif // MPOPT_CODEGEN_CODEGEN_H
