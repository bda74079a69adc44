// Times the collectives of the runtime's local communicator. usage: bench-collectives RANKS threads|processes SECONDS KIND,... BYTES...
// Prints a line "KIND BYTES SECONDS" each: the median time of one collective, of a run in which they follow one another.
// BYTES is the larger one of a rank's operand and result (of a halo: its operand).
#include "launch/Session.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <unistd.h>

namespace mpopt::runtime {
namespace {

using plan::CollectiveKind;

constexpr unsigned kRepeats = 16; // collectives in one step

/// A plan of `kRepeats` equal collectives over all ranks, on f32 buffers.
class CollectivePlan {
public:
  CollectivePlan(unsigned ranks, CollectiveKind kind, int64_t elements) : ranks(ranks), kind(kind) {
    plan.version = plan::kFormatVersion;
    plan.target = "cpu";
    plan.cpu = "x86-64-v3";
    plan.devices = ranks;
    plan.names = {""};
    for (unsigned i = 0; i < ranks; ++i)
      plan.ranks.push_back(std::make_unique<plan::RankT>());
    plan.programs.push_back(std::make_unique<plan::ProgramT>());
    auto group = std::make_unique<plan::GroupT>();
    for (unsigned i = 0; i < ranks; ++i)
      group->ranks.push_back(i);
    plan.group_sets.push_back(std::make_unique<plan::GroupSetT>());
    plan.group_sets[0]->groups.push_back(std::move(group));
    int64_t part = elements / ranks;
    bool gathers = kind == CollectiveKind::all_gather, scatters = kind == CollectiveKind::reduce_scatter;
    halo = kind == CollectiveKind::halo ? elements / 16 : 0;
    buffer(gathers ? part : elements);
    buffer(scatters ? part : elements + 2 * halo);
    for (unsigned i = 0; i < kRepeats; ++i)
      collective(i);
  }

  plan::PlanT plan;

private:
  void buffer(int64_t elements) {
    plan::ProgramT &program = *plan.programs[0];
    auto made = std::make_unique<plan::BufferT>();
    made->offset = program.work_bytes;
    made->bytes = elements * sizeof(float);
    made->shape = {elements};
    program.work_bytes += (made->bytes + 63) / 64 * 64;
    program.buffers.push_back(std::move(made));
  }

  void collective(uint32_t sequence) {
    plan::CollectiveT call;
    call.kind = kind;
    call.low = call.high = halo;
    call.sequence = sequence;
    for (unsigned i = 0; kind == CollectiveKind::permute && i < ranks; ++i)
      call.permutation.push_back((i + ranks - 1) % ranks);
    auto made = std::make_unique<plan::InstructionT>();
    made->op.Set(std::move(call));
    made->reads = {0};
    made->writes = {1};
    plan.programs[0]->instructions.push_back(std::move(made));
  }

  unsigned ranks;
  CollectiveKind kind;
  int64_t halo = 0;
};

Result<std::vector<double>> run(const LoadedPlan &plan, bool processes, uint64_t steps) {
  auto session = Session::create(plan, {processes, steps, 60, false});
  if (!session)
    return tl::unexpected(session.error());
  if (Status status = session->run(); !status)
    return tl::unexpected(status.error());
  return session->stepSeconds();
}

Result<double> measure(const std::string &path, unsigned ranks, bool processes, double seconds, CollectiveKind kind,
                       int64_t bytes) {
  CollectivePlan made(ranks, kind, bytes / static_cast<int64_t>(sizeof(float)));
  if (Status status = writePlan(path, made.plan); !status)
    return tl::unexpected(status.error());
  auto plan = LoadedPlan::open(path);
  if (!plan)
    return tl::unexpected(plan.error());
  auto times = run(*plan, processes, 3);
  if (!times)
    return tl::unexpected(times.error());
  auto steps = static_cast<uint64_t>(std::clamp(seconds / times->back(), 3.0, 2000.0));
  times = run(*plan, processes, steps);
  if (!times)
    return tl::unexpected(times.error());
  std::ranges::nth_element(*times, times->begin() + static_cast<int64_t>(steps / 2));
  return (*times)[steps / 2] / kRepeats;
}

Status measureAll(const std::string &path, int argc, char **argv) {
  auto ranks = static_cast<unsigned>(std::atoi(argv[1]));
  std::stringstream kinds(argv[4]);
  for (std::string name; std::getline(kinds, name, ',');) {
    auto names = std::span(plan::EnumNamesCollectiveKind(), size_t(plan::CollectiveKind::MAX) + 1);
    auto found = std::ranges::find(names, name);
    if (found == names.end())
      return error("no collective '" + name + "'");
    for (int i = 5; i < argc; ++i) {
      auto seconds = measure(path, ranks, std::string(argv[2]) == "processes", std::atof(argv[3]),
                             static_cast<CollectiveKind>(found - names.begin()), std::atoll(argv[i]));
      if (!seconds)
        return tl::unexpected(seconds.error());
      std::printf("%s %s %.9f\n", name.c_str(), argv[i], *seconds);
      std::fflush(stdout);
    }
  }
  return {};
}

} // namespace
} // namespace mpopt::runtime

int main(int argc, char **argv) {
  if (argc < 6) {
    std::fprintf(stderr, "usage: bench-collectives RANKS threads|processes SECONDS KIND,... BYTES...\n");
    return 2;
  }
  std::string path =
      (std::filesystem::temp_directory_path() / ("bench-collectives-" + std::to_string(getpid()))).string();
  mpopt::Status status = mpopt::runtime::measureAll(path, argc, argv);
  std::filesystem::remove(path);
  if (!status)
    std::fprintf(stderr, "error: %s\n", status.error().message.c_str());
  return status ? 0 : 1;
}
