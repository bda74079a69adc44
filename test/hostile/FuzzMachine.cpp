// Any bytes as a machine file: refused with a message, or a machine that can be planned for and that reads back as it was written.
#include "Input.h"
#include "mpopt/Cost/Collective.h"
#include "mpopt/Machine/Machine.h"
#include "mpopt/Machine/Mesh.h"
#include <cmath>
#include <numeric>
#include <vector>

using namespace mpopt;
using hostile::expect;

static void price(const machine::Machine &given, int64_t devices) {
  machine::Machine machine = machine::forDevices(given, devices);
  Result<machine::Mesh> mesh = machine::makeMesh(machine, devices);
  if (!mesh)
    return;
  std::vector<int> axes(mesh->axes.size());
  std::iota(axes.begin(), axes.end(), 0);
  double seconds = cost::collectiveSeconds(machine, *mesh, axes, cost::Collective::AllReduce, 1 << 20);
  expect(seconds >= 0 && !std::isnan(seconds), "a collective takes a time");
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Result<machine::Machine> machine =
      machine::parse(std::string_view(reinterpret_cast<const char *>(data), size), "fuzzed.toml");
  if (!machine) {
    expect(!machine.error().message.empty(), "a refusal says why");
    return 0;
  }
  std::string text = machine::toToml(*machine);
  Result<machine::Machine> again = machine::parse(text, "written.toml");
  expect(again && machine::toToml(*again) == text, "a machine reads back as it was written");
  for (int64_t devices : {1, 6, 8, 1024})
    price(*machine, devices);
  return 0;
}
