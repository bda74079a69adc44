// Collectives, straight from their descriptions in CollOps.td.
#include "Collectives.h"
#include "Devices.h"
#include "Reduce.h"
#include "mpopt/Dialect/Coll/Coll.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::interp;

namespace {

SmallVector<StringAttr> axesOf(ArrayAttr axes) { return llvm::to_vector(axes.getAsRange<StringAttr>()); }

/// Elements [begin, begin + size) of `dim`; `fill` where the input has none.
Tensor window(const Tensor &input, int64_t dim, int64_t begin, int64_t size, double fill) {
  SmallVector<int64_t> shape(input.shape);
  shape[dim] = size;
  Tensor result = Tensor::zeros(input.element, shape);
  forEachIndex(shape, [&](ArrayRef<int64_t> index, int64_t i) {
    SmallVector<int64_t> at(index);
    at[dim] += begin;
    if (at[dim] >= 0 && at[dim] < input.shape[dim])
      result.copy(i, input, input.at(at));
    else
      result.setNumber(i, fill);
  });
  return result;
}

Tensor join(ArrayRef<Tensor> parts, int64_t dim) {
  SmallVector<int64_t> shape(parts[0].shape);
  shape[dim] = 0;
  for (const Tensor &part : parts)
    shape[dim] += part.shape[dim];
  Tensor result = Tensor::zeros(parts[0].element, shape);
  int64_t before = 0;
  for (const Tensor &part : parts) {
    forEachIndex(part.shape, [&](ArrayRef<int64_t> index, int64_t i) {
      SmallVector<int64_t> at(index);
      at[dim] += before;
      result.copy(result.at(at), part, i);
    });
    before += part.shape[dim];
  }
  return result;
}

Tensor reduceAll(ArrayRef<Tensor> parts, shd::ReduceKind kind) {
  Tensor result = parts[0];
  for (const Tensor &part : parts.drop_front())
    for (int64_t i = 0; i < result.size(); ++i)
      reduceInto(kind, result, i, part, i);
  return result;
}

/// Results of one group, from its members' inputs in group order, and indices where there are some.
class GroupRun {
public:
  GroupRun(ArrayRef<Tensor> in, ArrayRef<Tensor> indices)
      : in(in), indices(indices), size(static_cast<int64_t>(in.size())) {}

  std::vector<Tensor> run(Operation *op) {
    return llvm::TypeSwitch<Operation *, std::vector<Tensor>>(op)
        .Case<coll::AllReduceOp, coll::AllGatherOp, coll::ReduceScatterOp, coll::AllToAllOp, coll::PermuteOp,
              coll::HaloOp, coll::SliceOp, coll::MaskPadOp, coll::KeepFirstOp, coll::DispatchOp, coll::CombineOp>(
            [&](auto typed) {
              auto type = cast<RankedTensorType>(typed.getResult().getType());
              std::vector<Tensor> out;
              for (int64_t place = 0; place < size; ++place)
                out.push_back(result(typed, type.getShape(), place));
              return out;
            })
        .Default([](Operation *) { return std::vector<Tensor>(); });
  }

private:
  Tensor result(coll::AllReduceOp op, ArrayRef<int64_t>, int64_t) { return reduceAll(in, op.getReduce()); }
  Tensor result(coll::AllGatherOp op, ArrayRef<int64_t> shape, int64_t) {
    return window(join(in, op.getDim()), op.getDim(), 0, shape[op.getDim()], 0);
  }
  Tensor result(coll::ReduceScatterOp op, ArrayRef<int64_t> shape, int64_t place) {
    int64_t local = shape[op.getDim()];
    return window(reduceAll(in, op.getReduce()), op.getDim(), place * local, local, 0);
  }
  Tensor result(coll::AllToAllOp op, ArrayRef<int64_t> shape, int64_t place) {
    int64_t local = (in[0].shape[op.getSplitDim()] + size - 1) / size;
    std::vector<Tensor> blocks;
    for (const Tensor &part : in)
      blocks.push_back(
          window(part, op.getSplitDim(), place * blockSize(op, shape, local), blockSize(op, shape, local), 0));
    return window(join(blocks, op.getConcatDim()), op.getConcatDim(), 0, shape[op.getConcatDim()], 0);
  }
  /// Blocks may be larger than an even split when the dimension is split in units of several elements.
  static int64_t blockSize(coll::AllToAllOp op, ArrayRef<int64_t> shape, int64_t even) {
    return op.getSplitDim() == op.getConcatDim() ? even : shape[op.getSplitDim()];
  }
  Tensor result(coll::PermuteOp op, ArrayRef<int64_t>, int64_t place) { return in[op.getSources()[place]]; }
  Tensor result(coll::HaloOp op, ArrayRef<int64_t> shape, int64_t place) {
    int64_t dim = op.getDim(), begin = place * in[0].shape[dim] - static_cast<int64_t>(op.getLow());
    return window(join(in, dim), dim, begin, shape[dim], op.getValue().convertToDouble());
  }
  Tensor result(coll::SliceOp op, ArrayRef<int64_t> shape, int64_t place) {
    int64_t local = shape[op.getDim()];
    return window(in[place], op.getDim(), place * local, local, 0);
  }
  Tensor result(coll::MaskPadOp op, ArrayRef<int64_t> shape, int64_t place) {
    int64_t dim = op.getDim(), local = shape[dim];
    int64_t real = std::clamp<int64_t>(static_cast<int64_t>(op.getSize()) - place * local, 0, local);
    return window(window(in[place], dim, 0, real, 0), dim, 0, local, op.getValue().convertToDouble());
  }
  Tensor result(coll::KeepFirstOp, ArrayRef<int64_t>, int64_t place) {
    return place == 0 ? in[0] : Tensor::zeros(in[0].element, in[0].shape);
  }
  /// What the device does not get is worse than any number.
  Tensor result(coll::DispatchOp op, ArrayRef<int64_t> shape, int64_t place) {
    Tensor out = Tensor::zeros(in[0].element, shape);
    int64_t rows = shape[0] / size;
    forEachIndex(shape, [&](ArrayRef<int64_t> index, int64_t i) {
      int64_t from = index[0] / rows;
      if (isChosen(op.getExperts(), index[0], place, place))
        out.copy(i, in[from], in[from].at({index[0] % rows, index[1]}));
      else
        out.setNumber(i, std::numeric_limits<double>::quiet_NaN());
    });
    return out;
  }
  Tensor result(coll::CombineOp op, ArrayRef<int64_t> shape, int64_t place) {
    Tensor out = Tensor::zeros(in[0].element, shape);
    forEachIndex(shape, [&](ArrayRef<int64_t> index, int64_t i) {
      int64_t row = place * shape[0] + index[0];
      for (int64_t from = 0; from < size; ++from)
        if (isChosen(op.getExperts(), row, from, place))
          reduceInto(shd::ReduceKind::Sum, out, i, in[from], in[from].at({row, index[1]}));
    });
    return out;
  }
  /// Whether a row's experts, as device `asked` knows them, are partly those of `device`.
  bool isChosen(int64_t experts, int64_t row, int64_t device, int64_t asked) const {
    const Tensor &known = indices[asked];
    for (int64_t choice = 0; choice < known.shape[1]; ++choice) {
      int64_t expert = known.ints[known.at({row, choice})];
      if (expert >= 0 && expert / experts == device)
        return true;
    }
    return false;
  }

