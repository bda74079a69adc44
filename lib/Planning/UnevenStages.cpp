//===- UnevenStages.cpp - Stages of different sizes ------------------------===//
//
// What a stretch of operators costs on a number of devices is read off a layout of the whole model on so many, by the roles that the strategy has for
// such a stage. Those layouts make a stage problem (mpopt/Search/Stages.h), whose places are these, in each of the machine's groups.
//
//===----------------------------------------------------------------------===//

#include "Report.h"
#include "Solve.h"
#include "StagedProgram.h"
#include "mpopt/Dialect/Shd/Stages.h"
#include "mpopt/Planning/Planning.h"
#include "mpopt/Search/Stages.h"
#include <numeric>
#include <set>

using namespace mlir;

namespace mpopt::planning {
namespace {

/// Places where stages may begin, and sizes of stages that are looked at.
constexpr size_t kMostPlaces = 96, kMostSizes = 8;

/// How the devices of a stage may be used: their number and their roles.
struct StageShape {
  int64_t devices;
  Strategy ways; // without roles where the planner chooses

  bool operator==(const StageShape &other) const { return devices == other.devices && ways.ways == other.ways.ways; }
};

/// The whole model, laid out in a shape on devices of a group.
struct SizedLayout {
  machine::Machine machine; // the group alone, as its ranks see it
  Transfer transfer;
  StageShape shape;
  int64_t from, to; // the pipeline's devices that belong to the group
  PlanMesh mesh;
  std::unique_ptr<Prices> prices;
  std::optional<PinBoard> pins; // none
  std::unique_ptr<Model> model;
  search::Solution solution;
  PlanReport report;
  std::unique_ptr<StagedProgram> program;

  SizedLayout(machine::Machine own, const PlanOptions &options, StageShape shape, int64_t from, int64_t to)
      : machine(std::move(own)), transfer(machine, options.devices), shape(shape), from(from), to(to) {}

  int64_t limit(const PlanOptions &options) const { return memoryLimit(options, machine); }

  /// Stages share the weights, so that the whole model may take more than a device has; `share` says how much more.
  Status layOut(func::FuncOp main, const PlanOptions &options, double share) {
    Result<PlanMesh> made = makeStageMesh(main.getContext(), machine, 0, shape.devices, shape.ways);
    if (!made)
      return tl::make_unexpected(made.error());
    mesh = std::move(*made);
    prices = std::make_unique<Prices>(machine, mesh, weightBytesOf(main));
    pins = std::move(*PinBoard::make({}, {}, mesh));
    model = std::make_unique<Model>(main, mesh, *prices, *pins);
    if (Status built = buildModel(main); !built)
      return built;
    double whole =
        static_cast<double>(limit(options)) * static_cast<double>(options.devices) / static_cast<double>(shape.devices);
    Result<search::Solution> found = solve(model->problem, options, static_cast<int64_t>(whole * share));
    if (!found)
      return tl::make_unexpected(found.error());
    solution = std::move(*found);
    report = makeReport(*model, solution, mesh, *prices);
    program = std::make_unique<StagedProgram>(*model, solution, *prices, transfer, report);
    return {};
  }

  /// What the chain's operators from `begin` up to before `end` need.
  search::LayerTable tableOf(size_t begin, size_t end) const {
    const Chain &chain = program->chain;
    search::LayerWay way;
    search::LayerTable table;
    table.enterSeconds = chain.transferSeconds[begin];
    table.enterBytes = static_cast<double>(chain.crossingBytes[begin]);
    for (size_t op = begin; op < end; ++op) {
      way.seconds += chain.seconds[op];
      way.stateBytes += static_cast<double>(chain.weightBytes[op]);
      table.workingBytes = std::max(table.workingBytes, static_cast<double>(chain.liveBytes[op]));
    }
    table.ways = {{way}};
    return table;
  }

private:
  Status buildModel(func::FuncOp main) {
    std::string why;
    ScopedDiagnosticHandler keep(main.getContext(), [&](Diagnostic &diagnostic) {
      if (why.empty() && diagnostic.getSeverity() == DiagnosticSeverity::Error)
        why = diagnostic.str();
      return success();
    });
    if (succeeded(model->build()))
      return {};
    return error("it cannot be laid out on " + std::to_string(shape.devices) + " device(s): " + why);
  }
};

class StageCutter {
public:
  StageCutter(func::FuncOp main, const PlanOptions &options, int64_t minStages, int64_t maxStages)
      : main(main), options(options), minStages(minStages), maxStages(maxStages) {}

