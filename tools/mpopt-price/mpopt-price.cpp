#include "Cases.h"

#include "mpopt/Search/TrainingAccount.h"

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>

using namespace mpopt;
using namespace mpopt::cost;
using Json = nlohmann::ordered_json;

namespace {

const char *kDescription =
    "Prices training steps of transformers under given plans: one JSON object per line in, one per line out.\n\n"
    "Input keys: id (any value, comes back), machine, stack (\"default\"), group (the stack's name), family (the "
    "group),\n"
    "calibrate (false), seconds (measured; needed where calibrate is true),\n"
    "devices (plans the step over so many: of plan, only global_batch, precision and type hold);\n"
    "  shape: layers hidden heads kv_heads feed_forward sequence vocabulary experts top_experts gated tied causal\n"
    "  plan: tp pp dp cp ep microbatch global_batch interleave (or unstated) sequence_parallel schedule "
    "(1f1b|gpipe|zb-h1)\n"
    "        recompute (none|selective|full|unstated) zero (0|1|2|3) precision (f32|mixed16|pure16|mixed8|mixed4) type "
    "(bf16|f16)\n"
    "The stack of each group is fitted to the cases that say calibrate, first those of its family, then its own; it "
    "then\n"
    "prices all cases of the group. What is unstated is chosen: the fastest that may fit the memory.\n"
    "Output keys: id, seconds and its parts, memory_bytes, memory (fits|unsure|does not), or id and error; with "
    "devices, the\n"
    "account of the chosen plan as mpopt plan --json writes it.";

/// What a plan does not state, it chooses as a planner would: of the choices that may fit, the fastest; of
/// recomputation, the least that may fit.
void chooseUnstated(Case &c) {
  std::vector<Recompute> recomputes = {c.step.plan.recompute};
  if (!c.recomputeStated)
    recomputes = {Recompute::None, Recompute::Selective, Recompute::Full};
  std::vector<int64_t> interleaves = {1};
  if (!c.interleaveStated && c.step.plan.pp > 1 && c.step.plan.microbatches() % c.step.plan.pp == 0)
    for (int64_t v = 2; v * c.step.plan.pp <= c.step.shape.layers; ++v)
      if (c.step.shape.layers % (v * c.step.plan.pp) == 0)
        interleaves.push_back(v);
  if (c.interleaveStated)
    interleaves = {c.step.plan.interleave};
  for (Recompute recompute : recomputes) {
    c.step.plan.recompute = recompute;
    double best = 0;
    int64_t chosen = interleaves.front();
    for (int64_t interleave : interleaves) {
      c.step.plan.interleave = interleave;
      Result<StepPrice> price = priceStep(*c.step.machine, c.stack, c.step.shape, c.step.plan);
      if (price && price->memory.fit != Fit::DoesNot && (best == 0 || price->seconds < best))
        best = price->seconds, chosen = interleave;
    }
    c.step.plan.interleave = chosen;
    if (best > 0)
      return;
  }
}

/// Where recomputation is not stated, an answer is sure only if it holds for every choice.
Fit fitOf(const Case &c, const StepPrice &price) {
  if (c.recomputeStated)
    return price.memory.fit;
  TrainingPlan plan = c.step.plan;
  plan.recompute = Recompute::None;
  if (priceStep(*c.step.machine, c.stack, c.step.shape, plan)->memory.fit == Fit::Fits)
    return Fit::Fits;
  plan.recompute = Recompute::Full;
  return priceStep(*c.step.machine, c.stack, c.step.shape, plan)->memory.fit == Fit::DoesNot ? Fit::DoesNot
                                                                                             : Fit::Unsure;
}

/// The layout of a case that leaves it to the planner, by the same measure of what fits as for what is unstated.
Json planned(const Case &c, const machine::Stack &stack) {
  Json out = {{"id", c.id}};
  search::TrainingQuery query;
  query.machine = c.step.machine;
  query.stack = &stack;
  query.shape = c.step.shape;
  query.devices = c.devices;
  query.globalBatch = c.step.plan.globalBatch;
  query.precision = c.step.plan.precision;
  query.type = c.step.plan.type;
  query.fit = Fit::Unsure;
  auto answer = search::planTraining(query);
  if (answer)
    out.update(Json::parse(search::trainingAccount(query, *answer, /*withTimeline=*/false)));
  else
    out["error"] = answer.error().message;
  return out;
}

Json priced(const Case &c, const machine::Stack &stack) {
  if (c.devices > 0)
    return planned(c, stack);
  Json out = {{"id", c.id}};
  Result<StepPrice> price = priceStep(*c.step.machine, stack, c.step.shape, c.step.plan);
  if (!price) {
    out["error"] = price.error().message;
    return out;
  }
  out["seconds"] = price->seconds;
  out["compute"] = price->compute;
  out["bubble"] = price->bubble;
  out["sync"] = price->sync;
  out["optimizer"] = price->optimizer;
  out["recompute"] = name(c.step.plan.recompute);
  out["interleave"] = c.step.plan.interleave;
  out["memory_bytes"] = price->memory.total();
  out["memory"] = name(fitOf(c, *price));
  return out;
}

std::vector<MeasuredStep> stepsOf(const std::vector<Case> &cases, std::string Case::*key, const std::string &value) {
  std::vector<MeasuredStep> steps;
  for (const Case &c : cases)
    if (c.*key == value && c.calibrate && check(c.step.shape, c.step.plan))
      steps.push_back(c.step);
  return steps;
}

/// Fits a family's constants to all its cases that say calibrate, then each group's around them with half the spread.
std::map<std::string, machine::Stack> calibrated(const std::vector<Case> &cases, bool profile) {
  std::map<std::string, machine::Stack> families, groups;
  for (const Case &c : cases) {
    if (!families.contains(c.family)) {
      std::vector<MeasuredStep> steps = stepsOf(cases, &Case::family, c.family);
      families.emplace(c.family, steps.empty() ? c.stack : fitStack(c.stack, steps));
    }
    if (groups.contains(c.group))
      continue;
    std::vector<MeasuredStep> steps = stepsOf(cases, &Case::group, c.group);
    machine::Stack stack = families.at(c.family);
    if (!steps.empty()) {
      stack = fitStack(stack, steps, 0.5);
      stack.note = "fitted to " + std::to_string(steps.size()) + " measured steps, from stack '" + c.stack.name + "'";
      if (profile)
        profileLayers(stack, steps);
    }
    stack.name = c.group;
    groups.emplace(c.group, std::move(stack));
  }
  return groups;
}

std::optional<Json> parseLine(const std::string &line) {
  Json value = Json::parse(line, nullptr, false);
  return value.is_discarded() ? std::nullopt : std::optional(std::move(value));
}

Result<std::vector<Case>> readCases(std::istream &in, const std::string &origin, Machines &machines) {
  std::vector<Case> cases;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos)
      continue;
    std::string where = origin + ":" + std::to_string(number) + ": ";
    std::optional<Json> value = parseLine(line);
    if (!value)
      return error(where + "not valid JSON; write one object per line");
    Result<Case> c = readCase(*value, machines);
    if (!c)
      return error(where + c.error().message);
    if (c->devices == 0 && (!c->recomputeStated || !c->interleaveStated))
      chooseUnstated(*c);
    cases.push_back(std::move(*c));
  }
  return cases;
}

