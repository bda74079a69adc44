#ifndef MPOPT_DIALECT_SHD_PARTITIONRULE_H
#define MPOPT_DIALECT_SHD_PARTITIONRULE_H

#include "mpopt/Dialect/Shd/Shd.h"
#include <limits>

namespace mpopt::shd {

/// What splitting a factor means.
///  Parallel       every device works on its part alone.
///  Reduce         results are partial: unreduced over the axes, combined by `reduce`.
///  NeedReplicate  may not be split.
///  Halo           parallel over the output; the operand dimension needs neighbours' elements, which buildLocal fetches.
enum class FactorKind { Parallel, Reduce, NeedReplicate, Halo };

/// What a factor is to the model as a whole, for `--strategy dp=..,tp=..,sp=..,ep=..`. Operators tag only what they know for sure
/// (Expert, and Token in an operator that has experts); Batch and Sequence are found by following the inputs' dimensions through the rules.
/// An axis may split a Token factor and the Expert factor at once: tokens are then sent to the devices of the experts chosen for them.
enum class FactorRole { Unknown, Expert, Token };

/// One loop of an operator: m, n and k of a matrix product, say.
struct Factor {
  int64_t size;
  FactorKind kind = FactorKind::Parallel;
  ReduceKind reduce = ReduceKind::Sum;
  FactorRole role = FactorRole::Unknown;
  /// May be split only evenly (no padding).
  bool evenOnly = false;
  /// Fewest elements that a device may hold when the factor is split (a halo reaches no further than the next device).
  int64_t minLocal = 1;
};

/// How an operator's tensors are made of factors, in the manner of Shardy. `operandDims[t][d]` lists the factors of dimension d of
/// operand t, major to minor; the product of their sizes is the dimension's size. A dimension of size 1 (broadcast, or kept
/// by a reduction) has none. Examples: matmul (m,k)x(k,n)->(m,n): {{{0},{2}},{{2},{1}}} -> {{{0},{1}}}, factor 2 Reduce; reshape
/// of [6] to [2,3]: {{{0,1}}} -> {{{0},{1}}}.
struct PartitionRule {
  using TensorDims = llvm::SmallVector<llvm::SmallVector<unsigned, 2>, 4>;

  llvm::SmallVector<Factor> factors;
  llvm::SmallVector<TensorDims> operandDims, resultDims;

  /// Sets of operands in which the operator is jointly linear: when exactly these operands are unreduced (sum) over an
  /// axis and no factor uses it, so is the result. add: {{0,1}}; mul, matmul: {{0},{1}}; reshape, transpose: {{0}}.
  /// Weights and replicated operands of such a set are made unreduced at no cost in communication.
  llvm::SmallVector<llvm::SmallVector<unsigned, 2>> linearIn;

  /// Value that padding of operand t must hold along Reduce factors (identity of the reduction); nullopt: 0.
  llvm::SmallVector<std::optional<double>> padValue;

  /// Adds a factor and returns its number.
  unsigned addFactor(int64_t size, FactorKind kind = FactorKind::Parallel, ReduceKind reduce = ReduceKind::Sum) {
    factors.push_back(Factor{size, kind, reduce});
    return factors.size() - 1;
  }
};

/// An operator's strategy: the axes that split each factor, major to minor, and the axes over which its results are partial
/// because its operands are (linearIn).
struct FactorSharding {
  llvm::SmallVector<llvm::SmallVector<mlir::StringAttr>> axes;
  /// Units in which split factors are dealt out: ceil(size / block / devices) * block elements to each device, as in DimShardingAttr.
  /// Empty: 1 for all.
  llvm::SmallVector<int64_t> blocks;
  llvm::SmallVector<mlir::StringAttr> unreduced;
  /// The set of linearIn that `unreduced` comes through.
  unsigned linearSet = 0;

