// Which plans come to an end, and what ranks wait for.
#include "format/Messages.h"
#include "PlanMaker.h"
#include "core/Verify.h"

#include <gmock/gmock.h>
#include <numeric>

namespace mpopt::runtime {
namespace {

using plan::CollectiveKind;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// The plan as a reader sees it.
class Packed {
public:
  explicit Packed(const plan::PlanT &plan) {
    plan::FinishPlanBuffer(builder, plan::Plan::Pack(builder, &plan));
    packed = plan::GetPlan(builder.GetBufferPointer());
  }
  const plan::Plan &plan() const { return *packed; }
  Status progress() const { return verifyProgress(plan()); }

private:
  flatbuffers::FlatBufferBuilder builder;
  const plan::Plan *packed = nullptr;
};

std::string problemOf(const plan::PlanT &plan) {
  Status status = Packed(plan).progress();
  return status ? "" : status.error().message;
}

/// `ranks` programs, one each.
PlanMaker programs(unsigned ranks) {
  PlanMaker maker(ranks);
  for (unsigned rank = 0; rank < ranks; ++rank)
    maker.plan.ranks[rank]->program = rank;
  return maker;
}

/// Three stages; `microbatches` go through them, each through one buffer per stage.
PlanMaker pipeline(unsigned microbatches) {
  PlanMaker maker = programs(3);
  for (int stage = 0; stage < 3; ++stage) {
    if (stage > 0)
      maker.beginProgram();
    uint32_t x = maker.work({1, 64}), y = maker.work({1, 64});
    for (uint32_t m = 0; m < microbatches; ++m) {
      if (stage > 0)
        maker.recv(-1, m, x);
      maker.kernel("add_one", {x}, {y});
      if (stage < 2)
        maker.send(1, m, y);
    }
  }
  return maker;
}

TEST(MessagesTest, pipelinesComeToAnEnd) {
  for (unsigned microbatches : {1u, 2u, 7u})
    EXPECT_EQ(problemOf(pipeline(microbatches).plan), "") << microbatches;
}

TEST(MessagesTest, aPayloadIsWaitedForBeforeItIsOverwritten) {
  PlanMaker maker = pipeline(3);
  Packed packed(maker.plan);
  // add_one, send, add_one, send, add_one, send
  EXPECT_THAT(sendsDoneBefore(packed.plan(), 0),
              ElementsAre(IsEmpty(), IsEmpty(), ElementsAre(1), IsEmpty(), ElementsAre(3), IsEmpty(), ElementsAre(5)));
}

TEST(MessagesTest, whatStreamsWaitsInTheNextStep) {
  PlanMaker maker = pipeline(3);
  maker.plan.streams = true;
  EXPECT_THAT(sendsDoneBefore(Packed(maker.plan).plan(), 0),
              ElementsAre(ElementsAre(5), IsEmpty(), ElementsAre(1), IsEmpty(), ElementsAre(3), IsEmpty(), IsEmpty()));
  EXPECT_EQ(problemOf(maker.plan), "");
}

TEST(MessagesTest, inputsAreNotOverwrittenWhileTheyAreSent) {
  PlanMaker maker = programs(2);
  maker.plan.streams = true;
  uint32_t x = maker.work({1, 64});
  maker.send(1, 0, x);
  maker.kernel("add_one", {x}, {x});
  maker.send(1, 1, x);
  maker.beginProgram();
  uint32_t y = maker.work({1, 64});
  maker.recv(-1, 0, y);
  maker.recv(-1, 1, y);
  maker.input("x", {0, 0});
  EXPECT_THAT(sendsDoneBefore(Packed(maker.plan).plan(), 0),
              ElementsAre(IsEmpty(), ElementsAre(0), IsEmpty(), ElementsAre(2)));
}

TEST(MessagesTest, receivesThatWaitForEachOther) {
  PlanMaker maker = programs(2);
  uint32_t x = maker.work({1, 64}), y = maker.work({1, 64});
  maker.recv(1, 1, y);
  maker.send(1, 0, x);
  maker.beginProgram();
  x = maker.work({1, 64}), y = maker.work({1, 64});
  maker.recv(-1, 0, y);
  maker.send(-1, 1, x);
  EXPECT_EQ(problemOf(maker.plan), "rank 0 would wait forever in recv#0 (node /layer/node) for rank 1");
}

/// Microbatches in another order than they are sent, through one buffer.
TEST(MessagesTest, anOrderThatTheSenderCannotKeep) {
  PlanMaker maker = programs(2);
  uint32_t x = maker.work({1, 64});
  for (uint32_t tag : {0u, 1u}) {
    maker.kernel("add_one", {x}, {x});
    maker.send(1, tag, x);
  }
  maker.beginProgram();
  uint32_t y = maker.work({1, 64});
  maker.recv(-1, 1, y);
  maker.recv(-1, 0, y);
  EXPECT_THAT(problemOf(maker.plan), HasSubstr("for rank 1 to receive what send#1 (node /layer/node) sends"));
}

/// Two ranks of a stage reduce before they send; the next stage's reduce first and receive then.
PlanMaker reducing(bool crossed) {
  PlanMaker maker(4);
  for (unsigned rank : {2u, 3u})
    maker.plan.ranks[rank]->program = 1;
  uint32_t first = maker.groups({{0, 1}}), second = maker.groups({{2, 3}});
  uint32_t x = maker.work({1, 64});
  maker.collective(CollectiveKind::all_reduce, first, x, x);
  maker.send(2, 0, x);
  if (crossed)
    maker.recv(2, 1, maker.work({1, 64}));
  maker.beginProgram();
  uint32_t y = maker.work({1, 64});
  if (crossed)
    maker.send(-2, 1, y);
  maker.recv(-2, 0, y);
  maker.collective(CollectiveKind::all_reduce, second, y, y).sequence = 0;
  return maker;
}

TEST(MessagesTest, collectivesOfSeveralStages) {
  EXPECT_EQ(problemOf(reducing(false).plan), "");
  // What rank 2 sends to rank 0 is overwritten by what it then receives from rank 0, which comes to its receive only after its send.
  EXPECT_EQ(problemOf(reducing(true).plan), "");
}

TEST(MessagesTest, aMemberThatNeverComes) {
  PlanMaker maker = programs(2);
  uint32_t both = maker.groups({{0, 1}}), x = maker.work({1, 64});
  maker.collective(CollectiveKind::all_reduce, both, x, x);
  maker.beginProgram();
  EXPECT_EQ(problemOf(maker.plan), "rank 0 would wait forever in collective#0 (node /layer/node)");
}

TEST(MessagesTest, theVerifierRefusesWhatWouldWaitForever) {
  PlanMaker maker = programs(2);
  uint32_t x = maker.work({1, 64}), y = maker.work({1, 64});
  maker.recv(1, 1, y);
  maker.send(1, 0, x);
  maker.beginProgram();
  x = maker.work({1, 64}), y = maker.work({1, 64});
  maker.recv(-1, 0, y);
  maker.send(-1, 1, x);
  Status status = verifyPlan(Packed(maker.plan).plan());
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message,
            "the plan is not valid: rank 0 would wait forever in recv#0 (node /layer/node) for rank 1");
}

TEST(MessagesTest, theVerifierRefusesPeersThatDoNotExist) {
  for (int32_t distance : {0, -1, 2, INT32_MAX, INT32_MIN}) {
    PlanMaker maker = programs(2);
    maker.send(distance, 0, maker.work({1, 64}));
    maker.beginProgram();
    EXPECT_FALSE(verifyPlan(Packed(maker.plan).plan())) << distance;
  }
}

TEST(MessagesTest, aPipelineRuns) {
  for (bool streams : {false, true})
    for (bool processes : {false, true}) {
      PlanMaker maker = pipeline(4);
      maker.plan.streams = streams;
      maker.input("x", {0, -1, -1});
      maker.output("y", {-1, -1, 1});
      for (auto *ports : {&maker.plan.inputs, &maker.plan.outputs}) {
        (*ports)[0]->shape = {1, 64};
        for (auto &box : (*ports)[0]->boxes)
          box->start = {0, 0}, box->size = {1, 64};
      }
      auto outputs =
          runPlan(maker.write(), {makeTensor(plan::DType::f32, {1, 64}, std::vector<double>(64, 1))}, processes,
                  /*steps=*/50);
      ASSERT_TRUE(outputs) << outputs.error().message;
      EXPECT_EQ(valuesOf((*outputs)[0]), std::vector<double>(64, 4));
    }
}

//===----------------------------------------------------------------------===//
// Stages of unequal sizes
//===----------------------------------------------------------------------===//

plan::PieceT piece(uint32_t from, uint32_t to, std::vector<int64_t> source, std::vector<int64_t> target,
                   std::vector<int64_t> size) {
  plan::PieceT piece;
  piece.from = from, piece.to = to;
  piece.source = std::move(source), piece.target = std::move(target), piece.size = std::move(size);
  return piece;
}

/// Ranks 0 and 1 hold two rows of a 4 x 6 matrix each; ranks 2, 3 and 4 get two columns each and hand them back.
PlanMaker turned() {
  PlanMaker maker(5);
  std::vector<plan::PieceT> there, back;
  for (uint32_t columns = 0; columns < 3; ++columns) {
    maker.plan.ranks[2 + columns]->program = 1;
    for (uint32_t rows = 0; rows < 2; ++rows) {
      there.push_back(piece(rows, 2 + columns, {0, 2 * columns}, {2 * rows, 0}, {2, 2}));
      back.push_back(piece(2 + columns, rows, {2 * rows, 0}, {0, 2 * columns}, {2, 2}));
    }
  }
  uint32_t one = maker.transfer({2, 6}, there), other = maker.transfer({4, 2}, back);
  uint32_t x = maker.work({2, 6}), y = maker.work({2, 6});
  maker.sendBy(one, 0, x);
  maker.recvBy(other, 1, y);
  maker.beginProgram();
  uint32_t u = maker.work({4, 2}), v = maker.work({4, 2});
  maker.recvBy(one, 0, u);
  maker.copy(u, v);
  maker.sendBy(other, 1, v);
  for (auto *ports : {&maker.plan.inputs, &maker.plan.outputs}) {
    ports == &maker.plan.inputs ? maker.input("x", {0, 0, -1, -1, -1}) : maker.output("y", {1, 1, -1, -1, -1});
    (*ports)[0]->shape = {4, 6};
    for (int64_t rank = 0; rank < 5; ++rank)
      (*ports)[0]->boxes[rank]->start = {rank < 2 ? 2 * rank : 0, 0}, (*ports)[0]->boxes[rank]->size = {2, 6};
  }
  return maker;
}

TEST(TransferTest, eachRankGetsItsPieceFromEach) {
  std::vector<double> values(24);
  std::iota(values.begin(), values.end(), 1);
  for (bool streams : {false, true})
    for (bool processes : {false, true}) {
      PlanMaker maker = turned();
      maker.plan.streams = streams;
      auto outputs = runPlan(maker.write(), {makeTensor(plan::DType::f32, {4, 6}, values)}, processes, /*steps=*/50);
      ASSERT_TRUE(outputs) << outputs.error().message;
      EXPECT_EQ(valuesOf((*outputs)[0]), values);
    }
}

TEST(TransferTest, onlyAReceiverWhoseSendersAllComeGetsOn) {
  PlanMaker maker = turned();
  EXPECT_EQ(problemOf(maker.plan), "");
  auto &pieces = maker.plan.transfers[1]->pieces; // rank 4 sends nothing to rank 1 any more
  pieces.pop_back();
  EXPECT_EQ(problemOf(maker.plan), "");
  std::swap(maker.plan.programs[0]->instructions[0], maker.plan.programs[0]->instructions[1]);
  EXPECT_EQ(problemOf(maker.plan), "rank 0 would wait forever in recv#0 (node /layer/node) for rank 2");
}

TEST(TransferTest, theVerifierRefusesPiecesThatDoNotFit) {
  auto refused = [](auto change) {
    PlanMaker maker = turned();
    change(*maker.plan.transfers[0], *maker.plan.transfers[0]->pieces[3]);
    Status status = verifyPlan(Packed(maker.plan).plan());
    return status ? std::string("accepted") : status.error().message;
  };
  EXPECT_THAT(refused([](auto &, auto &piece) { piece.source = {1, 2}; }),
              HasSubstr("a piece lies outside its payload"));
  EXPECT_THAT(refused([](auto &, auto &piece) { piece.target = {3, 0}; }),
              HasSubstr("a piece lies outside its payload"));
  EXPECT_THAT(refused([](auto &, auto &piece) { piece.target = {-1, 0}; }), HasSubstr("a piece lies outside"));
  EXPECT_THAT(refused([](auto &, auto &piece) { piece.size = {2, INT64_MAX}; }), HasSubstr("a piece lies outside"));
  EXPECT_THAT(refused([](auto &, auto &piece) { piece.size = {2}; }), HasSubstr("another number of dimensions"));
  EXPECT_THAT(refused([](auto &, auto &piece) { piece.source = {}; }), HasSubstr("another number of dimensions"));
  EXPECT_THAT(refused([](auto &, auto &piece) { piece.to = 5; }), HasSubstr("a piece's rank does not exist"));
  EXPECT_THAT(refused([](auto &, auto &piece) { piece.to = 0; }), HasSubstr("it talks to its own program"));
  EXPECT_THAT(refused([](auto &, auto &piece) { piece.to = 2; }), HasSubstr("two pieces pass between two ranks"));
  EXPECT_THAT(refused([](auto &transfer, auto &) { transfer.shape = {4, 3}; }), HasSubstr("another shape"));
}

TEST(TransferTest, theVerifierRefusesAMessageOfTwoTransfers) {
  PlanMaker maker = turned();
  maker.plan.transfers.push_back(std::make_unique<plan::TransferT>(*maker.plan.transfers[0]));
  maker.plan.programs[1]->instructions[0]->op.AsRecv()->transfer = 2;
  Status status = verifyPlan(Packed(maker.plan).plan());
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("and the same transfer"));
}

} // namespace
} // namespace mpopt::runtime
