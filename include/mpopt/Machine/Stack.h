#ifndef MPOPT_MACHINE_STACK_H
#define MPOPT_MACHINE_STACK_H

#include "mpopt/Support/Result.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mpopt::machine {

/// Measured time of one transformer layer on one device, for one microbatch: what profiling a layer on the machine
/// gives. Both times include the layer's tensor-parallel collectives; backward is input and weight gradients without
/// recomputation.
struct LayerProfile {
  int64_t hidden = 0;
  int64_t heads = 0;
  int64_t feedForward = 0;
  int64_t sequence = 0;
  int64_t tp = 1;
  int64_t microbatch = 1;
  double forwardSeconds = 0;
  double backwardSeconds = 0;
};

/// What a training program makes of a machine: shares and costs that the data sheet does not give, each relative to the
/// machine file, so that one stack can be carried to another machine. The defaults describe a well-kept program.
struct Stack {
  std::string name = "default";
  std::string note; ///< Where the numbers come from.

  // Compute.
  double matmul = 1;               ///< Factor on the machine's sustained matrix rate.
  double pointwise = 1;            ///< Factor on the bytes that element-wise work moves; below 1 where it is fused.
  double attention = 0.5;          ///< Share of the sustained matrix rate that fused attention reaches.
  double launchSeconds = 1.2e-5;   ///< Host time to start one kernel from the framework.
  double overlapNorm = 2.6;        ///< p of (device^p + host^p)^(1/p): a layer is part launch-bound, part not.
  double softmaxLaunches = 18;     ///< Kernels that softmax takes more where softmaxByFour bars the fused one.
  double optimizerBytes = 26;      ///< Bytes moved per parameter by the optimizer.
  double microbatchSeconds = 3e-4; ///< Host time per microbatch and stage: scheduler, loss scaling, data.
  double stepSeconds = 2e-3;       ///< Host time per step.

  // Traffic.
  double intraLink = 1;       ///< Factor on the bandwidth of level 0.
  double interLink = 1;       ///< Factor on the bandwidth of the outer levels.
  double latency = 1;         ///< Factor on the latency of every level.
  double tensorOverlap = 0;   ///< Share of tensor-parallel traffic hidden behind matrix work.
  double dataOverlap = 0;     ///< Share of gradient traffic hidden behind the backward pass.
  double gatherExposed = 0.3; ///< Share of the smaller of compute and parameter traffic that sharded training exposes.

  // What the program does.
  bool fusedAttention = false;      ///< Scores are never written to memory.
  bool softmaxByFour = false;       ///< The fused softmax wants batch*heads/tp divisible by 4 (Megatron-LM to 2022).
  bool recomputeStopsEarly = false; ///< Recomputation ends with the last value that the backward pass reads (PyTorch's
                                    ///< checkpoint from 2.1), so the layer's last product is not repeated.
  bool dropout = false;             ///< Masks are kept, of residuals and of scores.
  bool paddedVocabulary = true;     ///< Logits are padded to a multiple of 128 per rank, not only where tp demands it.

  // Memory.
  double gradientBytes = 4;     ///< Per parameter, for 16-bit weights.
  double communicatedBytes = 2; ///< Per gradient element in the gradient all-reduce.
  double logitBytes = 12;       ///< Per logit: 16-bit logits, their 32-bit copy, softmax, and the 16-bit gradient.
  double reserveBytes = 1.5e9;  ///< Context, communicators and what the allocator cannot use.
  double activations = 1;       ///< Factor on the bytes of stored activations.

  std::vector<LayerProfile> profile;
};

/// A number of a stack, by name, for files and for fitting.
struct StackConstant {
  std::string_view key;
  double Stack::*field;
  double spread; ///< Standard deviation of its logarithm before anything is measured; 0: never fitted.
  double low;    ///< Bounds of what is physically possible.
  double high;
};

/// All numbers of a stack, in the order of the file.
std::span<const StackConstant> stackConstants();

/// Reads a stack by shipped name or from a TOML file (a path with '/' or ending in ".toml"). Errors name file, key,
/// value and remedy.
Result<Stack> loadStack(const std::string &nameOrPath);

/// Reads a stack from TOML text; keys that are absent keep their defaults.
Result<Stack> parseStack(std::string_view toml, const std::string &origin);

/// TOML text that parseStack() reads back to an equal stack; the same bytes for the same stack.
std::string toToml(const Stack &stack);

/// Names of the stacks built into the program, sorted.
std::vector<std::string> shippedStacks();

} // namespace mpopt::machine

#endif // MPOPT_MACHINE_STACK_H
