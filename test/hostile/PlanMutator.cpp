#include "PlanMutator.h"
#include "core/VerifyAlignment.h"
#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <random>

namespace plan = mpopt::plan;

namespace {

class Mutator {
public:
  explicit Mutator(unsigned seed) : random(seed) {}

  /// Collects what can be changed anywhere in the plan, then changes one to three of it.
  void run(plan::PlanT &plan) {
    for (int changes = 1 + static_cast<int>(below(3)); changes > 0; --changes) {
      actions.clear();
      visit(plan);
      actions[below(actions.size())]();
    }
  }

private:
  size_t below(size_t count) { return random() % std::max<size_t>(count, 1); }

  void visit(plan::PlanT &plan) {
    list(plan.inputs), list(plan.outputs), list(plan.programs), list(plan.ranks), list(plan.group_sets);
    list(plan.sources), list(plan.names);
    number(plan.weights_bytes);
    for (auto *ports : {&plan.inputs, &plan.outputs})
      for (auto &port : *ports)
        visit(*port);
    for (auto &program : plan.programs)
      visit(*program);
    for (auto &rank : plan.ranks) {
      number(rank->program), list(rank->weights);
      for (auto &slice : rank->weights)
        number(slice->offset), number(slice->bytes);
    }
    for (auto &set : plan.group_sets) {
      list(set->groups);
      for (auto &group : set->groups)
        numbers(group->ranks);
    }
    for (auto &source : plan.sources)
      number(source->offset), number(source->bytes);
    list(plan.transfers);
    for (auto &transfer : plan.transfers) {
      numbers(transfer->shape), list(transfer->pieces);
      for (auto &piece : transfer->pieces)
        number(piece->from), number(piece->to), numbers(piece->source), numbers(piece->target), numbers(piece->size);
    }
  }

  void visit(plan::PortT &port) {
    number(port.dtype), numbers(port.shape), numbers(port.buffers), list(port.boxes), number(port.parts);
    for (auto &box : port.boxes)
      numbers(box->start), numbers(box->size);
  }

  void visit(plan::ProgramT &program) {
    list(program.buffers), list(program.instructions), list(program.init);
    number(program.work_bytes);
    for (auto &buffer : program.buffers)
      number(buffer->space), number(buffer->offset), number(buffer->bytes), number(buffer->dtype),
          numbers(buffer->shape);
    for (auto *instructions : {&program.instructions, &program.init})
      for (auto &instruction : *instructions)
        visit(*instruction);
    actions.push_back([&] { program.init.swap(program.instructions); });
  }

  void visit(plan::InstructionT &instruction) {
    number(instruction.stream), numbers(instruction.waits), numbers(instruction.reads), numbers(instruction.writes);
    number(instruction.node);
    if (plan::CollectiveT *call = instruction.op.AsCollective()) {
      number(call->kind), number(call->reduce), number(call->group_set), number(call->dim), number(call->split_dim);
      number(call->low), number(call->high), numbers(call->permutation), number(call->sequence);
      number(call->experts);
    }
    if (plan::SendT *call = instruction.op.AsSend())
      number(call->distance), number(call->tag), number(call->transfer);
    if (plan::RecvT *call = instruction.op.AsRecv())
      number(call->distance), number(call->tag), number(call->transfer);
  }

  template <typename Number> Number telling(Number now) {
    static constexpr int64_t kTelling[] = {0,
                                           1,
                                           2,
                                           3,
                                           4,
                                           5,
                                           6,
                                           7,
                                           8,
                                           12,
                                           16,
                                           63,
                                           64,
                                           128,
                                           256,
                                           4096,
                                           -1,
                                           -2,
                                           -64,
                                           127,
                                           255,
                                           INT32_MAX,
                                           INT64_MAX,
                                           INT64_MIN,
                                           int64_t(1) << 32,
                                           int64_t(1) << 46};
    switch (below(4)) {
    case 0:
      return static_cast<Number>(static_cast<uint64_t>(now) + 1);
    case 1:
      return static_cast<Number>(static_cast<uint64_t>(now) - 1);
    default:
      return static_cast<Number>(kTelling[below(std::size(kTelling))]);
    }
  }

  template <typename Number> void number(Number &value) {
    actions.push_back([this, &value] { value = telling(value); });
  }

  template <typename Number> void numbers(std::vector<Number> &values) {
    list(values);
    for (Number &value : values)
      number(value);
  }

  template <typename T> static T copyOf(const T &value) { return value; }
  template <typename T> static std::unique_ptr<T> copyOf(const std::unique_ptr<T> &value) {
    return std::make_unique<T>(*value);
  }

  template <typename T> void list(std::vector<T> &values) {
    actions.push_back([this, &values] {
      size_t count = values.size(), at = below(count), other = below(count);
      if constexpr (std::is_arithmetic_v<T>)
        if (count == 0)
          return values.push_back(telling(T()));
      if (count == 0)
        return;
      if (size_t kind = below(3); kind == 0)
        values.insert(values.begin() + static_cast<std::ptrdiff_t>(other), copyOf(values[at]));
      else if (kind == 1)
        std::swap(values[at], values[other]);
      else
        values.erase(values.begin() + static_cast<std::ptrdiff_t>(at));
    });
  }

  std::mt19937_64 random;
  std::vector<std::function<void()>> actions;
};

} // namespace

size_t mpopt::hostile::mutatePlan(uint8_t *data, size_t size, size_t maxSize, unsigned seed) {
  flatbuffers::Verifier verifier(data, size);
  if (!plan::VerifyPlanBuffer(verifier) || !runtime::isAligned(*plan::GetPlan(data)))
    return size;
  std::unique_ptr<plan::PlanT> object(plan::GetPlan(data)->UnPack());
  Mutator(seed).run(*object);
  // Instructions of unknown kinds pass the verifier, but cannot be packed.
  for (auto &program : object->programs)
    for (auto *list : {&program->instructions, &program->init})
      std::erase_if(*list, [](const auto &instruction) { return !instruction->op.value; });
  flatbuffers::FlatBufferBuilder builder;
  plan::FinishPlanBuffer(builder, plan::Plan::Pack(builder, object.get()));
  if (builder.GetSize() > maxSize)
    return size;
  std::memcpy(data, builder.GetBufferPointer(), builder.GetSize());
  return builder.GetSize();
}

std::string mpopt::hostile::seedWeights() {
  std::string bytes(4096, '\0');
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<char>(i % 3 ? 0 : i % 64);
  return bytes;
}