  Result<std::vector<int64_t>> run() {
    if (Status read = readShapes(); !read)
      return tl::make_unexpected(read.error());
    if (Status fits = checkGroups(); !fits)
      return tl::make_unexpected(fits.error());
    Error why{"the machine has no such devices"};
    for (double share : {1.0, 0.5, 0.25}) {
      if (Status laidOut = layOut(share); !laidOut) {
        why = laidOut.error();
        break;
      }
      if (Status placed = place(); !placed)
        return tl::make_unexpected(placed.error());
      if (auto ends = pinnedEnds())
        return mark(sizesOf(given), *ends);
      Result<search::StageSolution> solution = compose();
      if (solution) {
        if (!options.stagePins.empty())
          warnOfStagePins(main, stagesText());
        return mark(*solution);
      }
      why = solution.error();
    }
    return error("there are no " + stagesText() + " pipeline stages on " + std::to_string(options.devices) +
                 " devices: " + why.message + "; use more devices, or other stages");
  }

private:
  static std::vector<int64_t> sizesOf(const std::vector<StageShape> &shapes) {
    std::vector<int64_t> sizes;
    for (const StageShape &shape : shapes)
      sizes.push_back(shape.devices);
    return sizes;
  }

  /// The stages that the strategy gives, if it does.
  Status readShapes() {
    if (!options.strategy)
      return {};
    const Strategy &strategy = *options.strategy;
    bool equal = strategy.stageDevices.empty() && strategy.hasRoles &&
                 llvm::all_of(strategy.stageWays, [](auto &list) { return list.empty(); });
    int64_t sum = equal ? strategy.stages * strategy.devices() : 0;
    std::vector<int64_t> sizes;
    if (!equal) {
      sizes = strategy.sizes();
      sum = std::accumulate(sizes.begin(), sizes.end(), int64_t(0));
    }
    if ((equal || !sizes.empty()) && sum != options.devices)
      return error("strategy '" + strategy.text() + "' has stages of " + std::to_string(sum) +
                   " devices together, not of " + std::to_string(options.devices) +
                   "; make the sizes sum up to the number of devices");
    if (equal)
      sizes = strategy.sizes();
    for (auto [stage, size] : llvm::enumerate(sizes)) {
      given.push_back({size, rolesOfStage(options.strategy, stage)});
      if (Status filled = checkRoles(static_cast<int64_t>(stage), size, given.back().ways); !filled)
        return error("strategy '" + strategy.text() + "': " + filled.error().message);
    }
    return {};
  }

  std::string stagesText() const {
    if (minStages != maxStages)
      return std::to_string(minStages) + " to " + std::to_string(maxStages);
    std::string text;
    for (const StageShape &shape : given)
      text += (text.empty() ? "" : "+") + std::to_string(shape.devices);
    return text.empty() ? std::to_string(minStages) : text;
  }

  /// A stage that is asked for must lie in one group.
  Status checkGroups() const {
    const std::vector<machine::Group> &groups = options.machine->groups;
    if (options.devices > options.machine->allDevices())
      return error("machine '" + options.machine->name + "' has " + std::to_string(options.machine->allDevices()) +
                   " devices, fewer than the " + std::to_string(options.devices) + " asked for; ask for fewer");
    size_t group = 0;
    int64_t left = groups.front().count;
    for (const StageShape &shape : given) {
      if (left == 0)
        left = groups[++group].count;
      if (shape.devices > left)
        return error("strategy '" + options.strategy->text() + "' has a stage of " + std::to_string(shape.devices) +
                     " devices where a group of machine '" + options.machine->name + "' has " + std::to_string(left) +
                     " left; make stages end where groups do");
      left -= shape.devices;
    }
    return {};
  }

