#include "Explain.h"
#include "Inspect.h"
#include "Text.h"
#include "core/PlanAccess.h"
#include "core/Verify.h"
#include "mpopt/Support/BlockNames.h"
#include "mpopt/Support/Repeats.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include <map>
#include <set>

namespace json = llvm::json;

namespace mpopt {
namespace {

using runtime::items;
using runtime::numbers;
using runtime::text;

std::string sizesText(std::span<const int64_t> sizes) {
  std::string result;
  for (int64_t size : sizes)
    result += (result.empty() ? "" : " x ") + std::to_string(size);
  return result.empty() ? "scalar" : result;
}

class PlanInspector {
public:
  PlanInspector(const runtime::PlanFile &file, const InspectArguments &arguments)
      : plan(file.plan()), hash(file.hash()), path(arguments.file) {
    auto parsed = json::parse(text(plan.account()));
    if (!parsed)
      llvm::consumeError(parsed.takeError());
    else if (const json::Object *object = parsed->getAsObject())
      account = *object;
  }

  json::Object toJson() const {
    json::Array inputs, outputs, ranks, programs;
    for (const plan::Port *port : items(plan.inputs()))
      inputs.push_back(portJson(*port));
    for (const plan::Port *port : items(plan.outputs()))
      outputs.push_back(portJson(*port));
    for (size_t rank = 0; rank < items(plan.ranks()).size(); ++rank)
      ranks.push_back(json::Object{{"program", items(plan.ranks())[rank]->program()},
                                   {"device", json::fixUTF8(text(items(plan.ranks())[rank]->device()))},
                                   {"weights_bytes", weightBytes(rank)},
                                   {"work_bytes", programOf(rank).work_bytes()}});
    for (const plan::Program *program : items(plan.programs()))
      programs.push_back(programJson(*program));
    return json::Object{{"kind", "plan"},
                        {"version", plan.version()},
                        {"producer", json::fixUTF8(text(plan.producer()))},
                        {"hash", hashText()},
                        {"model", json::fixUTF8(text(plan.model()))},
                        {"devices", plan.devices()},
                        {"mesh", json::fixUTF8(text(plan.mesh()))},
                        {"target", json::fixUTF8(text(plan.target()))},
                        {"cpu", json::fixUTF8(text(plan.cpu()))},
                        {"kernels", items(plan.kernels()).size()},
                        {"code_bytes", numbers(plan.elf()).size()},
                        {"weights", json::Object{{"file", json::fixUTF8(text(plan.weights_file()))},
                                                 {"bytes", plan.weights_bytes()},
                                                 {"hash", weightsHashText()},
                                                 {"problem", weightsProblem()}}},
                        {"inputs", std::move(inputs)},
                        {"outputs", std::move(outputs)},
                        {"ranks", std::move(ranks)},
                        {"programs", std::move(programs)},
                        {"account", json::Object(account)}};
  }

  void print(llvm::raw_ostream &os) const {
    printHead(os);
    printPorts(os, "inputs", items(plan.inputs()));
    printPorts(os, "outputs", items(plan.outputs()));
    for (size_t number = 0; number < items(plan.programs()).size(); ++number)
      printProgram(os, number);
  }

private:
  using Instructions = std::map<std::string, int64_t>;
  struct Exchange {
    int64_t count = 0;
    uint64_t bytes = 0;
  };
  using Traffic = std::map<std::pair<std::string, std::string>, Exchange>; // by kind and axes

  const plan::Program &programOf(size_t rank) const {
    return *items(plan.programs())[items(plan.ranks())[rank]->program()];
  }
  std::string hashText() const { return llvm::utohexstr(hash, /*LowerCase=*/true, 16); }
  std::string weightsHashText() const {
    return llvm::utohexstr(plan.weights_hash_high(), true, 16) + llvm::utohexstr(plan.weights_hash_low(), true, 16);
  }

