#include "core/Executor.h"
#include "core/MessageLaunch.h"
#include "core/Verify.h"
#include "format/Messages.h"

namespace mpopt::runtime {

Result<Executor> Executor::create(RankContext context) {
  Executor executor(std::move(context));
  if (Status status = executor.placeBuffers(); !status)
    return tl::unexpected(status.error());
  if (Status status = executor.runInit(); !status)
    return tl::unexpected(status.error());
  if (Status status = executor.prepareProgram(); !status)
    return tl::unexpected(status.error());
  return executor;
}

Status Executor::placeWeights(std::vector<std::byte *> &places) {
  auto slices = items(items(context.plan.plan().ranks())[context.rank]->weights());
  std::vector<bool> made = weightsWrittenByInit(context.plan.programOf(context.rank), slices.size());
  for (size_t i = 0; i < slices.size(); ++i) {
    auto place = made[i] ? context.device.allocateWeight(slices[i]->bytes())
                         : context.device.placeConstant(context.plan.weightSlice(context.rank, i));
    if (!place)
      return tl::unexpected(place.error());
    places.push_back(*place);
  }
  return {};
}

Status Executor::placeBuffers() {
  const plan::Program &program = context.plan.programOf(context.rank);
  auto arena = context.device.allocateArena(program.work_bytes());
  if (!arena)
    return tl::unexpected(arena.error());
  std::vector<std::byte *> weights;
  if (Status status = placeWeights(weights); !status)
    return status;
  for (const plan::Buffer *buffer : items(program.buffers())) {
    BufferView view{nullptr, buffer->bytes(), buffer->dtype(), numbers(buffer->shape()), false};
    if (buffer->space() == plan::Space::work) {
      view.data = *arena + buffer->offset();
    } else if (buffer->space() == plan::Space::weights) {
      view.data = weights[buffer->offset()];
      view.constant = true;
    } else {
      auto place = context.device.placeConstant(context.plan.source(buffer->offset()));
      if (!place)
        return tl::unexpected(place.error());
      view.data = *place;
    }
    buffers.push_back(view);
  }
  return {};
}

Operands Executor::operandsOf(const plan::Instruction &instruction, bool constantWeights) const {
  Operands operands;
  for (uint32_t read : numbers(instruction.reads())) {
    operands.reads.push_back(buffers[read]);
    operands.reads.back().constant &= constantWeights;
  }
  for (uint32_t write : numbers(instruction.writes()))
    operands.writes.push_back(buffers[write]);
  return operands;
}

std::string Executor::where(const plan::Instruction &instruction, size_t index, bool init) const {
  const plan::Plan &plan = context.plan.plan();
  return "rank " + std::to_string(context.rank) + ", " + (init ? "init " : "") +
         (init ? kindOf(plan, instruction) : describe(plan, context.plan.programOf(context.rank), index)) + ": ";
}

Result<LaunchPtr> Executor::prepare(const plan::Instruction &instruction, bool init) {
  Operands operands = operandsOf(instruction, !init);
  unsigned stream = instruction.stream();
  switch (instruction.op_type()) {
  case plan::Op::KernelCall:
    return context.device.prepareKernel(instruction.op_as_KernelCall()->kernel(), operands, stream);
  case plan::Op::Copy:
    return context.device.prepareCopy(operands.reads[0], operands.writes[0], stream);
  case plan::Op::Collective:
    return context.communicator.prepareCollective(*instruction.op_as_Collective(), instruction, operands);
  case plan::Op::Send:
  case plan::Op::Recv:
    return prepareMessage(context.communicator, context.plan.plan(), context.rank, instruction, operands);
  default:
    return error("its kind is unknown");
  }
}

Status Executor::runInit() {
  auto list = items(context.plan.programOf(context.rank).init());
  for (size_t i = 0; i < list.size(); ++i) {
    context.progress.at(Progress::kInit, static_cast<uint32_t>(i));
    if (context.beforeInstruction)
      if (Status status = context.beforeInstruction(Progress::kInit, static_cast<uint32_t>(i)); !status)
        return status;
    auto launch = prepare(*list[i], true);
    Status status = launch ? (*launch)->submit() : Status(tl::unexpected(launch.error()));
    if (status)
      status = context.device.synchronize();
    if (!status)
      return error(where(*list[i], i, true) + status.error().message);
  }
  context.progress.at(0, Progress::kLoading);
  return {};
}

/// An event for each instruction that another one waits for.
Status Executor::createEvents(std::vector<int> &eventOf) {
  for (const plan::Instruction *instruction : items(context.plan.programOf(context.rank).instructions()))
    for (uint32_t wait : numbers(instruction->waits()))
      if (eventOf[wait] < 0) {
        auto event = context.device.createEvent();
        if (!event)
          return tl::unexpected(event.error());
        eventOf[wait] = static_cast<int>(*event);
      }
  return {};
}

/// Waits, before instruction `before`, until the sends whose payload it overwrites have been received.
Status Executor::addSendsDone(size_t before, std::span<const uint32_t> sends) {
  auto list = items(context.plan.programOf(context.rank).instructions());
  for (uint32_t number : sends) {
    unsigned stream = before < list.size() ? list[before]->stream() : list[number]->stream();
    auto launch = prepareMessageDone(context.communicator, context.plan.plan(), context.rank, *list[number], stream);
    if (!launch)
      return tl::unexpected(launch.error());
    program.push_back({std::move(*launch), number, static_cast<uint32_t>(list.size()) + number, stream, {}, -1});
  }
  return {};
}

Status Executor::prepareProgram() {
  auto list = items(context.plan.programOf(context.rank).instructions());
  auto sendsDone = sendsDoneBefore(context.plan.plan(), items(context.plan.plan().ranks())[context.rank]->program());
  std::vector<int> eventOf(list.size(), -1);
  if (Status status = createEvents(eventOf); !status)
    return status;
  for (size_t i = 0; i <= list.size(); ++i) {
    context.progress.tick();
    if (Status status = addSendsDone(i, sendsDone[i]); !status)
      return status;
    if (i == list.size())
      break;
    auto launch = prepare(*list[i], false);
    if (!launch)
      return error(where(*list[i], i, false) + launch.error().message);
    auto number = static_cast<uint32_t>(i);
    Item item{std::move(*launch), number, number, list[i]->stream(), {}, eventOf[i]};
    for (uint32_t wait : numbers(list[i]->waits()))
      item.waits.push_back(static_cast<unsigned>(eventOf[wait]));
    program.push_back(std::move(item));
  }
  return {};
}

Status Executor::submit(Item &item) {
  for (unsigned event : item.waits)
    if (Status status = context.device.waitEvent(event, item.stream); !status)
      return status;
  if (Status status = item.launch->submit(); !status)
    return status;
  return item.record < 0 ? Status() : context.device.recordEvent(static_cast<unsigned>(item.record), item.stream);
}

Status Executor::moveImages(const std::vector<std::vector<PortImage>> &ports, bool toDevice) {
  for (const auto &port : ports)
    for (size_t slot = context.rank; slot < port.size(); slot += context.plan.numRanks()) {
      const PortImage &image = port[slot];
      if (!image.held)
        continue;
      std::byte *device = buffers[image.buffer].data, *host = context.host + image.offset;
      Status status = toDevice ? context.device.upload(device, host, image.bytes)
                               : context.device.download(host, device, image.bytes);
      if (!status)
        return status;
    }
  return {};
}

Status Executor::run(uint64_t step) {
  context.progress.at(step, Progress::kBetweenSteps);
  if (Status status = moveImages(context.ports.inputs, true); !status)
    return status;
  for (Item &item : program) {
    context.progress.at(step, item.instruction);
    if (context.beforeInstruction)
      if (Status status = context.beforeInstruction(step, item.instruction); !status)
        return status;
    int64_t begin = context.trace.begin(context.progress);
    if (Status status = submit(item); !status)
      return status;
    context.trace.end(step, item.traceSlot, begin, context.progress);
  }
  if (Status status = context.device.synchronize(); !status)
    return status;
  context.progress.at(step, Progress::kBetweenSteps);
  return moveImages(context.ports.outputs, false);
}

} // namespace mpopt::runtime