  /// What to look at in a group of `most` devices: what is given, or all sizes, or those next to equal ones, and powers of two.
  std::vector<StageShape> shapesWithin(int64_t most) const {
    std::vector<StageShape> shapes;
    for (const StageShape &shape : given)
      if (shape.devices <= most && !llvm::is_contained(shapes, shape))
        shapes.push_back(shape);
    if (given.empty())
      for (int64_t size : sizesWithin(std::min(most, options.devices - minStages + 1)))
        shapes.push_back({size, rolesOfStage(std::nullopt, 0)});
    return shapes;
  }

  std::set<int64_t> sizesWithin(int64_t most) const {
    std::set<int64_t> sizes;
    int64_t equal = std::max<int64_t>(1, options.devices / minStages);
    for (int64_t size : {equal, equal + 1, equal - 1})
      if (size >= 1 && size <= most)
        sizes.insert(size);
    for (int64_t size = 1; size <= most && sizes.size() < kMostSizes;
         size = most <= int64_t(kMostSizes) ? size + 1 : size * 2)
      sizes.insert(size);
    if (sizes.size() < kMostSizes)
      sizes.insert(most);
    return sizes;
  }

  Status layOut(double share) {
    layouts.clear();
    Error why{"the machine has no such devices"};
    int64_t from = 0;
    for (size_t group = 0; group < options.machine->groups.size() && from < options.devices; ++group) {
      int64_t to = std::min(options.devices, from + options.machine->groups[group].count);
      machine::Machine own = machine::forDevices(machine::forGroup(*options.machine, group), options.devices);
      for (const StageShape &shape : shapesWithin(to - from)) {
        auto layout = std::make_unique<SizedLayout>(own, options, shape, from, to);
        if (Status laidOut = layout->layOut(main, options, share))
          layouts.push_back(std::move(layout));
        else
          why = laidOut.error();
      }
      from = to;
    }
    placesOfGiven.clear();
    for (int64_t first = 0; const StageShape &shape : given) {
      auto fits = [&](const auto &layout) {
        return layout->shape == shape && first >= layout->from && first + shape.devices <= layout->to;
      };
      auto found = llvm::find_if(layouts, fits);
      if (found == layouts.end())
        return tl::make_unexpected(why);
      placesOfGiven.push_back(static_cast<int>(found - layouts.begin()));
      first += shape.devices;
    }
    return layouts.empty() ? Status(tl::make_unexpected(why)) : Status();
  }

  /// An operator floats where it does so on every size.
  Status place() {
    auto operators = static_cast<int64_t>(layouts.front()->program->ops.size());
    if (operators < minStages)
      return error("the model has " + std::to_string(operators) + " operators, too few for " +
                   std::to_string(minStages) + " pipeline stages; choose a smaller pp");
    std::vector<bool> floats(operators, true);
    for (const auto &layout : layouts)
      for (auto [all, one] : llvm::zip_equal(floats, layout->program->findFloating()))
        all = all && one;
    for (const auto &layout : layouts)
      layout->program->place(floats, minStages);
    places = cutPlaces(layouts.front()->program->chain, kMostPlaces);
    return {};
  }

  /// Devices differ in memory between groups; what does not fit where it is small is no way there.
  search::StageProblem makeProblem(double share) const {
    search::StageProblem problem;
    for (size_t layer = 0; layer + 1 < places.size(); ++layer)
      problem.runs.push_back({static_cast<int>(layer), 1});
    for (const auto &layout : layouts) {
      search::Place &place = problem.places.emplace_back();
      place.devices = layout->shape.devices;
      place.from = layout->from;
      place.to = layout->to;
      place.enter = place.leave = {0};
      for (size_t layer = 0; layer + 1 < places.size(); ++layer)
        place.kinds.push_back(layout->tableOf(places[layer], places[layer + 1]));
      problem.memoryBytes = std::max(problem.memoryBytes, static_cast<double>(layout->limit(options)));
    }
    problem.devices = options.devices;
    problem.minStages = minStages;
    problem.held.assign(std::min(maxStages, static_cast<int64_t>(problem.runs.size())), 0);
    problem.order = placesOfGiven;
    constexpr int64_t kSlowestAlone = 1000; // microbatches from which on nothing else counts
    problem.microbatches = options.objective == "throughput" ? kSlowestAlone : microbatches();
    problem.memoryBytes *= share;
    return problem;
  }