  ArrayRef<Tensor> in, indices;
  int64_t size;
};

/// Whether results have the shapes that the descriptions give.
LogicalResult checkShapes(Operation *op, int64_t group) {
  auto shapeOf = [](Value value) { return cast<RankedTensorType>(value.getType()).getShape(); };
  auto fail = [&](const Twine &why) { return op->emitError() << why; };
  auto differOnlyIn = [&](ArrayRef<int64_t> dims) {
    ArrayRef<int64_t> from = shapeOf(op->getOperand(0)), to = shapeOf(op->getResult(0));
    for (size_t i = 0; i < std::max(from.size(), to.size()); ++i)
      if (from.size() != to.size() || (from[i] != to[i] && !llvm::is_contained(dims, static_cast<int64_t>(i))))
        return false;
    return true;
  };
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case<coll::AllGatherOp, coll::ReduceScatterOp, coll::SliceOp, coll::HaloOp>([&](auto typed) -> LogicalResult {
        int64_t dim = typed.getDim();
        return differOnlyIn({dim}) ? success() : fail("shapes differ outside of the dimension");
      })
      .Case([&](coll::AllToAllOp typed) -> LogicalResult {
        return differOnlyIn({static_cast<int64_t>(typed.getSplitDim()), static_cast<int64_t>(typed.getConcatDim())})
                   ? success()
                   : fail("shapes differ outside of the dimensions");
      })
      .Case<coll::DispatchOp, coll::CombineOp>([&](auto typed) -> LogicalResult {
        ArrayRef<int64_t> from = shapeOf(typed.getInput()), to = shapeOf(typed.getResult()),
                          indices = shapeOf(typed.getIndices());
        int64_t rows = std::max(from[0], to[0]);
        return differOnlyIn({0}) && indices[0] == rows && std::min(from[0], to[0]) * group == rows
                   ? success()
                   : fail("rows are not those of all devices");
      })
      .Case([&](coll::PermuteOp typed) -> LogicalResult {
        for (int64_t source : typed.getSources())
          if (source < 0 || source >= group || static_cast<int64_t>(typed.getSources().size()) != group)
            return fail("sources are not places in the group");
        return success();
      })
      .Default(success());
}

} // namespace

FailureOr<std::vector<Tensor>>
mpopt::interp::evaluateCollective(Operation *op, ArrayRef<const std::vector<Tensor> *> operands, shd::MeshAttr mesh) {
  auto axes = op->getAttrOfType<ArrayAttr>("axes");
  if (!axes)
    return op->emitError("is not a collective");
  Groups groups(mesh, axesOf(axes));
  std::vector<Tensor> results(mesh.getNumDevices(), Tensor::zeros(op->getResult(0).getType()));
  if (auto index = dyn_cast<coll::IndexOp>(op)) {
    for (auto [device, result] : llvm::enumerate(results))
      result.ints[0] = groups.place(static_cast<int64_t>(device)) * static_cast<int64_t>(index.getScale());
    return results;
  }
  if (operands.empty() || failed(checkShapes(op, static_cast<int64_t>(groups.group(0).size()))))
    return failure();
  for (int64_t g = 0; g < groups.count(); ++g) {
    std::vector<Tensor> in, indices;
    for (int64_t device : groups.group(g)) {
      in.push_back((*operands[0])[device]);
      if (operands.size() > 1)
        indices.push_back((*operands[1])[device]);
    }
    std::vector<Tensor> out = GroupRun(in, indices).run(op);
    if (out.empty())
      return op->emitError("the interpreter does not know this operation");
    for (auto [place, device] : llvm::enumerate(groups.group(g)))
      results[device] = std::move(out[place]);
  }
  return results;
}
