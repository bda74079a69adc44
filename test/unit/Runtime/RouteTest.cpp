// Tokens sent to experts and back, against what plan.fbs says of it, in thread and in process mode.
#include "PlanMaker.h"
#include "core/Loader.h"
#include "launch/Session.h"

#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

namespace mpopt::runtime {
namespace {

using plan::CollectiveKind;
using plan::DType;

/// Two groups of `members` ranks, {0, 2, ...} backwards and {1, 3, ...}; each rank has `rows` tokens and `experts` experts.
struct Setting {
  unsigned members;
  int64_t rows, width, choices, experts;
  DType dtype = DType::f32;

  unsigned ranks() const { return 2 * members; }
  int64_t allRows() const { return members * rows; }
  std::vector<std::vector<uint32_t>> groups() const {
    std::vector<std::vector<uint32_t>> groups(2);
    for (unsigned i = 0; i < members; ++i) {
      groups[0].insert(groups[0].begin(), 2 * i);
      groups[1].push_back(2 * i + 1);
    }
    return groups;
  }
  std::pair<size_t, size_t> placeOf(uint32_t rank) const {
    size_t group = rank % 2, i = rank / 2;
    return {group, group == 0 ? members - 1 - i : i};
  }
};

/// The expert of a choice of a row of all, in group `group`.
using Router = std::function<int64_t(size_t group, int64_t row, int64_t choice)>;

/// Whether plan.fbs sends the row to the member.
bool goesTo(const Setting &s, const Router &router, size_t group, int64_t row, int64_t member) {
  for (int64_t choice = 0; choice < s.choices; ++choice)
    if (int64_t expert = router(group, row, choice); expert >= member * s.experts && expert < (member + 1) * s.experts)
      return true;
  return false;
}

std::vector<double> indicesOf(const Setting &s, const Router &router) {
  std::vector<double> values;
  for (uint32_t rank = 0; rank < s.ranks(); ++rank)
    for (int64_t row = 0; row < s.allRows(); ++row)
      for (int64_t choice = 0; choice < s.choices; ++choice)
        values.push_back(static_cast<double>(router(s.placeOf(rank).first, row, choice)));
  return values;
}

std::vector<double> numbersOf(int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<double> values(count);
  for (double &value : values)
    value = 1 + random() % 7;
  return values;
}

struct Plan {
  std::string path;
  Tensor rows, made, indices; // what goes out, what comes back, and where to
};

/// "sent" is what dispatch gives of "rows", "back" what combine gives of "made".
Plan makePlan(const Setting &s, const Router &router) {
  PlanMaker maker(s.ranks());
  uint32_t both = maker.groups(s.groups()), part = maker.work({1, s.rows, s.width}, s.dtype),
           whole = maker.work({1, s.allRows(), s.width}, s.dtype),
           sent = maker.work({1, s.allRows(), s.width}, s.dtype), back = maker.work({1, s.rows, s.width}, s.dtype),
           indices = maker.work({1, s.allRows(), s.choices}, DType::i64);
  uint32_t names = maker.view(indices, {s.allRows(), s.choices});
  auto rowsOf = [&](uint32_t buffer, int64_t rows) { return maker.view(buffer, {rows, s.width}); };
  maker.route(CollectiveKind::dispatch, both, rowsOf(part, s.rows), names, rowsOf(sent, s.allRows()), s.experts);
  maker.route(CollectiveKind::combine, both, rowsOf(whole, s.allRows()), names, rowsOf(back, s.rows), s.experts);
  maker.input("rows", {static_cast<int32_t>(part)});
  maker.input("made", {static_cast<int32_t>(whole)});
  maker.input("indices", {static_cast<int32_t>(indices)});
  maker.output("sent", {static_cast<int32_t>(sent)});
  maker.output("back", {static_cast<int32_t>(back)});
  auto tensor = [&](int64_t rows, unsigned seed) {
    return makeTensor(s.dtype, {s.ranks(), rows, s.width}, numbersOf(s.ranks() * rows * s.width, seed));
  };
  return {maker.write(), tensor(s.rows, 1), tensor(s.allRows(), 2),
          makeTensor(DType::i64, {s.ranks(), s.allRows(), s.choices}, indicesOf(s, router))};
}

std::vector<double> expectedSent(const Setting &s, const Router &router, const std::vector<double> &rows) {
  std::vector<double> out;
  for (uint32_t rank = 0; rank < s.ranks(); ++rank) {
    auto [group, place] = s.placeOf(rank);
    for (int64_t row = 0; row < s.allRows(); ++row)
      for (int64_t i = 0; i < s.width; ++i) {
        int64_t from = s.groups()[group][row / s.rows];
        bool comes = goesTo(s, router, group, row, static_cast<int64_t>(place));
        out.push_back(comes ? rows[(from * s.rows + row % s.rows) * s.width + i] : 0); // as the arena was
      }
  }
  return out;
}

std::vector<double> expectedBack(const Setting &s, const Router &router, const std::vector<double> &made) {
  std::vector<double> out;
  for (uint32_t rank = 0; rank < s.ranks(); ++rank) {
    auto [group, place] = s.placeOf(rank);
    for (int64_t j = 0; j < s.rows; ++j)
      for (int64_t i = 0; i < s.width; ++i) {
        int64_t row = static_cast<int64_t>(place) * s.rows + j;
        double sum = 0;
        for (unsigned member = 0; member < s.members; ++member)
          if (goesTo(s, router, group, row, member))
            sum += made[(s.groups()[group][member] * s.allRows() + row) * s.width + i];
        out.push_back(sum);
      }
  }
  return out;
}

void check(const Setting &s, const Router &router) {
  Plan plan = makePlan(s, router);
  for (bool processes : {false, true}) {
    SCOPED_TRACE(std::to_string(s.members) + " members, " + std::to_string(s.rows) + " rows of " +
                 std::to_string(s.width) + (processes ? ", processes" : ", threads"));
    auto outputs = runPlan(plan.path, {plan.rows, plan.made, plan.indices}, processes, 3);
    ASSERT_TRUE(outputs) << outputs.error().message;
    EXPECT_EQ(valuesOf((*outputs)[0]), expectedSent(s, router, valuesOf(plan.rows)));
    EXPECT_EQ(valuesOf((*outputs)[1]), expectedBack(s, router, valuesOf(plan.made)));
  }
}

class RouteTest : public testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Members, RouteTest, testing::Values(1, 2, 3, 4));

TEST_P(RouteTest, followsTheIndices) {
  auto experts = static_cast<int64_t>(2 * GetParam());
  Router spread = [&](size_t group, int64_t row, int64_t choice) { return (5 * row + 3 * choice + group) % experts; };
  for (int64_t width : {1, 9, 2000}) // the last ones do not fit into staging slots
    for (int64_t choices : {0, 1, 3})
      check({GetParam(), 7, width, choices, 2}, spread);
  for (DType dtype : {DType::f16, DType::bf16, DType::f64})
    check({GetParam(), 5, 6, 2, 2, dtype}, spread);
}

TEST_P(RouteTest, takesAllTokensAtOneExpert) {
  for (int64_t expert : {int64_t(0), int64_t(2) * GetParam() - 1})
    for (int64_t width : {3, 3000})
      check({GetParam(), 6, width, 2, 2}, [&](size_t, int64_t, int64_t) { return expert; });
}

/// Indices come from data: whatever they are, no row outside of the buffers is touched.
TEST_P(RouteTest, sendsNothingToNoExpert) {
  auto experts = static_cast<int64_t>(2 * GetParam());
  for (int64_t nobody : {int64_t(-1), experts, int64_t(1) << 52, std::numeric_limits<int64_t>::min()})
    check({GetParam(), 6, 4, 2, 2}, [&](size_t, int64_t row, int64_t) { return row == 1 ? 0 : nobody; });
}

TEST(Routes, noRowsAreFine) {
  check({2, 0, 4, 2, 2}, [](size_t, int64_t, int64_t) { return 0; });
}

/// The trace counts the rows that came from others.
TEST(Routes, traceTellsWhatCame) {
  Setting s{2, 4, 16, 1, 1};
  Plan plan = makePlan(s, [](size_t, int64_t, int64_t) { return 0; }); // all to member 0 of each group
  auto loaded = LoadedPlan::open(plan.path);
  ASSERT_TRUE(loaded) << loaded.error().message;
  auto session = Session::create(*loaded, {.steps = 2, .trace = true});
  ASSERT_TRUE(session) << session.error().message;
  const Tensor *inputs[] = {&plan.rows, &plan.made, &plan.indices};
  for (size_t i = 0; i < 3; ++i)
    ASSERT_TRUE(session->setInput(i, *inputs[i]));
  ASSERT_TRUE(session->run());
  std::string path = testFolder() + "/trace.json";
  ASSERT_TRUE(session->writeTrace(path));
  std::ifstream file(path);
  nlohmann::json trace = nlohmann::json::parse(file);
  int seen = 0;
  for (const auto &event : trace["traceEvents"])
    if (event["ph"] == "X" && event["cat"] == "communication") {
      // Member 0, rank 2 of its group and rank 1 of the other, gets the other's 4 rows of 64 bytes, which then gets as many back.
      bool takes = event["tid"] == 2 || event["tid"] == 1, sends = event["args"]["kind"] == "dispatch";
      EXPECT_EQ(event["args"]["routed_bytes"], takes == sends ? 256 : 0) << event;
      ++seen;
    }
  EXPECT_EQ(seen, 2 * 4 * 2);
}

struct Refusal {
  const char *words;
  std::function<void(PlanMaker &, plan::InstructionT &)> spoil;
};

TEST(Routes, plansThatDoNotFitAreRefused) {
  const Refusal refusals[] = {
      {"no rank can have 0 experts", [](auto &, auto &call) { call.op.AsCollective()->experts = 0; }},
      {"no rank can have", [](auto &, auto &call) { call.op.AsCollective()->experts = INT64_MAX; }},
      {"an operand, indices and one result", [](auto &, auto &call) { call.reads.pop_back(); }},
      {"cannot make", [](PlanMaker &maker, auto &call) { call.writes = {maker.work({4, 8})}; }},
      {"cannot make", [](PlanMaker &maker, auto &call) { call.writes = {maker.work({6, 7})}; }},
      {"cannot make", [](PlanMaker &maker, auto &call) { call.writes = {maker.work({6, 2, 4})}; }},
      {"name no experts for 6 rows",
       [](PlanMaker &maker, auto &call) { call.reads[1] = maker.work({3, 2}, DType::i64); }},
      {"are no i64", [](PlanMaker &maker, auto &call) { call.reads[1] = maker.work({6, 2}, DType::i32); }},
      {"indices and its result share memory", [](PlanMaker &maker, auto &call) {
         call.reads[1] = maker.work({6, 2}, DType::i64);
         maker.program().buffers[call.reads[1]]->offset = maker.program().buffers[call.writes[0]]->offset;
       }}};
  for (const Refusal &refusal : refusals) {
    PlanMaker maker(2);
    uint32_t x = maker.work({3, 8}), indices = maker.work({6, 2}, DType::i64), y = maker.work({6, 8});
    maker.route(CollectiveKind::dispatch, maker.groups({{0, 1}}), x, indices, y, 1);
    refusal.spoil(maker, *maker.program().instructions.back());
    auto loaded = LoadedPlan::open(maker.write());
    ASSERT_FALSE(loaded) << refusal.words;
    EXPECT_NE(loaded.error().message.find(refusal.words), std::string::npos) << loaded.error().message;
  }
}

} // namespace
} // namespace mpopt::runtime
