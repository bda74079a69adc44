// ONNX attention and rotary embedding.
#include "Node.h"
#include <cmath>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

namespace {

/// The mask padded along the keys, with what hides a key, to `length`.
Value padMask(Node &n, Value mask, int64_t length) {
  int64_t last = mask && Build::rankOf(mask) ? Build::shapeOf(mask).back() : length;
  if (last >= length || last == 1)
    return mask;
  SmallVector<int64_t> shape(Build::shapeOf(mask));
  shape.back() = length - last;
  Value hidden = n.splat(Build::isFloat(mask) ? -INFINITY : 0, Build::elementOf(mask), shape);
  return n.concat({mask, hidden}, Build::rankOf(mask) - 1);
}

/// The mask, or null, hiding also what is not inside.
Value narrowed(Node &n, Value mask, Value inside) {
  if (!mask || !Build::isFloat(mask))
    return mask ? n.make<nn::AndOp>({mask, inside}) : inside;
  return n.add(mask, n.select(inside, n.like(mask, 0), n.like(mask, -INFINITY)));
}

/// Where the queries stand among the keys: past + i, or with nonpad_kv_seqlen, per row, the last of its keys for the last query.
Value queryPlaces(Node &n, int64_t queries, int64_t past) {
  Type i64 = IntegerType::get(n.context(), 64);
  if (!n.has(6))
    return n.iota(RankedTensorType::get({queries, 1}, i64), 0, static_cast<double>(past), 1);
  Value count = n.cast(n.opt(6), i64),
        query = n.iota(RankedTensorType::get({1, 1, queries, 1}, i64), 2, static_cast<double>(-queries), 1);
  return n.add(query, n.reshape(count, {Build::typeOf(count).getNumElements(), 1, 1, 1}));
}

/// The mask, or null, narrowed to keys from `left` before to `right` after a query's place (a bound below 0 is none), and to
/// the keys that each row has.
Value windowMask(Node &n, Value mask, int64_t queries, int64_t keys, int64_t past) {
  int64_t left = n.intAttr("left_window_size", -1), right = n.intAttr("right_window_size", -1);
  if (n.has(6) && n.intAttr("is_causal", 0))
    right = right < 0 ? 0 : std::min<int64_t>(right, 0);
  Type i64 = IntegerType::get(n.context(), 64);
  Value key = n.iota(RankedTensorType::get({1, keys}, i64), 1, 0, 1), place = queryPlaces(n, queries, past);
  auto narrow = [&](nn::Predicate predicate, Value bound) {
    mask = narrowed(n, mask, n.compare(predicate, key, bound));
  };
  if (left >= 0)
    narrow(nn::Predicate::Ge, n.sub(place, n.like(place, static_cast<double>(left))));
  if (right >= 0)
    narrow(nn::Predicate::Le, n.add(place, n.like(place, static_cast<double>(right))));
  if (Value count = n.opt(6))
    narrow(nn::Predicate::Lt, n.reshape(n.cast(count, i64), {Build::typeOf(count).getNumElements(), 1, 1, 1}));
  return mask;
}

void lowerAttention(Node &n) {
  Value q = n.in(0), k = n.in(1), v = n.in(2);
  if (!q || !k || !v)
    return;
  if (n.wants(3)) {
    n.fail() << "ONNX operator Attention with its fourth result, the scores, is not supported" << kExportAnew;
    return;
  }
  bool flat = Build::rankOf(q) == 3;
  if (flat) {
    q = splitHeads(n, q, n.intAttr("q_num_heads", 0));
    k = splitHeads(n, k, n.intAttr("kv_num_heads", 0));
    v = splitHeads(n, v, n.intAttr("kv_num_heads", 0));
  }
  int64_t past = n.has(4) && Build::rankOf(n.opt(4)) == 4 ? Build::shapeOf(n.opt(4))[2] : 0;
  if (n.has(4) && n.has(5)) {
    k = n.concat({n.opt(4), k}, 2);
    v = n.concat({n.opt(5), v}, 2);
  }
  if (!q || !k || !v || Build::rankOf(q) != 4 || Build::rankOf(k) != 4)
    return void(n.hasFailed() || (n.fail() << "ONNX operator Attention needs tensors of rank 3 or 4", true));
  int64_t queries = Build::shapeOf(q)[2], keys = Build::shapeOf(k)[2];
  AttentionOptions options{n.floatAttr("scale", 0), n.floatAttr("softcap", 0), {}};
  if (n.intAttr("is_causal", 0) && !n.has(6))
    options.causalOffset = past;
  Value result = attend(n, q, k, v, windowMask(n, padMask(n, n.opt(3), keys), queries, keys, past), options);
  n.give({flat ? mergeHeads(n, result) : result, k, v});
}

/// Rows of the caches at the positions: [batch, length, r / 2].
Value anglesAt(Node &n, Value cache, Value positions) { return positions ? n.gather(cache, positions, 0) : cache; }

void rotate(Node &n, Value x, Value cos, Value sin, int64_t heads) {
  if (!x || !cos || !sin)
    return;
  SmallVector<int64_t> shape(Build::shapeOf(x)), angles(Build::shapeOf(cos));
  bool flat = shape.size() == 3;
  if (angles.size() != 3 || (flat && (heads < 1 || shape[2] % heads))) {
    n.fail() << "ONNX operator " << n.op << " cannot rotate " << x.getType() << " by angles " << cos.getType();
    return;
  }
  if (flat)
    x = n.reshape(x, {shape[0], shape[1], heads, shape[2] / heads});
  angles.insert(angles.begin() + (flat ? 2 : 1), 1);
  SmallVector<NamedAttribute> attributes;
  if (n.intAttr("interleaved", 0))
    attributes.push_back(n.unit("interleaved"));
  Value result = n.make<nn::RotaryOp>({x, n.reshape(cos, angles), n.reshape(sin, angles)}, attributes);
  n.give(flat ? n.reshape(result, shape) : result);
}

void lowerRotaryEmbedding(Node &n) {
  Value positions = n.opt(3);
  rotate(n, n.in(0), anglesAt(n, n.in(1), positions), anglesAt(n, n.in(2), positions), n.intAttr("num_heads", 0));
}

/// Positions are [batch, length], or one offset from which on they count.
void lowerContribRotary(Node &n) {
  Value x = n.in(0), positions = n.in(1), cos = n.in(2), sin = n.in(3);
  if (!x || !positions || !cos || !sin)
    return;
  ArrayRef<int64_t> shape = Build::shapeOf(x);
  bool flat = shape.size() == 3;
  int64_t length = shape[flat ? 1 : 2], rotated = Build::shapeOf(cos).back() * 2;
  if (Build::typeOf(positions).getNumElements() == 1 && (length != 1 || Build::rankOf(positions) < 2)) {
    Value count = n.iota(RankedTensorType::get({1, length}, Build::elementOf(positions)), 1, 0, 1);
    positions = n.broadcast(n.add(n.reshape(positions, {1, 1}), count), {shape[0], length});
  }
  rotate(n, x, anglesAt(n, cos, positions), anglesAt(n, sin, positions),
         n.intAttr("num_heads", flat && rotated ? shape[2] / rotated : 0));
}

} // namespace