  uint64_t weightBytes(size_t rank) const {
    uint64_t bytes = 0;
    for (const plan::WeightSlice *slice : items(items(plan.ranks())[rank]->weights()))
      bytes += slice->bytes();
    return bytes;
  }

  /// Looks at the file's size only; mpopt-run checks the contents.
  std::string weightsProblem() const {
    if (text(plan.weights_file()).empty())
      return "";
    llvm::SmallString<256> place(llvm::sys::path::parent_path(path));
    llvm::sys::path::append(place, llvm::StringRef(text(plan.weights_file())));
    uint64_t size = 0;
    if (llvm::sys::fs::file_size(place, size))
      return "missing";
    return size == plan.weights_bytes() ? "" : "of another size: " + std::to_string(size) + " bytes";
  }

  void printHead(llvm::raw_ostream &os) const {
    auto field = [&](llvm::StringRef label, const std::string &value) { printField(os, label, value); };
    uint64_t size = 0;
    (void)llvm::sys::fs::file_size(path, size);
    field("plan", path + " (" + bytesText(static_cast<double>(size)) + ", format " + std::to_string(plan.version()) +
                      ", hash " + hashText() + ")");
    field("model", std::string(text(plan.model())) + ", planned by " + std::string(text(plan.producer())));
    std::string_view device = text(items(plan.ranks())[0]->device());
    field("devices", std::to_string(items(plan.ranks()).size()) +
                         (text(plan.mesh()).empty() ? "" : ", mesh " + std::string(text(plan.mesh()))) +
                         (device.empty() ? "" : ", machine " + std::string(device)));
    field("code", std::to_string(items(plan.kernels()).size()) + " kernels for " + std::string(text(plan.target())) +
                      ", " + std::string(text(plan.cpu())) + " (" +
                      bytesText(static_cast<double>(numbers(plan.elf()).size())) + ")");
    if (!text(plan.weights_file()).empty())
      field("weights", std::string(text(plan.weights_file())) + ", " +
                           bytesText(static_cast<double>(plan.weights_bytes())) + ", " +
                           (weightsProblem().empty() ? "present" : weightsProblem()));
    if (auto predicted = account.getNumber("predicted_seconds"))
      field("predicted", timeText(*predicted) + " a step, no plan below " +
                             timeText(account.getNumber("lower_bound_seconds").value_or(0)) + ", objective " +
                             account.getString("objective").value_or("?").str());
    printMemory(os);
  }

  void printMemory(llvm::raw_ostream &os) const {
    uint64_t least = UINT64_MAX, most = 0, work = 0;
    for (size_t rank = 0; rank < items(plan.ranks()).size(); ++rank) {
      least = std::min(least, weightBytes(rank));
      most = std::max(most, weightBytes(rank));
      work = std::max(work, programOf(rank).work_bytes());
    }
    std::string weights = bytesText(static_cast<double>(least));
    if (most != least)
      weights += " to " + bytesText(static_cast<double>(most));
    printField(os, "memory", "per device: arena " + bytesText(static_cast<double>(work)) + ", weights " + weights);
  }

  /// How a port is spread: what one device holds, and in how many parts each dimension is cut.
  struct Spread {
    std::string local, split;
  };
  Spread spreadOf(const plan::Port &port) const {
    Spread spread;
    auto shape = numbers(port.shape());
    std::vector<std::set<int64_t>> starts(shape.size());
    for (size_t rank = 0; rank < items(port.boxes()).size(); ++rank) {
      if (numbers(port.buffers())[rank] < 0)
        continue;
      const plan::Box &box = *items(port.boxes())[rank];
      if (spread.local.empty())
        spread.local = sizesText(numbers(box.size()));
      for (size_t dim = 0; dim < shape.size(); ++dim)
        starts[dim].insert(numbers(box.start())[dim]);
    }
    for (size_t dim = 0; dim < shape.size(); ++dim)
      if (starts[dim].size() > 1)
        spread.split += (spread.split.empty() ? "" : ", ") + ("dimension " + std::to_string(dim)) + " in " +
                        std::to_string(starts[dim].size());
    if (spread.split.empty())
      spread.split = items(plan.ranks()).size() > 1 ? "replicated" : "whole";
    return spread;
  }

