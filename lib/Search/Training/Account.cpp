#include "mpopt/Search/TrainingAccount.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace mpopt::search {

using Json = nlohmann::ordered_json;
using cost::Recompute;

namespace {

Json modelOf(const cost::TransformerShape &shape) {
  return {{"layers", shape.layers},
          {"hidden", shape.hidden},
          {"heads", shape.heads},
          {"kv_heads", shape.kvHeads},
          {"feed_forward", shape.feedForward},
          {"sequence", shape.sequence},
          {"vocabulary", shape.vocabulary},
          {"experts", shape.experts},
          {"top_experts", shape.topExperts},
          {"gated", shape.gated},
          {"tied", shape.tied},
          {"causal", shape.causal}};
}

void addNumbers(Json &stage, const cost::StagePrice &price) {
  stage["busy_seconds"] = price.busy;
  stage["sync_seconds"] = price.sync;
  stage["optimizer_seconds"] = price.optimizer;
  stage["memory_bytes"] = price.memory.total();
  stage["weights_bytes"] = price.memory.weights;
  stage["parameters_bytes"] = price.memory.weights - price.memory.gradients - price.memory.optimizer;
  stage["gradients_bytes"] = price.memory.gradients;
  stage["optimizer_bytes"] = price.memory.optimizer;
  stage["activations_bytes"] = price.memory.activations;
  stage["working_bytes"] = price.memory.working;
  stage["reserve_bytes"] = price.memory.reserve;
}

Json stageOf(const TrainingStage &stage, const cost::StagePrice &price) {
  const cost::TrainingPlan &plan = stage.layout;
  Json layers = Json::array();
  for (const cost::LayerRange &chunk : stage.chunks)
    layers.push_back({chunk.first, chunk.count});
  Json result = {{"first_device", stage.firstDevice},
                 {"devices", plan.tp * plan.dp * plan.cp},
                 {"tp", plan.tp},
                 {"dp", plan.dp},
                 {"cp", plan.cp},
                 {"ep", plan.ep},
                 {"microbatch", plan.microbatch},
                 {"layers", std::move(layers)},
                 {"recomputed",
                  {{"full", stage.recomputed[size_t(Recompute::Full)]},
                   {"selective", stage.recomputed[size_t(Recompute::Selective)]}}}};
  addNumbers(result, price);
  return result;
}

Json stageOf(const GraphStage &stage, const cost::StagePrice &price, const BlockNames &blocks) {
  Json parts = Json::array();
  for (size_t i = 0; i < stage.words.size(); ++i)
    parts.push_back({{"name", blocks.names[stage.first + i]},
                     {"operators", blocks.operators[stage.first + i]},
                     {"split", stage.words[i]}});
  Json result = {{"first_device", stage.firstDevice}, {"devices", stage.devices}, {"blocks", std::move(parts)}};
  addNumbers(result, price);
  return result;
}

/// Of all microbatches on the stage that computes longest.
double forwardSeconds(const cost::StepPrice &price) {
  auto busiest = std::max_element(price.stages.begin(), price.stages.end(),
                                  [](const auto &a, const auto &b) { return a.busy < b.busy; });
  double seconds = 0;
  for (size_t chunk = busiest - price.stages.begin(); chunk < price.pipeline.chunks.size();
       chunk += price.stages.size())
    seconds += price.pipeline.chunks[chunk].forward;
  return seconds * double(price.pipeline.microbatches);
}

/// Beyond that many the list would be larger than all else by far.
constexpr size_t kMostPasses = 100000;

/// Each stage's passes over time.
Json timelineOf(const cost::StepPrice &price) {
  cost::PipelineTrace trace;
  double seconds = cost::simulate(price.pipeline, &trace).seconds;
  size_t passes = 0;
  for (const auto &stage : trace)
    passes += stage.size();
  Json stages = Json::array();
  for (const auto &stage : trace) {
    Json list = Json::array();
    for (const cost::TracedPass &pass : stage)
      if (passes <= kMostPasses)
        list.push_back({cost::name(pass.instruction.kind), pass.instruction.microbatch, pass.instruction.chunk,
                        pass.start, pass.seconds});
    stages.push_back({{"passes", std::move(list)}});
  }
  return {{"seconds", seconds}, {"passes", passes}, {"stages", std::move(stages)}};
}

/// What plans of both kinds have.
Json planOf(const cost::StepPrice &price, std::string text, cost::Schedule schedule, int64_t microbatches,
            int64_t interleave, cost::StateSharding sharding, Json stages) {
  return {{"text", std::move(text)},
          {"seconds", price.seconds},
          {"compute_seconds", price.compute},
          {"forward_seconds", forwardSeconds(price)},
          {"backward_seconds", price.compute - forwardSeconds(price)},
          {"bubble_seconds", price.bubble},
          {"sync_seconds", price.sync},
          {"optimizer_seconds", price.optimizer},
          {"schedule", cost::name(schedule)},
          {"microbatches", microbatches},
          {"interleave", interleave},
          {"zero", cost::name(sharding)},
          {"memory_bytes", price.memory.total()},
          {"memory", cost::name(price.memory.fit)},
          {"stages", std::move(stages)}};
}

Json planOf(const GraphQuery &query, const GraphCandidate &plan, const BlockNames &blocks) {
  Json stages = Json::array();
  for (size_t i = 0; i < plan.stages.size(); ++i)
    stages.push_back(stageOf(plan.stages[i], plan.price.stages[i], blocks));
  return planOf(plan.price, shortText(query, plan), plan.schedule, plan.microbatches, 1, plan.sharding,
                std::move(stages));
}

Json planOf(const TrainingCandidate &plan) {
  Json stages = Json::array();
  for (size_t i = 0; i < plan.stages.size(); ++i)
    stages.push_back(stageOf(plan.stages[i], plan.price.stages[i]));
  return planOf(plan.price, shortText(plan), plan.schedule, plan.microbatches, plan.interleave(),
                plan.stages.front().layout.sharding, std::move(stages));
}

/// The keys that come first in every account.
template <typename Query> Json accountOf(const Query &query) {
  return {{"machine", query.machine->name},
          {"device", query.machine->device().name},
          {"device_bytes", query.machine->device().memoryBytes},
          {"stack", query.stack->name},
          {"devices", query.devices},
          {"global_batch", query.globalBatch}};
}

std::string recomputeText(const TrainingCandidate &plan) {
  std::array<bool, 3> used{};
  for (const TrainingStage &stage : plan.stages)
    for (size_t i = 0; i < used.size(); ++i)
      used[i] = used[i] || stage.recomputed[i] > 0;
  if (std::count(used.begin(), used.end(), true) > 1)
    return "some";
  return std::string(cost::name(static_cast<Recompute>(std::find(used.begin(), used.end(), true) - used.begin())));
}

} // namespace