Value mpopt::onnx::splitHeads(Node &n, Value x, int64_t heads) {
  if (!x)
    return x;
  SmallVector<int64_t> s(Build::shapeOf(x));
  if (s.size() != 3 || heads < 1 || s[2] % heads) {
    n.fail() << "ONNX operator " << n.op << " cannot split " << x.getType() << " into " << heads << " heads";
    return nullptr;
  }
  return n.transpose(n.reshape(x, {s[0], s[1], heads, s[2] / heads}), {0, 2, 1, 3});
}

Value mpopt::onnx::mergeHeads(Node &n, Value x) {
  if (!x)
    return x;
  SmallVector<int64_t> s(Build::shapeOf(x));
  return n.reshape(n.transpose(x, {0, 2, 1, 3}), {s[0], s[2], s[1] * s[3]});
}

Value mpopt::onnx::attend(Node &n, Value q, Value k, Value v, Value mask, const AttentionOptions &options) {
  if (!q || !k || !v || Build::rankOf(q) != 4)
    return nullptr;
  SmallVector<Value> operands{q, k, v};
  if (mask)
    operands.push_back(mask);
  double scale = options.scale ? options.scale : 1 / std::sqrt(static_cast<double>(Build::shapeOf(q)[3]));
  SmallVector<NamedAttribute> attributes{n.number("scale", scale), n.unit("safe")};
  if (options.softcap)
    attributes.push_back(n.number("softcap", options.softcap));
  if (options.causalOffset) {
    attributes.push_back(n.unit("causal"));
    attributes.push_back(n.integer("causal_offset", *options.causalOffset));
  }
  return n.make<nn::AttentionOp>(operands, attributes);
}

Value mpopt::onnx::rotateHeads(Node &n, Value x, Value cos, Value sin, Value positions, bool interleaved) {
  Value c = anglesAt(n, cos, positions), s = anglesAt(n, sin, positions);
  if (!x || !c || !s)
    return nullptr;
  SmallVector<int64_t> angles(Build::shapeOf(c));
  angles.insert(angles.begin() + 1, 1);
  SmallVector<NamedAttribute> attributes;
  if (interleaved)
    attributes.push_back(n.unit("interleaved"));
  return n.make<nn::RotaryOp>({x, n.reshape(c, angles), n.reshape(s, angles)}, attributes);
}

void mpopt::onnx::addAttention(LoweringTable &table) {
  table["Attention"] = lowerAttention;
  table["RotaryEmbedding"] = lowerRotaryEmbedding;
  table["com.microsoft:RotaryEmbedding"] = lowerContribRotary;
}
