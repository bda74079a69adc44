#ifndef MPOPT_RUNTIME_FORMAT_CONTAINER_H
#define MPOPT_RUNTIME_FORMAT_CONTAINER_H

#include "OutputFile.h"
#include "mpopt/Support/Result.h"
#include "plan_generated.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace mpopt::plan {
/// Version of the plan format; a reader takes no other.
inline constexpr uint32_t kFormatVersion = 4;
} // namespace mpopt::plan

namespace mpopt::runtime {

/// Last 32 bytes of a plan file: what comes before them, and its hash.
struct Trailer {
  char magic[8];
  uint64_t bytes;
  uint64_t hashLow, hashHigh;
};

/// Writes a plan to a file that the caller commits, or under its name.
void writePlan(OutputFile &file, const plan::PlanT &plan);
Status writePlan(const std::string &path, const plan::PlanT &plan);

/// A plan file, mapped and checked: its trailer and hash, the FlatBuffers verifier, and the format's version.
class PlanFile {
public:
  static Result<PlanFile> open(const std::string &path);
  PlanFile(PlanFile &&other) noexcept;
  PlanFile &operator=(PlanFile &&other) noexcept;
  ~PlanFile();

  const plan::Plan &plan() const { return *plan::GetPlan(data); }
  uint64_t hash() const { return hashLow; }

private:
  PlanFile() = default;
  const std::byte *data = nullptr;
  size_t bytes = 0;
  uint64_t hashLow = 0;
};

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_FORMAT_CONTAINER_H