bool TrainingCandidate::isUniform() const {
  return std::all_of(stages.begin(), stages.end(), [&](const TrainingStage &stage) {
    const cost::TrainingPlan &a = stage.layout, &b = stages.front().layout;
    return a.tp == b.tp && a.dp == b.dp && a.cp == b.cp && a.ep == b.ep;
  });
}

std::string shortText(const TrainingCandidate &plan) {
  const cost::TrainingPlan &layout = plan.stages.front().layout;
  std::string text = "pp=" + std::to_string(plan.stages.size());
  if (plan.isUniform()) {
    text = "dp=" + std::to_string(layout.dp) + ",tp=" + std::to_string(layout.tp) + "," + text;
    if (layout.cp > 1)
      text += ",cp=" + std::to_string(layout.cp);
    if (layout.ep > 1)
      text += ",ep=" + std::to_string(layout.ep);
    text += ",mb=" + std::to_string(layout.microbatch);
  } else {
    for (size_t i = 0; i < plan.stages.size(); ++i)
      text += (i ? "+" : ",devices=") +
              std::to_string(plan.stages[i].layout.tp * plan.stages[i].layout.dp * plan.stages[i].layout.cp);
  }
  if (plan.stages.size() > 1)
    text += ",schedule=" + std::string(cost::name(plan.schedule));
  if (plan.interleave() > 1)
    text += ",interleave=" + std::to_string(plan.interleave());
  return text + ",zero=" + std::string(cost::name(layout.sharding)) + ",recompute=" + recomputeText(plan);
}

std::string trainingAccount(const TrainingQuery &query, const TrainingAnswer &answer, bool withTimeline) {
  const TrainingCandidate &best = answer.plans.front();
  double seconds = best.price.seconds, flops = cost::modelFlops(query.shape, query.globalBatch);
  Json account = accountOf(query);
  account["model"] = modelOf(query.shape);
  account["flops_per_step"] = flops;
  account["seconds"] = seconds;
  account["lower_bound_seconds"] = answer.lowerBound;
  account["sequences_per_second"] = double(query.globalBatch) / seconds;
  account["tokens_per_second"] = double(query.globalBatch * query.shape.sequence) / seconds;
  account["tflops_per_device"] = flops / seconds / double(query.devices) * 1e-12;
  account["plan"] = planOf(best);
  if (withTimeline)
    account["timeline"] = timelineOf(best.price);
  account["runners_up"] = Json::array();
  account["layouts"] = answer.layouts;
  account["priced"] = answer.priced;
  for (size_t i = 1; i < answer.plans.size(); ++i)
    account["runners_up"].push_back(planOf(answer.plans[i]));
  return account.dump();
}

std::string shortText(const GraphQuery &query, const GraphCandidate &plan) {
  std::string text =
      "pp=" + std::to_string(plan.stages.size()) + ",mb=" + std::to_string(query.globalBatch / plan.microbatches);
  if (plan.stages.size() > 1)
    text += ",schedule=" + std::string(cost::name(plan.schedule));
  return text + ",zero=" + std::string(cost::name(plan.sharding));
}

std::string trainingAccount(const GraphQuery &query, const GraphAnswer &answer, const BlockNames &blocks,
                            bool withTimeline) {
  double seconds = answer.plans.front().price.seconds;
  double flops = 3 * query.model->forwardFlops() * double(query.globalBatch);
  Json account = accountOf(query);
  account["flops_per_step"] = flops;
  account["seconds"] = seconds;
  account["lower_bound_seconds"] = answer.lowerBound;
  account["samples_per_second"] = double(query.globalBatch) / seconds;
  account["tflops_per_device"] = flops / seconds / double(query.devices) * 1e-12;
  account["plan"] = planOf(query, answer.plans.front(), blocks);
  if (withTimeline)
    account["timeline"] = timelineOf(answer.plans.front().price);
  account["runners_up"] = Json::array();
  for (size_t i = 1; i < answer.plans.size(); ++i)
    account["runners_up"].push_back(planOf(query, answer.plans[i], blocks));
  return account.dump();
}

} // namespace mpopt::search
