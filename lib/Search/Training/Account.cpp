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

Json stageOf(const TrainingStage &stage, const cost::StagePrice &price) {
  const cost::TrainingPlan &plan = stage.layout;
  Json layers = Json::array();
  for (const cost::LayerRange &chunk : stage.chunks)
    layers.push_back({chunk.first, chunk.count});
  return {{"first_device", stage.firstDevice},
          {"devices", plan.tp * plan.dp * plan.cp},
          {"tp", plan.tp},
          {"dp", plan.dp},
          {"cp", plan.cp},
          {"ep", plan.ep},
          {"microbatch", plan.microbatch},
          {"layers", std::move(layers)},
          {"recomputed",
           {{"full", stage.recomputed[size_t(Recompute::Full)]},
            {"selective", stage.recomputed[size_t(Recompute::Selective)]}}},
          {"busy_seconds", price.busy},
          {"memory_bytes", price.memory.total()},
          {"weights_bytes", price.memory.weights},
          {"activations_bytes", price.memory.activations},
          {"working_bytes", price.memory.working},
          {"reserve_bytes", price.memory.reserve}};
}

Json planOf(const TrainingCandidate &plan) {
  Json stages = Json::array();
  for (size_t i = 0; i < plan.stages.size(); ++i)
    stages.push_back(stageOf(plan.stages[i], plan.price.stages[i]));
  return {{"text", shortText(plan)},
          {"seconds", plan.price.seconds},
          {"compute_seconds", plan.price.compute},
          {"bubble_seconds", plan.price.bubble},
          {"sync_seconds", plan.price.sync},
          {"optimizer_seconds", plan.price.optimizer},
          {"schedule", cost::name(plan.schedule)},
          {"microbatches", plan.microbatches},
          {"interleave", plan.interleave()},
          {"zero", cost::name(plan.stages.front().layout.sharding)},
          {"memory_bytes", plan.price.memory.total()},
          {"memory", cost::name(plan.price.memory.fit)},
          {"stages", std::move(stages)}};
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

std::string shortText(const TrainingCandidate &plan) {
  const cost::TrainingPlan &layout = plan.stages.front().layout;
  std::string text = "dp=" + std::to_string(layout.dp) + ",tp=" + std::to_string(layout.tp) +
                     ",pp=" + std::to_string(plan.stages.size());
  if (layout.cp > 1)
    text += ",cp=" + std::to_string(layout.cp);
  if (layout.ep > 1)
    text += ",ep=" + std::to_string(layout.ep);
  text += ",mb=" + std::to_string(layout.microbatch);
  if (plan.stages.size() > 1)
    text += ",schedule=" + std::string(cost::name(plan.schedule));
  if (plan.interleave() > 1)
    text += ",interleave=" + std::to_string(plan.interleave());
  return text + ",zero=" + std::string(cost::name(layout.sharding)) + ",recompute=" + recomputeText(plan);
}

std::string trainingAccount(const TrainingQuery &query, const TrainingAnswer &answer) {
  const TrainingCandidate &best = answer.plans.front();
  double seconds = best.price.seconds, flops = cost::modelFlops(query.shape, query.globalBatch);
  Json account = {{"machine", query.machine->name},
                  {"device", query.machine->device().name},
                  {"device_bytes", query.machine->device().memoryBytes},
                  {"stack", query.stack->name},
                  {"devices", query.devices},
                  {"global_batch", query.globalBatch},
                  {"model", modelOf(query.shape)},
                  {"flops_per_step", flops},
                  {"seconds", seconds},
                  {"lower_bound_seconds", answer.lowerBound},
                  {"sequences_per_second", double(query.globalBatch) / seconds},
                  {"tokens_per_second", double(query.globalBatch * query.shape.sequence) / seconds},
                  {"tflops_per_device", flops / seconds / double(query.devices) * 1e-12},
                  {"plan", planOf(best)},
                  {"runners_up", Json::array()},
                  {"layouts", answer.layouts},
                  {"priced", answer.priced}};
  for (size_t i = 1; i < answer.plans.size(); ++i)
    account["runners_up"].push_back(planOf(answer.plans[i]));
  return account.dump();
}

} // namespace mpopt::search
