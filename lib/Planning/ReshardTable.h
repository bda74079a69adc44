#ifndef MPOPT_LIB_PLANNING_RESHARDTABLE_H
#define MPOPT_LIB_PLANNING_RESHARDTABLE_H

#include "Mesh.h"
#include "mpopt/Dialect/Shd/Reshard.h"
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <unordered_map>

namespace mpopt::planning {

/// A sharding by the numbers of its mesh axes.
struct PlainSharding {
  using Axes = llvm::SmallVector<int, 4>;
  llvm::SmallVector<Axes, 4> dims; ///< Major to minor.
  llvm::SmallVector<int64_t, 4> blocks;
  Axes unreduced; ///< Ascending.
  shd::ReduceKind reduce = shd::ReduceKind::Sum;

  static PlainSharding of(shd::ShardingAttr sharding, const PlanMesh &mesh);
  shd::ShardingAttr attr(const PlanMesh &mesh) const;
};

/// Prices of all ways between the shardings of one type: what shd::findReshard finds pair by pair, found source by source, since the
/// search for a plan asks for thousands of pairs. Knows shardings that are partial by sum at most.
class ReshardTable {
public:
  using Kind = shd::ReshardStep::Kind;
  /// Price of a step over axes of the mesh, by the bytes of the local values before and after it.
  using Price = llvm::function_ref<double(Kind kind, llvm::ArrayRef<int> axes, double bytesIn, double bytesOut)>;

  ReshardTable(mlir::RankedTensorType type, double elementBytes, const PlanMesh &mesh);

  /// The number of a sharding; nullopt where the table does not know it. Blocks that are new make the table anew, and then numbers given
  /// earlier mean nothing any more.
  std::optional<int> numberOf(const PlainSharding &sharding);
  /// Grows whenever numbers are given anew.
  unsigned generation() const { return builds; }
  /// The least price between two numbers. `price` is the same in every call.
  double find(int from, int to, Price price);

private:
  using Axes = PlainSharding::Axes;
  using Key = llvm::SmallVector<int64_t, 24>;
  struct KeyHash {
    size_t operator()(const Key &key) const { return llvm::hash_combine_range(key.begin(), key.end()); }
  };
  struct State {
    llvm::SmallVector<Axes, 4> dims;     ///< Major to minor.
    llvm::SmallVector<int64_t, 4> sizes; ///< Of a device's part: what a split in whole blocks gives.
    Axes partial, idle;                  ///< Ascending.

    Key key() const;
  };
  struct Edge {
    int to;
    double seconds;
    bool isPermute;
  };
  /// How far the search from one source has come: it stops at what was asked for, and goes on from there.
  struct Search {
    using Entry = std::pair<double, int>;
    std::vector<double> least;
    std::vector<char> settled, permuted; ///< Whether the last step of the cheapest way is a permute.
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> open;
  };

  /// Makes the table anew when the sharding has blocks that are new.
  void learnBlocks(const PlainSharding &sharding);
  void build();
  void findSizes();
  void enumerate(State &state, int axis);
  void enumerateSizes(State &state, size_t dim);
  void relax(Search &search, int state, Price price);
  const std::vector<Edge> &edgesOf(int number, Price price);

  void addSlices(const State &state, Price price);
  void addReductions(const State &state, Price price);
  void addGathers(const State &state, Price price);
  void addPermutes(int number, Price price);
  void addEdge(Kind kind, llvm::ArrayRef<int> axes, const State &from, const State &to, Price price);

  int64_t ways(llvm::ArrayRef<int> axes) const;
  std::vector<int64_t> usefulSizes(size_t dim, int64_t ways) const;
  double bytes(const State &state) const;
  std::vector<int64_t> splits(const State &state) const;
  void forEachSplit(const State &state, size_t dim, llvm::ArrayRef<int> axes,
                    llvm::function_ref<void(const State &)> visit) const;
  std::optional<State> join(State state, size_t dim, size_t count) const;

  mlir::RankedTensorType type;
  double elementBytes;
  const PlanMesh &mesh;
  bool fits = true;
  unsigned builds = 0;
  std::vector<std::set<int64_t>> blocks;                   ///< By dimension: those of the shardings asked for.
  std::vector<std::map<int64_t, std::set<int64_t>>> sizes; ///< By dimension and ways: what a part may be as large as.
  std::vector<State> states;
  std::unordered_map<Key, int, KeyHash> numbers; ///< Looked up only.
  std::map<std::vector<int64_t>, std::vector<int>> bySplits;
  std::vector<std::optional<std::vector<Edge>>> edges;
  std::vector<Edge> *current = nullptr;
  std::vector<std::unique_ptr<Search>> searches; ///< By source.
};

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_RESHARDTABLE_H
