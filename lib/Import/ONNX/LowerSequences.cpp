// ONNX's sequences and optional values: lists that are known when the model is imported, of which nothing is left.
#include "Node.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

// A sequence is the result of an unrealized cast of its elements to a tuple. It goes through branches, loops and functions like
// any value; once its elements are taken it has no use.

bool mpopt::onnx::isSequence(Value value) { return value && isa<TupleType>(value.getType()) && !isRun(value); }

bool mpopt::onnx::takesSequences(StringRef op) {
  return op.starts_with("Sequence") || op == "ConcatFromSequence" || op.starts_with("Optional") || op == "Identity";
}

namespace {

Value sequenceOf(Node &n, ArrayRef<Value> elements) {
  return n.hasFailed() || llvm::is_contained(elements, Value()) ? Value() : n.pack(elements);
}

/// The elements of input i; nullopt (with an error) where it is no sequence.
std::optional<SmallVector<Value>> elementsOf(Node &n, unsigned i) {
  Value value = n.in(i);
  if (value && !isSequence(value))
    n.fail() << "input " << i << " of ONNX operator " << n.op << " must be a sequence, not " << value.getType();
  if (!value || n.hasFailed())
    return std::nullopt;
  return SmallVector<Value>(value.getDefiningOp()->getOperands());
}

/// Input i as a place in a sequence, from the end when negative; `otherwise` where it is absent.
std::optional<int64_t> placeOf(Node &n, unsigned i, int64_t count, int64_t otherwise, bool end) {
  if (!n.has(i))
    return otherwise;
  auto place = n.ints(i, "position");
  if (place && place->size() != 1)
    n.fail() << "ONNX operator " << n.op << " needs one position";
  if (n.hasFailed())
    return std::nullopt;
  int64_t at = n.axis(place->front(), count, end);
  return n.hasFailed() ? std::nullopt : std::optional(at);
}

void lowerConstruct(Node &n) {
  for (auto [i, input] : llvm::enumerate(n.inputs))
    if (isSequence(input))
      return void(n.fail() << "ONNX operator SequenceConstruct cannot hold other sequences");
  n.give(sequenceOf(n, n.inputs));
}

void lowerEmpty(Node &n) { n.give(sequenceOf(n, {})); }

void lowerInsert(Node &n) {
  auto elements = elementsOf(n, 0);
  Value added = n.in(1);
  if (isSequence(added))
    n.fail() << "ONNX operator SequenceInsert cannot insert a sequence";
  if (!elements || n.hasFailed())
    return;
  int64_t count = static_cast<int64_t>(elements->size());
  if (auto place = placeOf(n, 2, count, count, /*end=*/true)) {
    elements->insert(elements->begin() + *place, added);
    n.give(sequenceOf(n, *elements));
  }
}

void lowerErase(Node &n) {
  auto elements = elementsOf(n, 0);
  if (!elements)
    return;
  if (elements->empty())
    return void(n.fail() << "ONNX operator SequenceErase of an empty sequence");
  int64_t count = static_cast<int64_t>(elements->size());
  if (auto place = placeOf(n, 1, count, count - 1, /*end=*/false)) {
    elements->erase(elements->begin() + *place);
    n.give(sequenceOf(n, *elements));
  }
}

void lowerAt(Node &n) {
  auto elements = elementsOf(n, 0);
  if (!elements || !n.in(1))
    return;
  if (auto place = placeOf(n, 1, static_cast<int64_t>(elements->size()), 0, /*end=*/false))
    n.give((*elements)[*place]);
}

void lowerLength(Node &n) {
  if (auto elements = elementsOf(n, 0))
    n.give(n.splat(static_cast<double>(elements->size()), IntegerType::get(n.context(), 64)));
}

/// Elements joined along an axis, or stacked along a new one.
void lowerConcat(Node &n) {
  auto elements = elementsOf(n, 0);
  if (!elements)
    return;
  if (elements->empty())
    return void(n.fail() << "ONNX operator ConcatFromSequence of an empty sequence");
  bool stacks = n.intAttr("new_axis", 0);
  int64_t rank = Build::rankOf(elements->front()), axis = n.axis(n.intAttr("axis", 0), rank + (stacks ? 1 : 0));
  for (Value &element : *elements) {
    SmallVector<int64_t> shape(Build::shapeOf(element));
    if (n.hasFailed() || static_cast<int64_t>(shape.size()) != rank)
      return void(n.fail() << "the elements that ONNX operator ConcatFromSequence joins differ in rank");
    shape.insert(shape.begin() + axis, 1);
    if (stacks)
      element = n.reshape(element, shape);
  }
  n.give(n.concat(*elements, axis));
}

void lowerSplit(Node &n) {
  Value x = n.in(0);
  if (!x)
    return;
  int64_t axis = n.axis(n.intAttr("axis", 0), Build::rankOf(x)), left = n.hasFailed() ? 0 : Build::shapeOf(x)[axis];
  bool drops = !n.has(1) && !n.intAttr("keepdims", 1), isUniform = !n.has(1) || Build::rankOf(n.opt(1)) == 0;
  auto given = n.has(1) ? n.ints(1, "split") : std::optional(SmallVector<int64_t>{1});
  if (n.hasFailed() || !given)
    return;
  SmallVector<int64_t> sizes(isUniform ? SmallVector<int64_t>() : *given);
  if (isUniform && given->front() < 1)
    return void(n.fail() << "ONNX operator SplitToSequence splits in parts of " << given->front());
  constexpr int64_t kMostParts = 1 << 16;
  if (isUniform && left / given->front() > kMostParts)
    return void(n.fail() << "ONNX operator SplitToSequence makes " << left / given->front() << " parts of "
                         << x.getType() << ", more than " << kMostParts << kExportAnew);
  for (int64_t rest = left; isUniform && rest > 0; rest -= given->front())
    sizes.push_back(std::min(rest, given->front()));
  SmallVector<Value> parts;
  int64_t start = 0;
  for (int64_t size : sizes) {
    if (size < 0 || start + size > left)
      return void(n.fail() << "the parts of ONNX operator SplitToSequence exceed " << x.getType());
    Value part = n.slice(x, axis, start, size);
    SmallVector<int64_t> shape(Build::shapeOf(part));
    shape.erase(shape.begin() + axis);
    parts.push_back(drops ? n.reshape(part, shape) : part);
    start += size;
  }
  if (start != left)
    return void(n.fail() << "the parts of ONNX operator SplitToSequence do not cover " << x.getType());
  n.give(sequenceOf(n, parts));
}

/// An optional value that is there is the value.
void lowerOptional(Node &n) {
  if (n.inputs.empty())
    return void(n.fail() << "ONNX operator Optional without a value is not supported" << kExportAnew);
  n.give(n.in(0));
}

void lowerHasElement(Node &n) { n.give(n.splat(n.has(0) ? 1 : 0, IntegerType::get(n.context(), 1))); }

} // namespace

void mpopt::onnx::addSequences(LoweringTable &table) {
  table["SequenceConstruct"] = lowerConstruct;
  table["SequenceEmpty"] = lowerEmpty;
  table["SequenceInsert"] = lowerInsert;
  table["SequenceErase"] = lowerErase;
  table["SequenceAt"] = lowerAt;
  table["SequenceLength"] = lowerLength;
  table["ConcatFromSequence"] = lowerConcat;
  table["SplitToSequence"] = lowerSplit;
  table["Optional"] = lowerOptional;
  table["OptionalGetElement"] = lowerOptional;
  table["OptionalHasElement"] = lowerHasElement;
}
