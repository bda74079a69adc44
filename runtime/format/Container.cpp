#include "Container.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <xxhash.h>

namespace mpopt::runtime {
namespace {

constexpr char kMagic[8] = {'M', 'P', 'O', 'P', 'T', 'P', 'L', 'N'};

Trailer makeTrailer(const void *data, size_t bytes) {
  XXH128_hash_t hash = XXH3_128bits(data, bytes);
  Trailer trailer{{}, bytes, hash.low64, hash.high64};
  std::memcpy(trailer.magic, kMagic, sizeof kMagic);
  return trailer;
}

} // namespace

void writePlan(OutputFile &file, const plan::PlanT &plan) {
  flatbuffers::FlatBufferBuilder builder;
  plan::FinishPlanBuffer(builder, plan::Plan::Pack(builder, &plan));
  Trailer trailer = makeTrailer(builder.GetBufferPointer(), builder.GetSize());
  file.write({reinterpret_cast<const char *>(builder.GetBufferPointer()), builder.GetSize()});
  file.write({reinterpret_cast<const char *>(&trailer), sizeof trailer});
}

Status writePlan(const std::string &path, const plan::PlanT &plan) {
  auto file = OutputFile::create(path);
  if (!file)
    return tl::unexpected(file.error());
  writePlan(*file, plan);
  return file->commit();
}

Result<PlanFile> PlanFile::open(const std::string &path) {
  PlanFile file;
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    int code = fd < 0 ? errno : EINVAL;
    if (fd >= 0)
      close(fd);
    return error("cannot read plan '" + path + "': " + std::strerror(code));
  }
  file.bytes = info.st_size;
  void *mapped = file.bytes > 0 ? mmap(nullptr, file.bytes, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
  close(fd);
  if (mapped == MAP_FAILED)
    return error("cannot read plan '" + path + "': it is empty or cannot be mapped");
  file.data = static_cast<const std::byte *>(mapped);

  auto damaged = [&](const char *what) {
    return error("plan '" + path + "' is damaged (" + what + "); compile it again with mpopt");
  };
  Trailer trailer;
  if (file.bytes <= sizeof trailer)
    return damaged("it is cut short");
  size_t payload = file.bytes - sizeof trailer;
  std::memcpy(&trailer, file.data + payload, sizeof trailer);
  if (std::memcmp(trailer.magic, kMagic, sizeof kMagic) != 0 || trailer.bytes != payload)
    return damaged("it is cut short or no plan");
  Trailer expected = makeTrailer(file.data, payload);
  if (std::memcmp(&trailer, &expected, sizeof trailer) != 0)
    return damaged("its contents do not match their hash");
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t *>(file.data), payload, /*max_depth=*/64,
                                 /*max_tables=*/100'000'000);
  if (!plan::VerifyPlanBuffer(verifier))
    return damaged("its structure is broken");
  if (file.plan().version() != plan::kFormatVersion)
    return error("plan '" + path + "' has format version " + std::to_string(file.plan().version()) +
                 ", this program reads version " + std::to_string(plan::kFormatVersion) +
                 "; compile it again with mpopt");
  file.hashLow = trailer.hashLow;
  return file;
}

PlanFile::PlanFile(PlanFile &&other) noexcept { *this = std::move(other); }

PlanFile &PlanFile::operator=(PlanFile &&other) noexcept {
  std::swap(data, other.data);
  std::swap(bytes, other.bytes);
  std::swap(hashLow, other.hashLow);
  return *this;
}

PlanFile::~PlanFile() {
  if (data)
    munmap(const_cast<std::byte *>(data), bytes);
}

} // namespace mpopt::runtime
