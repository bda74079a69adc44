#ifndef MPOPT_LIB_DIALECT_SHD_RESHARDGRAPH_H
#define MPOPT_LIB_DIALECT_SHD_RESHARDGRAPH_H

#include "mpopt/Dialect/Shd/Reshard.h"
#include "llvm/ADT/DenseMap.h"
#include <array>

namespace mpopt::shd {

/// The graph that findReshard searches: its nodes are shardings in which only the axes and dimensions that matter to the two
/// ends differ, its edges are steps. A node packs into 64 bits.
class ReshardGraph {
public:
  static constexpr unsigned kMaxAxes = 6, kMaxDims = 6, kMaxSizes = 16;

  /// Axes of the graph, by number; at most kMaxAxes. States are copied often, so this is plain data.
  class Axes {
  public:
    Axes() = default;
    explicit Axes(llvm::ArrayRef<uint8_t> axes) { append(axes); }
    void push_back(uint8_t axis) { values[count++] = axis; }
    void pop_back() { --count; }
    void append(llvm::ArrayRef<uint8_t> axes) {
      for (uint8_t axis : axes)
        push_back(axis);
    }
    void resize(size_t size) { count = static_cast<uint8_t>(size); }
    size_t size() const { return count; }
    bool empty() const { return count == 0; }
    uint8_t &operator[](size_t i) { return values[i]; }
    uint8_t *begin() { return values.data(); }
    uint8_t *end() { return values.data() + count; }
    const uint8_t *begin() const { return values.data(); }
    const uint8_t *end() const { return values.data() + count; }
    operator llvm::ArrayRef<uint8_t>() const { return {begin(), count}; }
    bool operator==(const Axes &other) const {
      return llvm::ArrayRef<uint8_t>(*this) == llvm::ArrayRef<uint8_t>(other);
    }

  private:
    std::array<uint8_t, kMaxAxes> values{};
    uint8_t count = 0;
  };

  /// Where every axis is. Sizes are local sizes of the dimensions: an uneven split has several.
  struct State {
    std::array<Axes, kMaxDims> dims; ///< Major to minor.
    uint8_t unreduced = 0;           ///< A bit per axis.
    std::array<int64_t, kMaxDims> sizes{};
  };

  struct Move {
    ReshardStep::Kind kind;
    uint8_t dim = 0, toDim = 0;
    Axes axes;
  };

  using Visitor = llvm::function_ref<void(const Move &, const State &)>;

  /// Of canonical shardings; false from fits() when they need more axes or dimensions than a node can hold.
  ReshardGraph(ShardingAttr from, ShardingAttr to, mlir::RankedTensorType type, MeshAttr mesh);

  bool fits() const { return fitting; }
  State start() const { return makeState(from); }
  State goal() const { return makeState(to); }
  /// A number for the state; equal states have equal numbers. None when a dimension has been given too many sizes.
  std::optional<uint64_t> pack(const State &state);
  State unpack(uint64_t key) const;
  /// Calls `visit` with every move from `state`, always in the same order.
  void forEachMove(const State &state, Visitor visit);
  /// Bytes of the local value.
  double bytes(const State &state) const;

  /// As attributes.
  llvm::SmallVector<mlir::StringAttr> expand(llvm::ArrayRef<uint8_t> axes) const;
  int64_t dimension(unsigned dim) const { return dimNumbers[dim]; }
  ShardingAttr sharding(const State &state);
  /// Of a permute from one sharding to another: the axes that move, and from which of its group over them every device gets its part.
  llvm::SmallVector<mlir::StringAttr> permutedAxes(ShardingAttr old, ShardingAttr fresh) const;
  llvm::SmallVector<int64_t> permutationOf(ShardingAttr old, ShardingAttr fresh,
                                           llvm::ArrayRef<mlir::StringAttr> axes) const;
  /// The axes whose place differs, in the order of the graph.
  Axes movedAxes(const State &before, const State &after) const;

private:
  void findAxes();
  void findDims();
  State makeState(ShardingAttr sharding) const;
  int64_t sizeOf(llvm::ArrayRef<uint8_t> axes) const;
  /// Smallest block that gives `local` elements of dimension `dim` over `devices`; 0 when none does.
  int64_t blockFor(unsigned dim, int64_t local, int64_t devices) const;
  /// Local sizes of a dimension split over `devices` that may be of use.
  llvm::SmallVector<int64_t, 3> usefulSizes(unsigned dim, int64_t devices) const;
  uint8_t free(const State &state) const;

  /// Orders of up to all of the axes in `mask` that are worth adding to a dimension that holds `held`.
  void forEachOrder(uint8_t mask, unsigned dim, llvm::ArrayRef<uint8_t> held,
                    llvm::function_ref<void(llvm::ArrayRef<uint8_t>)> visit) const;
  /// Splits `dim` further over `axes`, in every way that leaves one run of elements on each device.
  void forEachSplit(const State &state, unsigned dim, llvm::ArrayRef<uint8_t> axes,
                    llvm::function_ref<void(const State &)> visit);
  /// Joins the `count` minor-most axes of `dim`; none when the parts do not lie one after the other.
  std::optional<State> join(const State &state, unsigned dim, unsigned count);

  void slices(const State &state, Visitor visit);
  void keeps(const State &state, uint8_t idle, Visitor visit);
  void gathers(const State &state, Visitor visit);
  void reductions(const State &state, Visitor visit);
  void exchanges(const State &state, Visitor visit);
  void permutes(const State &state, Visitor visit);

  ShardingAttr from, to;
  mlir::RankedTensorType type;
  MeshAttr mesh;
  bool fitting = true;
  ReduceKind reduce;
  /// The mesh's axes behind each axis of the graph: a run that stays together.
  llvm::SmallVector<llvm::SmallVector<mlir::StringAttr, 2>, kMaxAxes> axisNames;
  llvm::SmallVector<int64_t, kMaxAxes> axisSizes, dimNumbers;
  llvm::SmallVector<llvm::SmallVector<int64_t, 2>, kMaxDims> blocks;
  double elementBytes = 1;
  std::array<llvm::SmallVector<int64_t>, kMaxDims> sizeTable;
  uint8_t splitInGoal = 0, unreducedInGoal = 0;
};

} // namespace mpopt::shd

#endif // MPOPT_LIB_DIALECT_SHD_RESHARDGRAPH_H