  template <typename Ports> void printPorts(llvm::raw_ostream &os, llvm::StringRef title, Ports ports) const {
    os << "\n" << title << "\n";
    Table table;
    for (const plan::Port *port : ports) {
      Spread spread = spreadOf(*port);
      table.add({port->name()->str(), runtime::nameOf(port->dtype()), sizesText(numbers(port->shape())),
                 spread.split + (spread.split == "replicated" || spread.split == "whole" ? "" : ": " + spread.local)});
    }
    table.print(os);
  }

  json::Object portJson(const plan::Port &port) const {
    json::Array shape;
    for (int64_t size : numbers(port.shape()))
      shape.push_back(size);
    return json::Object{{"name", json::fixUTF8(port.name()->str())},
                        {"type", runtime::nameOf(port.dtype())},
                        {"shape", std::move(shape)},
                        {"split", spreadOf(port).split}};
  }

  static const char *categoryOf(const plan::Instruction &instruction) {
    switch (instruction.op_type()) {
    case plan::Op::KernelCall:
      return "kernels";
    case plan::Op::Copy:
      return "copies";
    case plan::Op::Send:
      return "sends";
    case plan::Op::Recv:
      return "receives";
    default:
      return "";
    }
  }

  void count(const plan::Program &program, size_t begin, size_t end, Instructions &counts, Traffic &traffic) const {
    for (size_t i = begin; i < end; ++i) {
      const plan::Instruction &instruction = *items(program.instructions())[i];
      std::string category = categoryOf(instruction);
      ++counts[category.empty() ? runtime::kindOf(plan, instruction) : category];
      if (const plan::Collective *call = instruction.op_as_Collective()) {
        Exchange &sum = traffic[{runtime::kindOf(plan, instruction), std::string(text(axesOf(*call)))}];
        ++sum.count;
        sum.bytes += items(program.buffers())[numbers(instruction.reads())[0]]->bytes();
      }
    }
  }

  const flatbuffers::String *axesOf(const plan::Collective &call) const {
    return items(plan.group_sets())[call.group_set()]->axes();
  }

  static std::string countsText(const Instructions &counts) {
    std::string result;
    for (const auto &[kind, number] : counts)
      result += (result.empty() ? "" : ", ") + std::to_string(number) + " " + kind;
    return result.empty() ? "nothing" : result;
  }

  struct Part {
    size_t begin, end, count; // instructions of the first copy
    std::string name, last;
  };

  /// Stretches of the program; layers that repeat as one.
  std::vector<Part> partsOf(const plan::Program &program) const {
    auto list = items(program.instructions());
    std::map<std::string, uint64_t> known;
    std::vector<uint64_t> signatures;
    std::vector<std::string> names;
    for (const plan::Instruction *instruction : list) {
      std::string key = runtime::kindOf(plan, *instruction);
      for (uint32_t write : numbers(instruction->writes()))
        key += "/" + runtime::toText(numbers(items(program.buffers())[write]->shape()));
      signatures.push_back(known.try_emplace(key, known.size()).first->second);
      names.push_back(items(plan.names())[instruction->node()]->str());
    }
    std::span<const std::string> all(names);
    auto fit = [&](size_t begin, size_t period) {
      return static_cast<double>(commonPath(all.subspan(begin, period)).size());
    };
    std::vector<Part> parts;
    size_t at = 0;
    auto add = [&](size_t begin, size_t period, size_t count) {
      parts.push_back({begin, begin + period, count, blockName(all.subspan(begin, period)),
                       blockName(all.subspan(begin + period * (count - 1), period))});
      at = begin + period * count;
    };
    for (const Repeat &repeat : RepeatFinder(signatures, [](size_t, size_t) { return true; }, fit).run()) {
      if (repeat.begin > at)
        add(at, repeat.begin - at, 1);
      add(repeat.begin, repeat.period, repeat.count);
    }
    if (at < list.size())
      add(at, list.size() - at, 1);
    return parts;
  }

