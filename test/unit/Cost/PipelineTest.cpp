#include "mpopt/Cost/Training/Pipeline.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <numeric>
#include <tuple>

using namespace mpopt::cost;

namespace {

PipelineInput equalStages(Schedule schedule, int64_t stages, int64_t microbatches, int64_t interleave, PartSeconds part,
                          double send = 0) {
  PipelineInput input{schedule, stages, microbatches, interleave, {}, {}};
  input.chunks.assign(stages * interleave, part);
  input.sends.assign(stages * interleave - 1, send);
  return input;
}

int64_t mostHeld(const PipelineResult &result, int64_t stage) {
  return std::accumulate(result.held[stage].begin(), result.held[stage].end(), int64_t(0));
}

TEST(Pipeline, OneStageIsTheSumOfItsPasses) {
  PipelineResult result = simulate(equalStages(Schedule::OneForwardOneBackward, 1, 5, 1, {1, 1.5, 0.5}));
  EXPECT_DOUBLE_EQ(result.seconds, 15);
  EXPECT_DOUBLE_EQ(result.busy[0], 15);
  EXPECT_EQ(mostHeld(result, 0), 1);
}

/// (m + p - 1) (f + b), Huang et al. 2019 and Narayanan et al. 2021.
TEST(Pipeline, GPipeAndOneForwardOneBackwardHaveABubbleOfStagesLessOne) {
  for (Schedule schedule : {Schedule::GPipe, Schedule::OneForwardOneBackward})
    for (int64_t stages : {2, 4, 7})
      for (int64_t microbatches : {1, 3, 8, 21})
        EXPECT_DOUBLE_EQ(simulate(equalStages(schedule, stages, microbatches, 1, {1, 1.25, 0.75})).seconds,
                         double(microbatches + stages - 1) * 3)
            << stages << " stages, " << microbatches << " microbatches";
}

/// The bubble shrinks by the number of chunks: m v + (p - 1) passes of a chunk (Narayanan et al. 2021).
TEST(Pipeline, InterleavingDividesTheBubble) {
  for (int64_t stages : {2, 4})
    for (int64_t interleave : {2, 3, 5})
      for (int64_t rounds : {1, 2, 4}) {
        int64_t microbatches = rounds * stages;
        EXPECT_DOUBLE_EQ(
            simulate(equalStages(Schedule::OneForwardOneBackward, stages, microbatches, interleave, {1, 1, 1})).seconds,
            double(microbatches * interleave + stages - 1) * 3)
            << stages << " stages, " << interleave << " chunks, " << microbatches << " microbatches";
      }
}

/// (p - 1) (f + b - w) of bubble where the three are equal (Qi et al. 2023, table 1).
TEST(Pipeline, ZeroBubbleFillsTheDrainWithWeightGradients) {
  for (int64_t stages : {2, 4, 6})
    EXPECT_DOUBLE_EQ(simulate(equalStages(Schedule::ZeroBubbleH1, stages, 3 * stages, 1, {1, 1, 1})).seconds,
                     double(9 * stages + stages - 1));
}

TEST(Pipeline, MicrobatchesHeld) {
  PipelineResult gpipe = simulate(equalStages(Schedule::GPipe, 4, 8, 1, {1, 1, 1}));
  PipelineResult plain = simulate(equalStages(Schedule::OneForwardOneBackward, 4, 8, 1, {1, 1, 1}));
  PipelineResult zero = simulate(equalStages(Schedule::ZeroBubbleH1, 4, 8, 1, {1, 1, 1}));
  PipelineResult chunks = simulate(equalStages(Schedule::OneForwardOneBackward, 4, 8, 2, {1, 1, 1}));
  for (int64_t stage = 0; stage < 4; ++stage) {
    EXPECT_EQ(mostHeld(gpipe, stage), 8);
    EXPECT_EQ(mostHeld(plain, stage), 4 - stage);
    EXPECT_LE(mostHeld(zero, stage), 4);
    // Passes ahead and the one that runs: 2 (p - 1 - stage) + (v - 1) p + 1 chunks.
    EXPECT_EQ(mostHeld(chunks, stage), 2 * (3 - stage) + 4 + 1);
  }
}

TEST(Pipeline, MicrobatchesHeldNeedNoSimulation) {
  for (Schedule schedule : {Schedule::GPipe, Schedule::OneForwardOneBackward, Schedule::ZeroBubbleH1})
    for (int64_t stages : {1, 2, 3, 5})
      for (int64_t microbatches : {1, 2, 3, 5, 10, 40})
        for (int64_t interleave : {1, 2, 3}) {
          if (interleave > 1 && (schedule != Schedule::OneForwardOneBackward || microbatches % stages))
            continue;
          PipelineResult run = simulate(equalStages(schedule, stages, microbatches, interleave, {1, 1, 1}));
          for (int64_t stage = 0; stage < stages; ++stage)
            EXPECT_EQ(heldMicrobatches(schedule, stage, stages, microbatches, interleave), run.held[stage]);
        }
}

TEST(Pipeline, TheSlowestStageSetsThePace) {
  PipelineInput input = equalStages(Schedule::OneForwardOneBackward, 3, 10, 1, {1, 1, 1});
  input.chunks[2] = {2, 2, 2};
  // Ten microbatches through the slow stage, the first forward and the last backward pass of the others around it.
  EXPECT_DOUBLE_EQ(simulate(input).seconds, 10 * 6 + 2 * 3);
}

TEST(Pipeline, SendsDelayTheFillAndTheDrain) {
  PipelineInput input = equalStages(Schedule::OneForwardOneBackward, 2, 1, 1, {1, 1, 1}, 0.25);
  EXPECT_DOUBLE_EQ(simulate(input).seconds, 2 * 3 + 2 * 0.25);
}

/// A traced pass starts after the one before it on its stage and after what it needs from the neighbour's has arrived.
TEST(Pipeline, TheTraceIsWhatRan) {
  for (Schedule schedule : {Schedule::GPipe, Schedule::OneForwardOneBackward, Schedule::ZeroBubbleH1}) {
    PipelineInput input = equalStages(schedule, 4, 8, 1, {1, 1.5, 0.5}, 0.25);
    PipelineTrace trace;
    PipelineResult result = simulate(input, &trace);
    ASSERT_EQ(trace.size(), 4u);
    std::vector<double> forwardEnds(8, 0); // on the stage before, by microbatch
    for (int64_t stage = 0; stage < 4; ++stage) {
      double end = 0, busy = 0;
      auto listed = instructionsOf(schedule, stage, 4, 8, 1);
      ASSERT_EQ(trace[stage].size(), listed.size());
      for (size_t i = 0; i < listed.size(); ++i) {
        const TracedPass &pass = trace[stage][i];
        EXPECT_EQ(pass.instruction.kind, listed[i].kind);
        EXPECT_EQ(pass.instruction.microbatch, listed[i].microbatch);
        EXPECT_GE(pass.start, end);
        end = pass.start + pass.seconds;
        busy += pass.seconds;
        if (pass.instruction.kind != PassKind::Forward)
          continue;
        double &arrived = forwardEnds[pass.instruction.microbatch];
        EXPECT_GE(pass.start, stage ? arrived + 0.25 : 0);
        arrived = end;
      }
      EXPECT_DOUBLE_EQ(end, result.ends[stage]);
      EXPECT_DOUBLE_EQ(busy, result.busy[stage]);
    }
  }
}

TEST(Pipeline, EveryPassIsListedOnce) {
  for (Schedule schedule : {Schedule::GPipe, Schedule::OneForwardOneBackward, Schedule::ZeroBubbleH1})
    for (int64_t stage = 0; stage < 4; ++stage) {
      int64_t chunks = schedule == Schedule::OneForwardOneBackward ? 3 : 1;
      std::vector<Instruction> list = instructionsOf(schedule, stage, 4, 8, chunks);
      size_t kinds = schedule == Schedule::ZeroBubbleH1 ? 3 : 2;
      EXPECT_EQ(list.size(), kinds * 8 * chunks);
      auto key = [](const Instruction &i) { return std::tuple(i.kind, i.chunk, i.microbatch); };
      std::sort(list.begin(), list.end(), [&](const auto &a, const auto &b) { return key(a) < key(b); });
      EXPECT_EQ(
          std::adjacent_find(list.begin(), list.end(), [&](const auto &a, const auto &b) { return key(a) == key(b); }),
          list.end());
    }
}

} // namespace