  int64_t microbatches() const { return options.strategy ? options.strategy->microbatches : 1; }

  Result<search::StageSolution> compose() const {
    Result<search::StageSolution> best = search::solveStages(makeProblem(1));
    if (!best || options.objective != "memory")
      return best;
    double low = 0, high = 1; // shares of the limit
    constexpr int kHalvings = 12;
    for (int i = 0; i < kHalvings; ++i) {
      double middle = (low + high) / 2;
      if (Result<search::StageSolution> less = search::solveStages(makeProblem(middle))) {
        best = std::move(less);
        high = middle;
      } else {
        low = middle;
      }
    }
    return best;
  }

  /// Where the stages end that annotations ask for; nothing where they ask for none that can be had.
  std::optional<std::vector<size_t>> pinnedEnds() const {
    if (given.empty() || options.stagePins.empty())
      return std::nullopt;
    const StagedProgram &program = *layouts.front()->program;
    auto ends = program.pinnedCuts(options.stagePins, static_cast<int64_t>(given.size()));
    if (!ends)
      return std::nullopt;
    ends->push_back(program.chain.size());
    size_t begin = 0;
    for (auto [place, end] : llvm::zip_equal(placesOfGiven, *ends)) {
      search::LayerTable table = layouts[place]->tableOf(begin, end);
      double bytes = table.ways[0][0].stateBytes + table.workingBytes + table.enterBytes;
      if (bytes > static_cast<double>(layouts[place]->limit(options)))
        return std::nullopt;
      begin = end;
    }
    return ends;
  }

  std::vector<int64_t> mark(const search::StageSolution &solution) {
    std::vector<int64_t> devices;
    std::vector<size_t> ends;
    for (const search::Stage &stage : solution.stages) {
      devices.push_back(layouts[stage.place]->shape.devices);
      ends.push_back(places[stage.first + stage.count]);
    }
    return mark(std::move(devices), ends);
  }

  std::vector<int64_t> mark(std::vector<int64_t> devices, const std::vector<size_t> &ends) {
    Builder builder(main.getContext());
    for (const StagedOp &op : layouts.front()->program->ops) {
      op.op->removeAttr(shd::kStageAttr);
      auto stage = std::upper_bound(ends.begin(), ends.end(), static_cast<size_t>(op.place)) - ends.begin();
      if (!op.floats)
        op.op->setAttr(shd::kStageAttr, builder.getI64IntegerAttr(stage));
    }
    auto module = main->getParentOfType<ModuleOp>();
    module->setAttr(shd::kStagesAttr, builder.getI64IntegerAttr(static_cast<int64_t>(devices.size())));
    module->setAttr(shd::kStageDevicesAttr, builder.getDenseI64ArrayAttr(devices));
    return devices;
  }

  func::FuncOp main;
  const PlanOptions &options;
  int64_t minStages, maxStages;
  std::vector<StageShape> given; // each stage, where the strategy says them
  std::vector<std::unique_ptr<SizedLayout>> layouts;
  std::vector<int> placesOfGiven; // the layout of each
  std::vector<size_t> places;
};

} // namespace

bool haveOwnMeshes(const PlanOptions &options) {
  if (!options.strategy || options.strategy->stages < 2)
    return false;
  bool spans = options.machine->groups.size() > 1 && options.devices > options.machine->groups.front().count;
  return spans || options.strategy->isUneven(options.devices);
}

FailureOr<std::vector<int64_t>> cutIntoStages(ModuleOp module, const PlanOptions &options, int64_t minStages,
                                              int64_t maxStages) {
  auto main = module.lookupSymbol<func::FuncOp>("main");
  if (!main || !main.getBody().hasOneBlock())
    return module.emitError() << "has no function @main of one block to cut into stages";
  Result<std::vector<int64_t>> devices = StageCutter(main, options, minStages, maxStages).run();
  if (!devices)
    return module.emitError() << devices.error().message;
  return *devices;
}

} // namespace mpopt::planning