  int64_t block(unsigned factor) const { return blocks.empty() ? 1 : blocks[factor]; }
  bool operator==(const FactorSharding &) const = default;
};

/// The shardings of operands and results under a strategy.
struct OpShardings {
  llvm::SmallVector<ShardingAttr> in, out;
};

/// The shardings that `strategy` gives; failure when it cannot be expressed (a minor factor split while its major one is not
/// wholly split, an uneven split of an evenOnly factor, a block that does not divide its factor, results partial under two kinds of
/// reduction, an axis used twice other than for tokens and experts, such an axis major to another one of the experts).
llvm::FailureOr<OpShardings> getShardings(const PartitionRule &rule, const FactorSharding &strategy,
                                          mlir::FlatSymbolRefAttr meshName, MeshAttr mesh);

/// The strategy behind an operation's shardings, inverse of getShardings, with the smallest blocks; failure when they follow from none.
llvm::FailureOr<FactorSharding> getStrategy(const PartitionRule &rule, llvm::ArrayRef<ShardingAttr> in,
                                            llvm::ArrayRef<ShardingAttr> out, MeshAttr mesh);

/// Number of devices that every factor is split over.
llvm::SmallVector<int64_t> getSplits(const PartitionRule &rule, const FactorSharding &strategy, MeshAttr mesh);

/// Local size of every factor under a strategy: ceil(size / block / devices) * block.
llvm::SmallVector<int64_t> getLocalSizes(const PartitionRule &rule, const FactorSharding &strategy, MeshAttr mesh);

/// The axes that split experts and tokens at once, minor among those of the experts; results are not partial over them.
llvm::SmallVector<mlir::StringAttr> getRoutedAxes(const PartitionRule &rule, const FactorSharding &strategy);

/// Local sizes of the factors of what a device computes: as getLocalSizes, but it has the tokens of all devices that send it theirs.
llvm::SmallVector<int64_t> getWorkSizes(const PartitionRule &rule, const FactorSharding &strategy, MeshAttr mesh);

/// What buildLocal knows: the global operation's rule and strategy, and the shardings that follow.
struct LocalContext {
  mlir::FlatSymbolRefAttr meshName;
  MeshAttr mesh;
  PartitionRule rule;
  FactorSharding strategy;
  OpShardings shardings;
  /// Axes that split factor i.
  llvm::ArrayRef<mlir::StringAttr> axesOf(unsigned factor) const { return strategy.axes[factor]; }
  /// Axes that split dimension `dim` of operand `t`.
  llvm::ArrayRef<mlir::StringAttr> axesOf(unsigned t, unsigned dim) const {
    return shardings.in[t].getDims()[dim].getAxes();
  }
};

/// Work of one device: for the cost model (lib/Cost). `matmul` says that flops come from a product of that shape.
struct OpWork {
  double flops = 0, bytesRead = 0, bytesWritten = 0;
  struct Matmul {
    int64_t batch, m, n, k;
  };
  std::optional<Matmul> matmul;
  /// Collectives inside buildLocal (a softmax over a split dimension, a halo): priced over the axes that split `factor`;
  /// none happens when no axis does. `bytes` is the size of one device's operand. Route: priced over getRoutedAxes; `bytes` is what a
  /// device is expected to send to all devices, itself included, and `room` the size of the buffer that holds the most that may come.
  struct Internal {
    enum Kind { AllReduce, AllGather, Halo, Route } kind;
    unsigned factor;
    double bytes;
    double room = 0;
  };
  llvm::SmallVector<Internal, 2> internal;
};

/// Default bodies of PartitionInterface.
llvm::FailureOr<llvm::SmallVector<mlir::Value>> cloneLocal(mlir::Operation *op, mlir::OpBuilder &builder,
                                                           mlir::ValueRange operands, const LocalContext &context);
OpWork defaultWork(mlir::Operation *op, const PartitionRule &rule, llvm::ArrayRef<int64_t> sizes);

/// Rules that many operators share.
/// Elementwise with numpy broadcasting of every operand against the one result; linear as `linearIn` says.
PartitionRule elementwiseRule(mlir::Operation *op, llvm::ArrayRef<llvm::SmallVector<unsigned, 2>> linearIn = {});

} // namespace mpopt::shd

#include "mpopt/Dialect/Shd/PartitionInterface.h.inc"

#endif // MPOPT_DIALECT_SHD_PARTITIONRULE_H