int fail(const std::string &message) {
  std::cerr << "mpopt-price: error: " << message << "\n";
  return 1;
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app(kDescription);
  std::string input = "-", stacksFile;
  bool noProfile = false;
  app.add_option("CASES", input, "file of JSON lines, or - for standard input");
  app.add_flag("--no-profile", noProfile, "calibrate constants only, no layer profiles");
  app.add_option("--stacks", stacksFile, "write the calibrated stacks to this file, as TOML separated by ###");
  CLI11_PARSE(app, argc, argv);

  std::ifstream file;
  if (input != "-") {
    file.open(input);
    if (!file)
      return fail("cannot read '" + input + "'; check the path");
  }
  Machines machines;
  Result<std::vector<Case>> cases =
      readCases(input == "-" ? std::cin : file, input == "-" ? "<stdin>" : input, machines);
  if (!cases)
    return fail(cases.error().message);

  std::map<std::string, machine::Stack> stacks = calibrated(*cases, !noProfile);
  for (const Case &c : *cases)
    std::cout << priced(c, stacks.at(c.group)).dump() << "\n";
  if (stacksFile.empty())
    return 0;
  std::ofstream out(stacksFile);
  for (const auto &[name, stack] : stacks)
    out << "### " << name << "\n" << toToml(stack);
  out.close();
  return out ? 0 : fail("cannot write '" + stacksFile + "'; check that its folder exists");
}