  std::vector<size_t> ranksOf(size_t number) const {
    std::vector<size_t> ranks;
    for (size_t rank = 0; rank < items(plan.ranks()).size(); ++rank)
      if (items(plan.ranks())[rank]->program() == number)
        ranks.push_back(rank);
    return ranks;
  }

  void printProgram(llvm::raw_ostream &os, size_t number) const {
    const plan::Program &program = *items(plan.programs())[number];
    Instructions counts;
    Traffic traffic;
    count(program, 0, items(program.instructions()).size(), counts, traffic);
    os << "\n";
    std::vector<size_t> ranks = ranksOf(number);
    printField(
        os, ranks.size() == items(plan.ranks()).size() ? "every device" : "stage " + std::to_string(number),
        (ranks.size() == items(plan.ranks()).size()
             ? ""
             : "ranks " + llvm::join(llvm::map_range(ranks, [](size_t r) { return std::to_string(r); }), ", ") + ": ") +
            std::to_string(items(program.instructions()).size()) + " instructions: " + countsText(counts));
    Table exchanges;
    exchanges.alignRight(1);
    for (const auto &[kind, sum] : traffic)
      exchanges.add({kind.first, std::to_string(sum.count), "over " + (kind.second.empty() ? "all" : kind.second),
                     "operands of " + bytesText(static_cast<double>(sum.bytes))});
    exchanges.print(os);
    os << "\nin order\n";
    Table table("  ", 56);
    for (const Part &part : partsOf(program)) {
      Instructions inside;
      Traffic ignored;
      count(program, part.begin, part.end, inside, ignored);
      table.add({part.name, part.count > 1 ? "x" + std::to_string(part.count) : "", countsText(inside)});
    }
    table.print(os);
  }

  json::Object programJson(const plan::Program &program) const {
    Instructions counts;
    Traffic traffic;
    count(program, 0, items(program.instructions()).size(), counts, traffic);
    json::Object instructions;
    for (const auto &[kind, number] : counts)
      instructions[kind] = number;
    json::Array collectives, blocks;
    for (const auto &[kind, sum] : traffic)
      collectives.push_back(json::Object{
          {"kind", kind.first}, {"axes", json::fixUTF8(kind.second)}, {"count", sum.count}, {"bytes", sum.bytes}});
    for (const Part &part : partsOf(program)) {
      Instructions inside;
      Traffic ignored;
      count(program, part.begin, part.end, inside, ignored);
      json::Object kinds;
      for (const auto &[kind, number] : inside)
        kinds[kind] = number;
      blocks.push_back(json::Object{{"name", json::fixUTF8(part.name)},
                                    {"last_name", json::fixUTF8(part.last)},
                                    {"count", static_cast<int64_t>(part.count)},
                                    {"instructions", std::move(kinds)}});
    }
    return json::Object{{"instructions", std::move(instructions)},
                        {"collectives", std::move(collectives)},
                        {"blocks", std::move(blocks)}};
  }

  const plan::Plan &plan;
  uint64_t hash;
  std::string path;
  json::Object account;
};

} // namespace

std::string inspectPlan(const InspectArguments &arguments) {
  auto file = runtime::PlanFile::open(arguments.file);
  if (!file)
    return file.error().message;
  if (Status status = runtime::verifyPlan(file->plan()); !status)
    return "'" + arguments.file + "' is no plan to trust: " + status.error().message;
  PlanInspector inspector(*file, arguments);
  if (arguments.json)
    llvm::outs() << llvm::formatv("{0:2}", json::Value(inspector.toJson())) << "\n";
  else
    inspector.print(llvm::outs());
  return "";
}

} // namespace mpopt
