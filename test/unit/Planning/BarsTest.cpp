// What planning must find by itself on real models: under tensor parallelism one all-reduce (or a reduce-scatter and an all-gather) per
// block of a transformer, from every exporter's graph; under data parallelism nothing.
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "mpopt/Dialect/NN/NN.h"
#include "mpopt/Dialect/NN/Transforms/Passes.h"
#include "mpopt/Import/ONNX.h"
#include "mpopt/Partition/Passes.h"
#include "mpopt/Planning/Planning.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <unistd.h>
#include <zlib.h>

using namespace mlir;
using namespace mpopt;

namespace {

/// A model of test/models, unpacked for as long as this lives.
class Model {
public:
  explicit Model(const std::string &name)
      : path(std::filesystem::temp_directory_path() / (name + "." + std::to_string(getpid()) + ".onnx")) {
    gzFile packed = gzopen((std::string(MPOPT_TEST_MODELS) + "/" + name + ".onnx.gz").c_str(), "rb");
    std::ofstream file(path, std::ios::binary);
    char buffer[1 << 16];
    for (int n; packed && (n = gzread(packed, buffer, sizeof buffer)) > 0;)
      file.write(buffer, n);
    gzclose(packed);
  }
  ~Model() { std::filesystem::remove(path); }

  const std::filesystem::path path;
};

struct Counts {
  int reductions = 0, gathers = 0, others = 0;
};

/// Collectives of the partitioned model that move more than a few bytes.
Counts count(const std::string &name, int64_t devices, const std::string &strategy) {
  Model model(name);
  MLIRContext context(MLIRContext::Threading::DISABLED);
  context.loadDialect<func::FuncDialect, nn::NNDialect, shd::ShdDialect, coll::CollDialect>();
  auto module = importOnnx(context, model.path.string(),
                           ImportOptions{{"input_ids=2x128", "attention_mask=2x128", "token_type_ids=2x128"}});
  if (failed(module)) {
    ADD_FAILURE() << name << " cannot be imported";
    return {};
  }
  machine::Machine machine = *machine::load(MPOPT_TEST_MACHINE);
  planning::PlanOptions options;
  options.machine = &machine;
  options.devices = devices;
  options.strategy = *planning::parseStrategy(strategy);
  PassManager simplify(&context), partition(&context);
  nn::buildSimplifyPipeline(simplify);
  partition::buildPartitionPipeline(partition);
  planning::PlanReport report;
  EXPECT_TRUE(succeeded(simplify.run(**module)));
  EXPECT_TRUE(succeeded(planning::planModule(**module, options, report)));
  EXPECT_TRUE(succeeded(partition.run(**module)));
  Counts counts;
  (**module).walk([&](Operation *op) {
    if (isa<coll::AllReduceOp, coll::ReduceScatterOp>(op))
      ++counts.reductions;
    else if (isa<coll::AllGatherOp>(op))
      ++counts.gathers;
    else if (isa<coll::AllToAllOp, coll::PermuteOp, coll::HaloOp>(op))
      ++counts.others;
  });
  return counts;
}

struct Case {
  const char *model;
  int layers;
};

void PrintTo(const Case &value, std::ostream *os) { *os << value.model; }

class Bars : public ::testing::TestWithParam<Case> {};

/// Beside the blocks, embedding and pooler may each need one of every kind.
TEST_P(Bars, TensorParallelismTakesOneReductionPerBlock) {
  for (int64_t devices : {2, 4}) {
    Counts counts = count(GetParam().model, devices, "tp=" + std::to_string(devices));
    int blocks = 2 * GetParam().layers;
    EXPECT_GE(counts.reductions, blocks) << devices;
    EXPECT_LE(counts.reductions, blocks + 2) << devices;
    EXPECT_LE(counts.gathers, blocks + 2) << devices;
    EXPECT_LE(counts.others, 2) << devices;
  }
}

TEST_P(Bars, DataParallelismTakesNone) {
  Counts counts = count(GetParam().model, 2, "dp=2");
  EXPECT_EQ(counts.reductions + counts.gathers + counts.others, 0);
}

INSTANTIATE_TEST_SUITE_P(Transformers, Bars,
                         ::testing::Values(Case{"bert-base.legacy14", 12}, Case{"bert-base.dynamo18", 12},
                                           Case{"bert-base.dynamo23", 12}, Case{"all-minilm-l6-v2", 6}));

} // namespace
