// What planning must find by itself on real models: under tensor parallelism one all-reduce (or a reduce-scatter and an all-gather) per
// block of a transformer, from every exporter's graph; under sequence parallelism the keys and values of each attention; under data
// parallelism nothing.
#include "ModelFile.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Pipelines/Compile.h"

#include <bit>
#include <gtest/gtest.h>

using namespace mlir;
using namespace mpopt;

namespace {

struct Counts {
  int reductions = 0, gathers = 0, others = 0;
  int routes = 0; ///< Tokens to their experts, or back.
};

struct Case {
  const char *model;
  std::vector<std::string> dims;
  int blocks; ///< Attentions, perceptrons, and mixtures of experts.
  int attentions;
  int keyHeads;    ///< Attention is split over so many devices, up to a power of 2.
  int routers = 0; ///< What a router has decided may be gathered too: experts and their shares.
};

void PrintTo(const Case &value, std::ostream *os) { *os << value.model; }

/// Collectives of the partitioned model.
Counts count(const Case &test, int64_t devices, const std::string &strategy) {
  ModelFile file(MPOPT_TEST_MODELS, test.model);
  DialectRegistry registry;
  registerAll(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  machine::Machine machine = *machine::load(MPOPT_TEST_MACHINE);
  CompileOptions options;
  options.model = file.path.string();
  options.dims = test.dims;
  options.plan.machine = &machine;
  options.plan.devices = devices;
  options.plan.strategy = *planning::parseStrategy(strategy);
  options.until = Stage::Partitioned;
  auto compiled = compile(context, options);
  Counts counts;
  if (failed(compiled)) {
    ADD_FAILURE() << test.model << " cannot be compiled under " << strategy;
    return counts;
  }
  compiled->module->walk([&](Operation *op) {
    if (isa<coll::AllReduceOp, coll::ReduceScatterOp>(op))
      ++counts.reductions;
    else if (isa<coll::AllGatherOp>(op))
      ++counts.gathers;
    else if (isa<coll::AllToAllOp, coll::PermuteOp, coll::HaloOp>(op))
      ++counts.others;
    else if (isa<coll::DispatchOp, coll::CombineOp>(op))
      ++counts.routes;
  });
  return counts;
}

class Bars : public ::testing::TestWithParam<Case> {};

/// Beside the blocks, embedding and head may each need one of every kind.
TEST_P(Bars, TensorParallelismTakesOneReductionPerBlock) {
  for (int64_t devices : {2, 4, 8}) {
    Counts counts = count(GetParam(), devices, "tp=" + std::to_string(devices));
    int blocks = GetParam().blocks;
    EXPECT_GE(counts.reductions, blocks) << devices;
    EXPECT_LE(counts.reductions, blocks + 2) << devices;
    EXPECT_LE(counts.gathers, blocks + 2 + 2 * GetParam().routers) << devices;
    // Where attention leaves devices idle, its sum goes to parts of the sequence that another order of devices has.
    bool leavesIdle = devices > static_cast<int64_t>(std::bit_ceil(unsigned(GetParam().keyHeads)));
    EXPECT_LE(counts.others, 2 + (leavesIdle ? GetParam().attentions : 0)) << devices;
  }
}

TEST_P(Bars, SequenceParallelismGathersKeysAndValues) {
  Counts counts = count(GetParam(), 2, "sp=2");
  EXPECT_GE(counts.gathers, 2 * GetParam().attentions);
  EXPECT_LE(counts.gathers, 2 * GetParam().attentions + 2);
  EXPECT_LE(counts.reductions + counts.others, 2);
}

TEST_P(Bars, DataParallelismTakesNone) {
  Counts counts = count(GetParam(), 2, "dp=2");
  EXPECT_EQ(counts.reductions + counts.gathers + counts.others, 0);
}

/// Each device has its experts' weights only. Tokens, which are split besides, go to them and come back once per layer, after all have
/// learned what the routers decided.
TEST(Experts, TokensAreRoutedOncePerLayer) {
  Case mixtral{"mixtral-small.dynamo20", {"input_ids=8x32", "attention_mask=8x32"}, 8, 4, 4, 4};
  for (int64_t devices : {2, 4, 8}) {
    Counts counts = count(mixtral, devices, "ep=" + std::to_string(devices));
    EXPECT_EQ(counts.routes, 4 * 2) << devices;
    EXPECT_LE(counts.gathers, 4 * 2) << devices;
    EXPECT_EQ(counts.reductions + counts.others, 0) << devices;
  }
}

/// Tokens of one sequence are not split, so that experts, each on its devices' tokens, leave one sum per layer.
TEST(Experts, TakeOneReductionPerLayerWhereTokensAreWhole) {
  Case mixtral{"mixtral-small.dynamo20", {"input_ids=1x32", "attention_mask=1x32"}, 8, 4, 4, 4};
  Counts counts = count(mixtral, 4, "ep=4");
  EXPECT_EQ(counts.reductions, 4);
  EXPECT_EQ(counts.gathers + counts.others + counts.routes, 0);
}

std::vector<std::string> dims(std::vector<std::string> inputs, const std::string &shape) {
  for (std::string &input : inputs)
    input += "=" + shape;
  return inputs;
}

const std::vector<std::string> kEncoder = dims({"input_ids", "attention_mask", "token_type_ids"}, "2x128");
const std::vector<std::string> kDecoder = dims({"input_ids", "attention_mask"}, "2x128");

INSTANTIATE_TEST_SUITE_P(
    Transformers, Bars,
    ::testing::Values(Case{"bert-base.legacy14", kEncoder, 24, 12, 12},
                      Case{"bert-base.dynamo18", kEncoder, 24, 12, 12},
                      Case{"bert-base.dynamo23", kEncoder, 24, 12, 12}, Case{"all-minilm-l6-v2", kEncoder, 12, 6, 12},
                      Case{"gpt2.legacy13", kDecoder, 24, 12, 12}, Case{"gpt2.dynamo18", kDecoder, 24, 12, 12},
                      Case{"smollm-135m.dynamo23", kDecoder, 60, 30, 3},
                      Case{"smollm-135m.legacy17", kDecoder, 60, 30, 3},
                      Case{"mixtral-small.dynamo20", kDecoder, 8, 4, 4, 4}, Case{"t5-small.dynamo18", {}, 30, 18, 8},
                      Case{"vit-base.dynamo18", dims({"pixel_values"}, "2x3x224x224"), 24, 12, 12}));

} // namespace
