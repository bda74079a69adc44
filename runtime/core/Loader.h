#ifndef MPOPT_RUNTIME_CORE_LOADER_H
#define MPOPT_RUNTIME_CORE_LOADER_H

#include "core/Memory.h"
#include "core/PlanAccess.h"

#include <vector>

namespace mpopt::runtime {

/// A plan that passed every check, with its weights file and sources mapped. Shared by all ranks, read-only.
class LoadedPlan {
public:
  /// Opens the plan at `path` and what it names beside it; sources are looked for in `sourceDir`, or in the plan's folder when that is
  /// empty. Checks the plan (trailer, structure, meaning) and the weights file's size and hash.
  static Result<LoadedPlan> open(const std::string &path, const std::string &sourceDir = "");

  const plan::Plan &plan() const { return file.plan(); }
  uint64_t hash() const { return file.hash(); }
  const plan::Program &programOf(size_t rank) const {
    return *items(plan().programs())[items(plan().ranks())[rank]->program()];
  }
  size_t numRanks() const { return items(plan().ranks()).size(); }

  std::span<const std::byte> weightSlice(size_t rank, size_t index) const;
  std::span<const std::byte> source(size_t index) const;
  /// Bytes of weights that a rank reads.
  uint64_t weightBytes(size_t rank) const;

private:
  explicit LoadedPlan(PlanFile file) : file(std::move(file)) {}
  Status mapWeights(const std::string &folder);
  Status mapSources(const std::string &folder);

  PlanFile file;
  Mapping weights;
  std::vector<Mapping> sources;
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_CORE_LOADER_H
