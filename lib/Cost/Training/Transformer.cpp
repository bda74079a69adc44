#include "mpopt/Cost/Training/Transformer.h"

namespace mpopt::cost {

using machine::DType;

namespace {

struct Size {
  const char *name;
  int64_t value;
};

struct Division {
  const char *whole;
  int64_t value;
  const char *parts;
  int64_t by;
};

double attentionParameters(const TransformerShape &shape) {
  double h = double(shape.hidden);
  return 2 * h * h + 2 * h * h * double(shape.kvHeads) / double(shape.heads);
}

double expertParameters(const TransformerShape &shape) {
  return (shape.gated ? 3 : 2) * double(shape.hidden) * double(shape.feedForward);
}

} // namespace

Status check(const TransformerShape &shape, const TrainingPlan &plan) {
  const Size sizes[] = {{"layers", shape.layers},
                        {"hidden", shape.hidden},
                        {"heads", shape.heads},
                        {"kv_heads", shape.kvHeads},
                        {"feed_forward", shape.feedForward},
                        {"sequence", shape.sequence},
                        {"vocabulary", shape.vocabulary},
                        {"experts", shape.experts},
                        {"top_experts", shape.topExperts},
                        {"tp", plan.tp},
                        {"pp", plan.pp},
                        {"dp", plan.dp},
                        {"cp", plan.cp},
                        {"ep", plan.ep},
                        {"microbatch", plan.microbatch},
                        {"global_batch", plan.globalBatch},
                        {"interleave", plan.interleave}};
  for (const Size &size : sizes)
    if (size.value < 1 || size.value > int64_t(1) << 40)
      return error(std::string("training plan: ") + size.name + " is " + std::to_string(size.value) +
                   "; give a number from 1 to 2^40");
  int64_t batch = plan.dp * plan.microbatch;
  bool interleaved = plan.interleave > 1;
  const Division divisions[] = {
      {"heads", shape.heads, "tp", plan.tp},
      {"dp", plan.dp, "ep", plan.ep},
      {"experts", shape.experts, "ep", plan.ep},
      {"global_batch", plan.globalBatch, "dp * microbatch", batch},
      {"microbatches", plan.globalBatch / batch, "pp (interleaved)", interleaved ? plan.pp : 1}};
  for (const Division &division : divisions)
    if (division.value % division.by)
      return error(std::string("training plan: ") + division.whole + " is " + std::to_string(division.value) +
                   ", which " + division.parts + " = " + std::to_string(division.by) + " does not divide; change one");
  if (shape.layers < plan.pp * plan.interleave)
    return error("training plan: " + std::to_string(shape.layers) + " layers over pp * interleave = " +
                 std::to_string(plan.pp * plan.interleave) + " chunks; lower pp or interleave");
  if (shape.topExperts > shape.experts)
    return error("training plan: top_experts is " + std::to_string(shape.topExperts) + " of " +
                 std::to_string(shape.experts) + " experts; lower it");
  return {};
}

double layerParameters(const TransformerShape &shape) {
  return attentionParameters(shape) + double(shape.experts) * expertParameters(shape);
}

double activeLayerParameters(const TransformerShape &shape) {
  return attentionParameters(shape) + double(shape.topExperts) * expertParameters(shape);
}

double embeddingParameters(const TransformerShape &shape) { return double(shape.vocabulary) * double(shape.hidden); }

double modelFlops(const TransformerShape &shape, int64_t globalBatch) {
  double layers = double(shape.layers), sequence = double(shape.sequence);
  double parameters = layers * activeLayerParameters(shape) + embeddingParameters(shape);
  double perToken = 6 * parameters + 12 * layers * double(shape.hidden) * sequence;
  return double(globalBatch) * sequence * perToken;
}

std::string_view name(Recompute recompute) {
  constexpr std::string_view names[] = {"none", "selective", "full"};
  return names[static_cast<size_t>(recompute)];
}

std::string_view name(Schedule schedule) {
  constexpr std::string_view names[] = {"gpipe", "1f1b", "zb-h1"};
  return names[static_cast<size_t>(schedule)];
}

std::string_view name(StateSharding sharding) {
  constexpr std::string_view names[] = {"0", "1", "2", "3"};
  return names[static_cast<size_t>(sharding)];
}

std::vector<int64_t> layersOfChunks(int64_t layers, int64_t chunks) {
  std::vector<int64_t> result(chunks, layers / chunks);
  int64_t rest = layers % chunks;
  int64_t first = (chunks - rest) / 2;
  for (int64_t i = 0; i < rest; ++i)
    ++result[first + i];
  return result;
}

DType wideType(const TrainingPlan &plan) { return plan.precision == Precision::Float32 ? DType::F32 : plan.type; }

DType linearType(const TrainingPlan &plan) {
  switch (plan.precision) {
  case Precision::Mixed8:
    return DType::F8;
  case Precision::Mixed4:
    return DType::F4;
  case Precision::Float32:
  case Precision::Mixed16:
  case Precision::Pure16:
    return wideType(plan);
  }
  return wideType(plan);
}

} // namespace mpopt::cost
