#include "core/Loader.h"
#include "core/Verify.h"

#include <xxhash.h>

namespace mpopt::runtime {

Result<LoadedPlan> LoadedPlan::open(const std::string &path, const std::string &sourceDir) {
  auto file = PlanFile::open(path);
  if (!file)
    return tl::unexpected(file.error());
  LoadedPlan loaded(std::move(*file));
  if (Status status = verifyPlan(loaded.plan()); !status)
    return error("cannot run '" + path + "': " + status.error().message);
  size_t slash = path.rfind('/');
  std::string folder = slash == std::string::npos ? "." : path.substr(0, slash);
  if (Status status = loaded.mapWeights(folder); !status)
    return tl::unexpected(status.error());
  if (Status status = loaded.mapSources(sourceDir.empty() ? folder : sourceDir); !status)
    return tl::unexpected(status.error());
  return loaded;
}

Status LoadedPlan::mapWeights(const std::string &folder) {
  std::string_view name = text(plan().weights_file());
  if (name.empty())
    return {};
  std::string path = folder + "/" + std::string(name);
  auto mapped = Mapping::ofFile(path, "weights");
  if (!mapped)
    return tl::unexpected(mapped.error());
  if (mapped->size() != plan().weights_bytes())
    return error("weights '" + path + "' have " + std::to_string(mapped->size()) + " bytes, the plan expects " +
                 std::to_string(plan().weights_bytes()) + "; plan the model again with mpopt");
  XXH128_hash_t hash = XXH3_128bits(mapped->data(), mapped->size());
  if (hash.low64 != plan().weights_hash_low() || hash.high64 != plan().weights_hash_high())
    return error("weights '" + path + "' are damaged or of another plan; plan the model again with mpopt");
  weights = std::move(*mapped);
  return {};
}

Status LoadedPlan::mapSources(const std::string &folder) {
  for (const plan::Source *source : items(plan().sources())) {
    std::string path = folder + "/" + source->file()->str();
    auto mapped = Mapping::ofFile(path, "source");
    if (!mapped)
      return tl::unexpected(mapped.error());
    if (mapped->size() < source->offset() + source->bytes())
      return error("source '" + path + "' has " + std::to_string(mapped->size()) + " bytes, the plan needs " +
                   std::to_string(source->offset() + source->bytes()));
    sources.push_back(std::move(*mapped));
  }
  return {};
}

std::span<const std::byte> LoadedPlan::weightSlice(size_t rank, size_t index) const {
  const plan::WeightSlice &slice = *items(items(plan().ranks())[rank]->weights())[index];
  return slice.bytes() == 0 ? Mapping().span() : weights.span().subspan(slice.offset(), slice.bytes());
}

std::span<const std::byte> LoadedPlan::source(size_t index) const {
  const plan::Source &source = *items(plan().sources())[index];
  return sources[index].span().subspan(source.offset(), source.bytes());
}

uint64_t LoadedPlan::weightBytes(size_t rank) const {
  uint64_t bytes = 0;
  for (const plan::WeightSlice *slice : items(items(plan().ranks())[rank]->weights()))
    bytes += slice->bytes();
  return bytes;
}

} // namespace mpopt::runtime
