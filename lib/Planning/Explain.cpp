#include "Explain.h"
#include "mpopt/Search/Alternatives.h"
#include "mpopt/Support/BlockNames.h"
#include "mpopt/Support/Repeats.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace mpopt::planning {
namespace {

/// Additions that the answers to all questions may take together; some seconds.
constexpr double kWorkLimit = 2e10;
/// Where memory binds, a question is worth that many eliminations, and that many additions at least.
constexpr double kSolveEliminations = 60, kSolveWork = 2e8;

/// The group of options that read like the chosen one.
constexpr int32_t kAsChosen = 1;

/// The options of a decision by their words.
struct WordGroups {
  std::vector<int32_t> group;     ///< Per option: its words' place in `words`.
  std::vector<std::string> words; ///< In the order of first use.

  int32_t find(const std::string &text) const { return static_cast<int32_t>(llvm::find(words, text) - words.begin()); }
};

class Explainer {
public:
  Explainer(const Model &model, const search::Solution &solution, const Layouts &layouts, ArrayRef<OpReport> reports)
      : model(model), solution(solution), layouts(layouts), reports(reports) {
    for (auto [index, decision] : llvm::enumerate(model.decisions))
      if (decision.kind == Decision::Operator)
        operators.push_back(index);
  }

  std::vector<BlockReport> run() {
    prepareQuestions();
    std::vector<BlockReport> blocks;
    size_t at = 0;
    for (const Repeat &repeat : findBlocks()) {
      if (repeat.begin > at)
        add(blocks, {at, repeat.begin - at, 1});
      add(blocks, repeat);
      at = repeat.end();
    }
    if (at < operators.size())
      add(blocks, {at, operators.size() - at, 1});
    answerQuestions(blocks);
    return blocks;
  }

private:
  /// What the next best for an operator would cost, to be found out once all blocks are known.
  struct Question {
    Repeat repeat;
    size_t number, block, layout;
    double seconds; ///< Of all copies of the block.
  };

  void add(std::vector<BlockReport> &blocks, const Repeat &repeat) {
    asking = blocks.size();
    blocks.push_back(describe(repeat));
  }

  /// Where not all can be answered, those about the blocks that take longest are.
  void answerQuestions(std::vector<BlockReport> &blocks) {
    auto place = [](const Question &q) { return std::tuple(-q.seconds, q.block, q.layout); };
    llvm::sort(questions, [&](const Question &a, const Question &b) { return place(a) < place(b); });
    for (const Question &question : questions)
      findRunnerUp(question.repeat, question.number, blocks[question.block].layouts[question.layout]);
  }

  const Decision &decisionOf(size_t number) const { return model.decisions[operators[number]]; }
  const Option &chosen(size_t number) const {
    return (*decisionOf(number).options)[solution.choice[operators[number]]];
  }
  bool isDecisive(size_t number) const { return Layouts::isDecisive(decisionOf(number).op); }

  /// Equal operators, on equal types, that are spread in the same way have the same number.
  std::vector<uint64_t> signatures() const {
    std::map<std::vector<uintptr_t>, uint64_t> known;
    std::vector<uint64_t> items;
    for (size_t number = 0; number < operators.size(); ++number) {
      Operation *op = decisionOf(number).op;
      std::vector<uintptr_t> key = {reinterpret_cast<uintptr_t>(op->getName().getAsOpaquePointer())};
      for (Value operand : op->getOperands())
        key.push_back(reinterpret_cast<uintptr_t>(operand.getType().getAsOpaquePointer()));
      for (Value result : op->getResults())
        key.push_back(reinterpret_cast<uintptr_t>(result.getType().getAsOpaquePointer()));
      key.insert(key.end(), chosen(number).in.begin(), chosen(number).in.end());
      key.insert(key.end(), chosen(number).out.begin(), chosen(number).out.end());
      items.push_back(known.try_emplace(key, known.size()).first->second);
    }
    return items;
  }

  std::vector<std::string> namesOf(size_t begin, size_t count) const {
    std::vector<std::string> names;
    for (size_t number = begin; number < begin + count; ++number)
      if (const std::string &name = decisionOf(number).name; !name.empty())
        names.push_back(name);
    return names;
  }

  std::vector<Repeat> findBlocks() const {
    std::vector<uint64_t> items = signatures();
    auto accepts = [&](size_t begin, size_t period) {
      for (size_t number = begin; number < begin + period; ++number)
        if (isDecisive(number))
          return true;
      return false;
    };
    auto fit = [&](size_t begin, size_t period) {
      return static_cast<double>(commonPath(namesOf(begin, period)).size());
    };
    return RepeatFinder(items, accepts, fit).run();
  }

  BlockReport describe(const Repeat &repeat) {
    BlockReport block;
    block.count = static_cast<int64_t>(repeat.count);
    block.operators = static_cast<int64_t>(repeat.period);
    block.first = static_cast<int64_t>(repeat.begin);
    block.name = blockName(namesOf(repeat.begin, repeat.period));
    if (repeat.count > 1)
      block.lastName = blockName(namesOf(repeat.end() - repeat.period, repeat.period));
    block.nodes = namesOf(repeat.begin, repeat.end() - repeat.begin);
    for (size_t number = repeat.begin; number < repeat.begin + repeat.period; ++number)
      block.weightBytes += chosen(number).weightBytes;
    for (size_t number = repeat.begin; number < repeat.end(); ++number) {
      block.computeSeconds += reports[number].computeSeconds;
      block.commSeconds += reports[number].commSeconds;
    }
    block.computeSeconds /= static_cast<double>(block.count);
    block.commSeconds /= static_cast<double>(block.count);
    block.peakBytes = peakWithin(operators[repeat.begin], operators[repeat.end() - 1] + 1);
    describeLayouts(repeat, block);
    return block;
  }

