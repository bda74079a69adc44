// Writes plans for the fuzzer to begin with: plan-seeds FOLDER.
#include "PlanMaker.h"
#include "PlanMutator.h"
#include <fstream>
#include <iostream>
#include <xxhash.h>

using namespace mpopt;
using namespace mpopt::runtime;
using plan::CollectiveKind;

namespace {

void addPorts(PlanMaker &maker, uint32_t x, uint32_t y) {
  maker.input("x", {static_cast<int32_t>(x)});
  maker.output("y", {static_cast<int32_t>(y)});
}

/// One collective of each kind over pairs of four ranks.
PlanMaker collectives() {
  PlanMaker maker(4);
  uint32_t x = maker.work({1, 8}), twice = maker.work({2, 8}), half = maker.work({1, 4}), turned = maker.work({2, 4});
  uint32_t wide = maker.work({1, 11}), y = maker.work({1, 8}), pairs = maker.groups({{0, 1}, {2, 3}});
  maker.collective(CollectiveKind::all_reduce, pairs, x, x);
  maker.collective(CollectiveKind::all_gather, pairs, x, twice);
  maker.collective(CollectiveKind::reduce_scatter, pairs, x, half).dim = 1;
  maker.collective(CollectiveKind::all_to_all, pairs, x, turned).split_dim = 1;
  maker.collective(CollectiveKind::permute, pairs, x, y).permutation = {1, 0};
  plan::CollectiveT &halo = maker.collective(CollectiveKind::halo, pairs, y, wide);
  halo.dim = 1, halo.low = 1, halo.high = 2;
  uint32_t names = maker.work({2, 3}, plan::DType::i64), sent = maker.work({2, 8});
  maker.route(CollectiveKind::dispatch, pairs, x, names, sent, 2);
  maker.route(CollectiveKind::combine, pairs, sent, names, y, 2);
  addPorts(maker, x, y);
  return maker;
}

plan::PieceT piece(uint32_t from, uint32_t to, int64_t sourceRow, int64_t targetRow) {
  plan::PieceT piece;
  piece.from = from, piece.to = to;
  piece.source = {sourceRow, 0}, piece.target = {targetRow, 0}, piece.size = {1, 8};
  return piece;
}

/// Two programs that send to each other, streams that wait, weights, and an init instruction.
PlanMaker stages() {
  PlanMaker maker(2);
  std::vector<uint32_t> x(2);
  for (uint32_t rank = 0; rank < 2; ++rank) {
    if (rank)
      maker.beginProgram();
    maker.plan.ranks[rank]->program = rank;
    x[rank] = maker.work({1, 16});
    uint32_t y = maker.work({1, 16});
    if (rank == 0)
      maker.send(1, 7, x[rank]), maker.recv(1, 8, y);
    else
      maker.recv(-1, 7, y), maker.send(-1, 8, y);
    maker.program().instructions.front()->stream = 1;
    maker.copy(y, x[rank]);
    maker.program().instructions.back()->waits = {0};
  }
  maker.input("x", {static_cast<int32_t>(x[0]), static_cast<int32_t>(x[1])});
  maker.output("y", {static_cast<int32_t>(x[0]), static_cast<int32_t>(x[1])});
  return maker;
}

/// A stage of two ranks that hold rows, and one of a single rank that gets all.
PlanMaker unequalStages() {
  PlanMaker maker(3);
  maker.plan.ranks[2]->program = 1;
  uint32_t rows = maker.transfer({1, 8}, {piece(0, 2, 0, 0), piece(1, 2, 0, 1)}), x = maker.work({1, 8});
  maker.sendBy(rows, 7, x);
  maker.beginProgram();
  uint32_t y = maker.work({2, 8}), z = maker.work({1, 8});
  maker.recvBy(rows, 7, y);
  maker.copy(y, z);
  maker.input("x", {static_cast<int32_t>(x), static_cast<int32_t>(x), static_cast<int32_t>(z)});
  maker.output("y", {static_cast<int32_t>(x), static_cast<int32_t>(x), static_cast<int32_t>(z)});
  return maker;
}

PlanMaker weights() {
  PlanMaker maker(2);
  uint32_t x = maker.work({1, 64}), y = maker.work({1, 64}), w = maker.weights({64}, std::vector<float>(64)),
           both = maker.groups({{0, 1}});
  maker.copy(w, y);
  maker.collective(CollectiveKind::all_reduce, both, y, y).reduce = plan::ReduceKind::max;
  addPorts(maker, x, y);
  std::string bytes = hostile::seedWeights();
  XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  maker.plan.weights_file = "weights.bin";
  maker.plan.weights_bytes = bytes.size();
  maker.plan.weights_hash_low = hash.low64, maker.plan.weights_hash_high = hash.high64;
  return maker;
}

/// A weight that an init instruction copies from a source.
PlanMaker sliced() {
  PlanMaker maker = weights();
  plan::ProgramT &program = maker.program();
  auto source = std::make_unique<plan::SourceT>();
  source->file = "weights.bin", source->offset = 128, source->bytes = 256;
  maker.plan.sources.push_back(std::move(source));
  uint32_t from = maker.work({64}), to = static_cast<uint32_t>(program.buffers.size());
  program.buffers[from]->space = plan::Space::source, program.buffers[from]->offset = 0;
  program.buffers.push_back(std::make_unique<plan::BufferT>(*program.buffers[2]));
  maker.copy(from, to);
  program.init.push_back(std::move(program.instructions.back()));
  program.instructions.pop_back();
  maker.plan.weights_file.clear();
  return maker;
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 2)
    return std::cerr << "usage: plan-seeds FOLDER\n", 1;
  using Maker = PlanMaker (*)();
  for (auto [name, make] : {std::pair<const char *, Maker>{"collectives", collectives},
                            {"stages", stages},
                            {"unequal-stages", unequalStages},
                            {"weights", weights},
                            {"sliced", sliced}}) {
    PlanMaker maker = make();
    flatbuffers::FlatBufferBuilder builder;
    plan::FinishPlanBuffer(builder, plan::Plan::Pack(builder, &maker.plan));
    std::ofstream(std::string(argv[1]) + "/" + name, std::ios::binary)
        .write(reinterpret_cast<const char *>(builder.GetBufferPointer()), builder.GetSize());
  }
  return 0;
}
