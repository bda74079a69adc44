#include "TrainReport.h"
#include "Text.h"
#include "mpopt/Search/TrainingAccount.h"
#include "llvm/Support/FormatVariadic.h"

using llvm::formatv;

namespace mpopt {
namespace {

using search::TrainingCandidate;
using search::TrainingStage;

std::string secondsText(double seconds) { return seconds < 1 ? timeText(seconds) : formatv("{0:f3} s", seconds).str(); }

std::string percentText(double part, double whole) { return formatv("{0:f1} %", 100 * part / whole).str(); }

void printModel(const planning::TrainingModel &model, const cost::TransformerShape &shape, llvm::raw_ostream &os) {
  double parameters = 0;
  for (const planning::TrainingBlock &block : model.blocks)
    parameters += double(block.count) * block.parameters;
  os << formatv("{0} layers: hidden {1}, heads {2}", shape.layers, shape.hidden, shape.heads);
  if (shape.kvHeads != shape.heads)
    os << " (" << shape.kvHeads << " for keys and values)";
  os << ", feed-forward " << shape.feedForward << (shape.gated ? " gated" : "");
  if (shape.experts > 1)
    os << formatv(", {0} of {1} experts", shape.topExperts, shape.experts);
  os << formatv(", sequence {0}, vocabulary {1}; {2} parameters\n", shape.sequence, shape.vocabulary,
                countText(parameters));
  for (const planning::TrainingBlock &block : model.blocks)
    if (block.count > 1)
      os << "  " << fitted(block.name, 60) << "  x" << block.count << ", to " << fitted(block.lastName, 40) << "\n";
}

std::string layersText(const TrainingStage &stage) {
  int64_t count = 0;
  for (const cost::LayerRange &chunk : stage.chunks)
    count += chunk.count;
  std::string text = std::to_string(count) + ": ";
  for (size_t i = 0; i < stage.chunks.size() && i < 3; ++i)
    text += (i ? ", " : "") + std::to_string(stage.chunks[i].first) + "-" +
            std::to_string(stage.chunks[i].first + stage.chunks[i].count - 1);
  return text + (stage.chunks.size() > 3 ? ", ..." : "");
}

std::string recomputeText(const TrainingStage &stage) {
  int64_t chunks = static_cast<int64_t>(stage.chunks.size());
  std::string text;
  for (cost::Recompute recompute : {cost::Recompute::Full, cost::Recompute::Selective})
    if (int64_t layers = stage.recomputed[static_cast<size_t>(recompute)] * chunks; layers > 0)
      text += (text.empty() ? "" : ", ") + std::to_string(layers) + " " + std::string(cost::name(recompute));
  return text.empty() ? "none" : text;
}

std::string waysText(const cost::TrainingPlan &plan) {
  std::string text = formatv("tp {0}, dp {1}", plan.tp, plan.dp).str();
  if (plan.cp > 1)
    text += formatv(", cp {0}", plan.cp).str();
  if (plan.ep > 1)
    text += formatv(", ep {0}", plan.ep).str();
  return text;
}

bool sameRow(const TrainingCandidate &plan, size_t a, size_t b) {
  const TrainingStage &first = plan.stages[a], &second = plan.stages[b];
  return first.chunks.size() == second.chunks.size() && first.chunks[0].count == second.chunks[0].count &&
         first.recomputed == second.recomputed &&
         plan.price.stages[a].memory.total() == plan.price.stages[b].memory.total() &&
         plan.price.stages[a].busy == plan.price.stages[b].busy;
}

void printStages(const TrainingCandidate &plan, int64_t deviceBytes, llvm::raw_ostream &os) {
  Table table;
  table.add(
      {"stage", "devices", "ways", "layers", "recomputed", "busy", "memory", "of device", "weights", "activations"});
  for (size_t i = 0, next = 0; i < plan.stages.size(); i = next) {
    for (next = i + 1; next < plan.stages.size() && sameRow(plan, i, next);)
      ++next;
    const TrainingStage &stage = plan.stages[i];
    const cost::StagePrice &price = plan.price.stages[i];
    int64_t devices = stage.layout.tp * stage.layout.dp * stage.layout.cp;
    std::string name = std::to_string(i) + (next > i + 1 ? "-" + std::to_string(next - 1) : "");
    table.add({name, std::to_string(devices) + (next > i + 1 ? " each" : ""), waysText(stage.layout), layersText(stage),
               recomputeText(stage), secondsText(price.busy), bytesText(price.memory.total()),
               percentText(price.memory.total(), double(deviceBytes)), bytesText(price.memory.weights),
               bytesText(price.memory.activations)});
  }
  table.print(os);
}

void printTimes(const cost::StepPrice &price, double bound, llvm::raw_ostream &os) {
  os << formatv("  step         {0}: compute {1}, bubble {2}, gradients {3}, optimizer {4}\n",
                secondsText(price.seconds), secondsText(price.compute), secondsText(price.bubble),
                secondsText(price.sync), secondsText(price.optimizer));
  os << formatv("  lower bound  {0} for any plan ({1} away)\n", secondsText(bound),
                percentText(price.seconds - bound, bound));
}

void printRunnerUp(double seconds, double best, const std::string &text, llvm::raw_ostream &os) {
  os << formatv("  {0,+12}  {1,-8} {2}\n", secondsText(seconds), "+" + percentText(seconds - best, best), text);
}

/// Blocks of one stage that are split alike, as one line.
void printBlocks(const planning::TrainingGraph &graph, const search::GraphStage &stage, llvm::raw_ostream &os) {
  Table table("    ", 60);
  for (size_t i = 0, next = 0; i < stage.words.size(); i = next) {
    double parameters = 0;
    for (next = i; next < stage.words.size() && stage.words[next] == stage.words[i]; ++next)
      parameters += graph.parameters(stage.first + static_cast<int64_t>(next));
    auto first = stage.first + static_cast<int64_t>(i), last = stage.first + static_cast<int64_t>(next) - 1;
    std::string names = graph.name(first) + (last > first ? " to " + graph.name(last) : "");
    std::string what = last > first ? std::to_string(last - first + 1) + " blocks" : graph.operators(first);
    table.add({stage.words[i], what, names, countText(parameters) + " parameters"});
  }
  table.print(os);
}

} // namespace

void printTraining(const planning::TrainingModel &model, const search::TrainingQuery &query,
                   const search::TrainingAnswer &answer, llvm::raw_ostream &os) {
  const TrainingCandidate &best = answer.plans.front();
  printModel(model, query.shape, os);
  os << formatv("\na training step of {0} sequences on {1} {2} (machine {3})\n  plan         {4}\n", query.globalBatch,
                query.devices, query.machine->device().name, query.machine->name, search::shortText(best));
  os << formatv("               {0} microbatches of {1} on each device\n", best.microbatches,
                best.stages.front().layout.microbatch);
  double seconds = best.price.seconds, flops = cost::modelFlops(query.shape, query.globalBatch);
  printTimes(best.price, answer.lowerBound, os);
  os << formatv("  throughput   {0:f1} sequences/s, {1:f0} tokens/s, {2:f1} TFLOP/s per device\n\n",
                double(query.globalBatch) / seconds, double(query.globalBatch * query.shape.sequence) / seconds,
                flops / seconds / double(query.devices) * 1e-12);
  printStages(best, query.machine->device().memoryBytes, os);
  if (answer.plans.size() > 1)
    os << "\nnext best ways to share the devices out\n";
  for (size_t i = 1; i < answer.plans.size(); ++i)
    printRunnerUp(answer.plans[i].price.seconds, seconds, search::shortText(answer.plans[i]), os);
  os << formatv("\n{0} layouts, {1} of them simulated\n", answer.layouts, answer.priced);
}

void printTraining(const planning::TrainingGraph &graph, const std::string &why, const search::GraphQuery &query,
                   const search::GraphAnswer &answer, llvm::raw_ostream &os) {
  const search::GraphCandidate &best = answer.plans.front();
  double seconds = best.price.seconds, flops = 3 * graph.forwardFlops() * double(query.globalBatch);
  os << formatv("{0} blocks, each planned on its own: {1}\n\n", graph.blocks(), why);
  os << formatv("a training step of {0} samples on {1} {2} (machine {3})\n  plan         {4}\n", query.globalBatch,
                query.devices, query.machine->device().name, query.machine->name, search::shortText(query, best));
  printTimes(best.price, answer.lowerBound, os);
  os << formatv("  throughput   {0:f1} samples/s, {1:f1} TFLOP/s per device\n\n", double(query.globalBatch) / seconds,
                flops / seconds / double(query.devices) * 1e-12);
  for (size_t i = 0; i < best.stages.size(); ++i) {
    const cost::StepMemory &memory = best.price.stages[i].memory;
    os << formatv("  stage {0}, {1} device(s): busy {2}, memory {3} ({4} of a device), weights {5}, activations {6}\n",
                  i, best.stages[i].devices, secondsText(best.price.stages[i].busy), bytesText(memory.total()),
                  percentText(memory.total(), double(query.machine->device().memoryBytes)), bytesText(memory.weights),
                  bytesText(memory.activations));
    printBlocks(graph, best.stages[i], os);
  }
  if (answer.plans.size() > 1)
    os << "\nbest with other microbatches or stages\n";
  for (size_t i = 1; i < answer.plans.size(); ++i)
    printRunnerUp(answer.plans[i].price.seconds, seconds, search::shortText(query, answer.plans[i]), os);
}

} // namespace mpopt