  /// Most run-time memory while the decisions [begin, end) are carried out.
  int64_t peakWithin(int64_t begin, int64_t end) const {
    std::vector<int64_t> change(end - begin + 1, 0);
    int64_t weightsEnd = static_cast<int64_t>(model.decisions.size());
    for (auto [node, choice] : llvm::zip_equal(model.problem.nodes, solution.choice))
      for (const search::UsageComponent &usage : node.usages) {
        int64_t first = std::max(usage.interval.first, begin), last = std::min(usage.interval.last, end);
        bool isWeight = usage.interval.first == 0 && usage.interval.last == weightsEnd;
        if (isWeight || first >= last)
          continue;
        change[first - begin] += usage.usages[choice];
        change[last - begin] -= usage.usages[choice];
      }
    int64_t live = 0, most = 0;
    for (int64_t step : change)
      most = std::max(most, live += step);
    return most;
  }

  /// One line for each decisive operator; the others by their words.
  void describeLayouts(const Repeat &repeat, BlockReport &block) {
    llvm::MapVector<std::string, std::pair<int64_t, double>, std::map<std::string, unsigned>> others;
    for (size_t number = repeat.begin; number < repeat.begin + repeat.period; ++number) {
      std::string words = layouts.words(decisionOf(number).op, chosen(number));
      if (!isDecisive(number)) {
        auto &[count, seconds] = others[words];
        ++count;
        seconds += reports[number].computeSeconds + reports[number].commSeconds;
        continue;
      }
      LayoutReport layout;
      layout.node = decisionOf(number).name;
      layout.op = decisionOf(number).op->getName().stripDialect().str();
      layout.words = words;
      layout.computeSeconds = reports[number].computeSeconds;
      layout.commSeconds = reports[number].commSeconds;
      questions.push_back({repeat, number, asking, block.layouts.size(),
                           static_cast<double>(block.count) * (block.computeSeconds + block.commSeconds)});
      block.layouts.push_back(std::move(layout));
    }
    for (auto &[words, sum] : others)
      block.others.push_back({words, sum.first, sum.second});
  }

  /// Alternatives are asked for by the words of decisive operators.
  void prepareQuestions() {
    search::Groups groups(model.decisions.size());
    for (size_t number = 0; number < operators.size(); ++number)
      if (isDecisive(number) && wordsOf(number).words.size() > 1)
        groups[operators[number]] = asChosen(number);
    if (auto made = search::Alternatives::make(model.problem, groups, solution))
      alternatives.emplace(std::move(*made));
  }

  /// The group of each option: kAsChosen where it reads as the chosen one does, 0 elsewhere. More groups would keep more strategies apart.
  std::vector<int32_t> asChosen(size_t number) {
    const WordGroups &all = wordsOf(number);
    std::vector<int32_t> groups = all.group;
    int32_t chosenGroup = groups[solution.choice[operators[number]]];
    for (int32_t &group : groups)
      group = group == chosenGroup ? kAsChosen : 0;
    return groups;
  }

  const WordGroups &wordsOf(size_t number) {
    const Decision &decision = decisionOf(number);
    auto [it, isNew] = words.try_emplace(decision.options.get());
    if (!isNew)
      return it->second;
    WordGroups &groups = it->second;
    for (const Option &option : *decision.options) {
      std::string text = layouts.words(decision.op, option);
      int32_t group = groups.find(text);
      if (group == static_cast<int32_t>(groups.words.size()))
        groups.words.push_back(std::move(text));
      groups.group.push_back(group);
    }
    return groups;
  }

  /// The best plan in which this operator is spread in other words, in every copy of the block.
  void findRunnerUp(const Repeat &repeat, size_t number, LayoutReport &layout) {
    if (wordsOf(number).words.size() == 1) {
      layout.runnerUpState = RunnerUp::None;
      return;
    }
    if (!alternatives || alternatives->spent() + alternatives->work() > kWorkLimit) {
      layout.runnerUpState = RunnerUp::Skipped;
      return;
    }
    std::vector<search::Ban> bans;
    for (size_t copy = 0; copy < repeat.count; ++copy) {
      size_t at = number + copy * repeat.period;
      bans.push_back({operators[at], kAsChosen});
    }
    double solveWork = std::max(kSolveWork, kSolveEliminations * alternatives->work());
    Result<search::Solution> other = alternatives->without(bans, solveWork);
    if (!other) {
      layout.runnerUpState = RunnerUp::None;
      return;
    }
    const Decision &decision = decisionOf(number);
    layout.runnerUpState = other->optimal ? RunnerUp::Exact : RunnerUp::Found;
    layout.runnerUp = layouts.words(decision.op, (*decision.options)[other->choice[operators[number]]]);
    // Where the plan is not known to be the best, another may turn out to be better.
    layout.runnerUpSeconds = other->cost - solution.cost;
    if (solution.optimal)
      layout.runnerUpSeconds = std::max(0.0, layout.runnerUpSeconds);
  }

  const Model &model;
  const search::Solution &solution;
  const Layouts &layouts;
  ArrayRef<OpReport> reports;
  std::vector<int> operators;                  // decisions that are operators
  std::map<const Options *, WordGroups> words; // looked up only
  std::optional<search::Alternatives> alternatives;
  std::vector<Question> questions;
  size_t asking = 0; ///< The block that is being described.
};

} // namespace

std::vector<BlockReport> explainPlan(const Model &model, const search::Solution &solution, const Layouts &layouts,
                                     ArrayRef<OpReport> perOperator) {
  return Explainer(model, solution, layouts, perOperator).run();
}

} // namespace mpopt::planning
