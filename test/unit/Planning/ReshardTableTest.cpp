#include "ReshardTable.h"
#include "Strategies.h"
#include "mlir/IR/MLIRContext.h"
#include "mpopt/Search/Problem.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::planning;

namespace {

/// Any price that adds up will do.
double priceOf(shd::ReshardStep::Kind kind, int64_t ways, double in, double out) {
  switch (kind) {
  case shd::ReshardStep::Slice:
  case shd::ReshardStep::KeepFirst:
    return 0.125 * out;
  case shd::ReshardStep::AllReduce:
    return 8 + 2 * in * (ways - 1) / ways;
  case shd::ReshardStep::AllGather:
    return 8 + in * (ways - 1);
  case shd::ReshardStep::Permute:
    return 8 + in;
  default:
    return 8 + in * (ways - 1) / ways;
  }
}

/// The sharding with the last dimension, where it is split, dealt out in such blocks.
shd::ShardingAttr inBlocks(shd::ShardingAttr sharding, int64_t block) {
  SmallVector<shd::DimShardingAttr> dims(sharding.getDims());
  dims.back() = shd::DimShardingAttr::get(sharding.getContext(), dims.back().getAxes(), block);
  return shd::ShardingAttr::get(sharding.getContext(), sharding.getMesh(), dims, sharding.getUnreduced(),
                                sharding.getReduce());
}

/// Compares the table with the search for single pairs on all shardings of a type that strategies can ask for. That search leaves out some
/// detours of even splits, and knows some ways between uneven ones that the table does not.
void expectAgreement(int64_t devices, ArrayRef<int64_t> shape, bool isEven, int64_t block = 1) {
  MLIRContext context;
  context.loadDialect<shd::ShdDialect>();
  machine::Machine machine = *machine::load(MPOPT_TEST_MACHINE);
  PlanOptions options;
  options.machine = &machine;
  options.devices = devices;
  PlanMesh mesh = *makePlanMesh(&context, options);
  auto type = RankedTensorType::get(shape, Float32Type::get(&context));
  shd::PartitionRule rule = identityRule(shape);
  rule.linearIn = {{0}};
  SmallVector<shd::ShardingAttr> all;
  for (const Candidate &candidate : enumerateCandidates(rule, mesh, {true}, {}))
    all.push_back(candidate.shardings.out[0]);
  for (size_t i = 0, plain = all.size(); block > 1 && i < plain; ++i)
    if (!all[i].getDims().back().getAxes().empty())
      all.push_back(inBlocks(all[i], block).canonical(shape, mesh.attr));
  ReshardTable table(type, 4, mesh);
  auto byAxes = [&](shd::ReshardStep::Kind kind, ArrayRef<int> axes, double in, double out) {
    int64_t ways = 1;
    for (int axis : axes)
      ways *= mesh.mesh.axes[axis].size;
    return priceOf(kind, ways, in, out);
  };
  auto byStep = [&](const shd::ReshardStep &step, double in, double out) {
    return priceOf(step.kind, mesh.attr.sizeOf(step.axes), in, out);
  };
  for (shd::ShardingAttr sharding : all) // the table knows all blocks from the first price on
    ASSERT_TRUE(table.numberOf(PlainSharding::of(sharding, mesh)));
  int equal = 0, pairs = 0;
  for (shd::ShardingAttr from : all)
    for (shd::ShardingAttr to : all) {
      FailureOr<SmallVector<shd::ReshardStep>> steps = shd::findReshard(from, to, type, mesh.attr, byStep);
      std::optional<int> last = table.numberOf(PlainSharding::of(to, mesh)),
                         first = table.numberOf(PlainSharding::of(from, mesh));
      ASSERT_TRUE(first && last);
      double found = table.find(*first, *last, byAxes);
      if (failed(steps)) {
        EXPECT_EQ(found, search::kForbidden);
        continue;
      }
      double price = 0;
      shd::ShardingAttr before = from;
      auto bytes = [&](shd::ShardingAttr sharding) {
        return 4.0 * sharding.getLocalType(type, mesh.attr).getNumElements();
      };
      for (const shd::ReshardStep &step : *steps) {
        price += byStep(step, bytes(before), bytes(step.after));
        before = step.after;
      }
      std::string text;
      llvm::raw_string_ostream(text) << from << " to " << to;
      if (isEven)
        EXPECT_LE(found, price + 1e-9) << text;
      EXPECT_LT(found, search::kForbidden) << text;
      equal += std::abs(found - price) < 1e-9;
      ++pairs;
    }
  EXPECT_GE(equal, 0.8 * pairs);
}

TEST(ReshardTable, AgreesWithSearchesOnEvenShapes) { expectAgreement(4, {8, 16}, true); }
TEST(ReshardTable, AgreesWithSearchesOnUnevenShapes) { expectAgreement(4, {6, 5}, false); }
TEST(ReshardTable, AgreesWithSearchesOnAxesOfManySizes) { expectAgreement(6, {6, 12}, true); }
TEST(ReshardTable, AgreesWithSearchesOnThreeAxes) { expectAgreement(8, {8, 24}, true); }
TEST(ReshardTable, AgreesWithSearchesOnSplitsInBlocks) {
  expectAgreement(4, {8, 36}, false, 6);
  expectAgreement(8, {8, 192}, true, 64);
}

} // namespace
