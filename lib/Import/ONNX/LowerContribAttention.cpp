// Attention operators of the domain com.microsoft: Attention, MultiHeadAttention, GroupQueryAttention.
#include "Node.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

namespace {

/// Refuses what the lowerings below do not know.
bool refuse(Node &n, bool unknown, StringRef what) {
  if (unknown && !n.hasFailed())
    n.fail() << "ONNX operator com.microsoft:" << n.op << " with " << what << " is not supported" << kExportAnew;
  return n.hasFailed();
}

/// Position j of [.., keys] below a count of [batch] keys: [batch, 1, 1, keys].
Value keysBelow(Node &n, Value count, int64_t keys) {
  Type i64 = IntegerType::get(n.context(), 64);
  Value place = n.iota(RankedTensorType::get({1, 1, 1, keys}, i64), 3, 0, 1);
  int64_t batch = Build::typeOf(count).getNumElements();
  return n.compare(nn::Predicate::Lt, place, n.reshape(n.cast(count, i64), {batch, 1, 1, 1}));
}

/// What hides keys: [batch] counts, or 0 and 1 as [batch, keys] or [batch, queries, keys].
Value paddingMask(Node &n, Value mask, int64_t batch, int64_t queries, int64_t keys) {
  if (!mask)
    return nullptr;
  SmallVector<int64_t> shape(Build::shapeOf(mask));
  if (shape.size() == 1 && shape[0] == batch)
    return keysBelow(n, mask, keys);
  SmallVector<int64_t> wide(shape);
  if (shape.size() == 2 && shape[1] == keys)
    wide = {shape[0], 1, 1, keys};
  else if (shape.size() == 3 && shape[1] == queries && shape[2] == keys)
    wide = {shape[0], 1, queries, keys};
  else if (shape.size() != 4)
    return refuse(n, true, "a mask of this shape"), nullptr;
  return n.cast(n.reshape(mask, wide), IntegerType::get(n.context(), 1));
}

/// A padding mask (bool) and a bias to add (float), either null, as one float mask. Hidden keys get the node's filter value
/// added, as in ONNX Runtime: a row of hidden keys alone then attends to all.
Value joined(Node &n, Value shown, Value bias, Value like) {
  if (!shown)
    return bias;
  double filter = n.floatAttr("mask_filter_value", -10000);
  Value added = n.select(shown, n.like(like, 0), n.like(like, filter));
  return bias ? n.add(bias, added) : added;
}

/// past, [2, batch, heads, length, d]: part 0 (keys) or 1 (values).
Value pastPart(Node &n, Value past, int64_t part) {
  Value slice = n.slice(past, 0, part, 1);
  return slice ? n.reshape(slice, Build::shapeOf(past).drop_front()) : slice;
}

/// q, k and v from one product: input x, weights, bias, mask, past, attention bias.
void lowerPackedAttention(Node &n) {
  Value x = n.in(0), weights = n.in(1);
  int64_t heads = n.intAttr("num_heads", 0);
  if (!x || !weights ||
      refuse(n, Build::rankOf(x) != 3 || heads < 1 || n.intAttr("do_rotary", 0) || n.has(6), "these attributes"))
    return;
  Value all = n.matmul(x, weights);
  if (n.has(2))
    all = n.add(all, n.opt(2));
  if (!all)
    return;
  int64_t total = Build::shapeOf(all)[2];
  SmallVector<int64_t> sizes = n.intsAttr("qkv_hidden_sizes").value_or(SmallVector<int64_t>(3, total / 3));
  if (refuse(n, sizes.size() != 3 || sizes[0] + sizes[1] + sizes[2] != total, "these hidden sizes"))
    return;
  Value q = splitHeads(n, n.slice(all, 2, 0, sizes[0]), heads);
  Value k = splitHeads(n, n.slice(all, 2, sizes[0], sizes[1]), heads);
  Value v = splitHeads(n, n.slice(all, 2, sizes[0] + sizes[1], sizes[2]), heads), present;
  int64_t past = 0;
  if (Value given = n.opt(4)) {
    past = Build::shapeOf(given)[3];
    k = n.concat({pastPart(n, given, 0), k}, 2);
    v = n.concat({pastPart(n, given, 1), v}, 2);
  }
  if (!q || !k || !v)
    return;
  ArrayRef<int64_t> s = Build::shapeOf(k), shape = Build::shapeOf(x);
  if (n.wants(1)) {
    SmallVector<int64_t> one{1, s[0], s[1], s[2], s[3]};
    present = n.concat({n.reshape(k, one), n.reshape(v, one)}, 0);
  }
  Value mask = joined(n, paddingMask(n, n.opt(3), shape[0], shape[1], s[2]), n.opt(5), q);
  AttentionOptions options{n.floatAttr("scale", 0), 0, {}};
  if (n.intAttr("unidirectional", 0))
    options.causalOffset = past;
  n.give({mergeHeads(n, attend(n, q, k, v, mask, options)), present});
}

/// [batch, length, hidden] plus a part of the bias, as heads; [batch, heads, length, d] as it is.
Value headsOf(Node &n, Value x, int64_t heads, Value bias, int64_t start) {
  if (!x || Build::rankOf(x) == 4)
    return x;
  if (bias)
    x = n.add(x, n.slice(bias, 0, start, Build::shapeOf(x).back()));
  return splitHeads(n, x, heads);
}

/// Inputs: query, key, value, bias, key padding mask, attention bias, past key, past value.
void lowerMultiHeadAttention(Node &n) {
  Value query = n.in(0), key = n.opt(1), value = n.opt(2);
  int64_t heads = n.intAttr("num_heads", 0);
  if (!query || refuse(n, Build::rankOf(query) != 3 || !key || !value || heads < 1 || n.has(8),
                       "packed inputs or a shared cache"))
    return;
  int64_t hidden = Build::shapeOf(query)[2];
  Value q = headsOf(n, query, heads, n.opt(3), 0), k = headsOf(n, key, heads, n.opt(3), hidden);
  Value v = headsOf(n, value, heads, n.opt(3), 2 * hidden);
  int64_t past = n.has(6) ? Build::shapeOf(n.opt(6))[2] : 0;
  if (n.has(6) && n.has(7)) {
    k = n.concat({n.opt(6), k}, 2);
    v = n.concat({n.opt(7), v}, 2);
  }
  if (!q || !k || !v)
    return;
  Value shown = paddingMask(n, n.opt(4), Build::shapeOf(q)[0], Build::shapeOf(q)[2], Build::shapeOf(k)[2]);
  AttentionOptions options{n.floatAttr("scale", 0), 0, {}};
  if (n.intAttr("unidirectional", 0))
    options.causalOffset = past;
  Value mask = joined(n, shown, n.opt(5), q);
  n.give({mergeHeads(n, attend(n, q, k, v, mask, options)), k, v});
}

/// The cache of a GroupQueryAttention: a row of the batch has `before` keys of the past, then its new ones, then what is never seen.
/// One row has all of the past. Of several, each has as many as it says (seqlens_k + 1 - new ones).
struct RowCache {
  int64_t past, length, keys;
  Value before; // i64 [batch, 1], or null where every row has all of the past

  RowCache(Node &n, Value pastKeys, Value counts, int64_t batch, int64_t length)
      : past(pastKeys ? Build::shapeOf(pastKeys)[2] : 0), length(length), keys(past + length) {
    if (past && batch > 1 && counts) {
      Value total = n.reshape(n.cast(counts, index(n)), {batch, 1});
      before = n.add(total, n.like(total, 1.0 - static_cast<double>(length)));
    }
  }

  static Type index(Node &n) { return IntegerType::get(n.context(), 64); }
  Value steps(Node &n, int64_t count, double start) const {
    return n.iota(RankedTensorType::get({1, count}, index(n)), 1, start, 1);
  }

  /// Places of the new keys: [batch, length], or one row for all.
  Value positions(Node &n) const {
    return before ? n.add(steps(n, length, 0), before) : steps(n, length, static_cast<double>(past));
  }

  /// The past of all rows and the new keys, [batch, heads, length, d], each row without a gap.
  Value append(Node &n, Value old, Value fresh) const {
    Value all = n.concat({old, fresh}, 2);
    if (!before || !all)
      return all;
    SmallVector<int64_t> shape(Build::shapeOf(all));
    Value place = n.broadcast(steps(n, keys, 0), {shape[0], keys});
    Value shifted = n.sub(n.add(place, n.like(place, static_cast<double>(past))), before);
    Value last = n.like(place, static_cast<double>(keys - 1));
    Value from = n.select(n.compare(nn::Predicate::Lt, place, before), place, n.make<nn::MinOp>({shifted, last}));
    from = n.broadcast(n.reshape(from, {shape[0], 1, keys, 1}), shape);
    return n.make<nn::GatherElementsOp>({all, from}, {n.integer("axis", 2)});
  }

  /// How key j's place compares with query i's less `back`: bool [batch or 1, 1, length, keys].
  Value compareToQuery(Node &n, nn::Predicate predicate, int64_t back) const {
    Value place = positions(n), key = n.reshape(steps(n, keys, 0), {1, 1, 1, keys});
    place = n.reshape(place, {Build::shapeOf(place)[0], 1, length, 1});
    return n.compare(predicate, key, n.sub(place, n.like(place, static_cast<double>(back))));
  }
};

/// Inputs: query, key, value, past key, past value, keys per row less 1 (seqlens_k), longest row, cos and sin caches,
/// positions, attention bias. The cache grows; one that is shared between past and present is refused by its shape.
void lowerGroupQueryAttention(Node &n) {
  Value query = n.in(0), key = n.opt(1), value = n.opt(2);
  int64_t heads = n.intAttr("num_heads", 0), kvHeads = n.intAttr("kv_num_heads", 0);
  if (!query || refuse(n, Build::rankOf(query) != 3 || heads < 1 || kvHeads < 1 || n.has(11), "these inputs"))
    return;
  int64_t batch = Build::shapeOf(query)[0], length = Build::shapeOf(query)[1];
  if (!key) { // packed: heads of q, then of k, then of v
    int64_t d = Build::shapeOf(query)[2] / (heads + 2 * kvHeads);
    key = n.slice(query, 2, heads * d, kvHeads * d);
    value = n.slice(query, 2, (heads + kvHeads) * d, kvHeads * d);
    query = n.slice(query, 2, 0, heads * d);
  }
  Value q = splitHeads(n, query, heads), k = splitHeads(n, key, kvHeads), v = splitHeads(n, value, kvHeads);
  RowCache cache(n, n.opt(3), n.opt(5), batch, length);
  if (n.intAttr("do_rotary", 0)) {
    Value positions = n.has(9) ? n.opt(9) : n.broadcast(cache.positions(n), {batch, length});
    bool interleaved = n.intAttr("rotary_interleaved", 0);
    q = rotateHeads(n, q, n.in(7), n.in(8), positions, interleaved);
    k = rotateHeads(n, k, n.opt(7), n.opt(8), positions, interleaved);
  }
  if (cache.past && n.has(4)) {
    k = cache.append(n, n.opt(3), k);
    v = cache.append(n, n.opt(4), v);
  }
  if (!q || !k || !v)
    return;
  AttentionOptions options{n.floatAttr("scale", 0), n.floatAttr("softcap", 0), {}};
  Value mask = n.opt(10), shown;
  if (cache.before)
    shown = cache.compareToQuery(n, nn::Predicate::Le, 0);
  else
    options.causalOffset = cache.past;
  if (int64_t window = n.intAttr("local_window_size", -1); window > 0) {
    Value inside = cache.compareToQuery(n, nn::Predicate::Ge, window - 1);
    shown = shown ? n.make<nn::AndOp>({shown, inside}) : inside;
  }
  if (shown)
    mask = mask ? n.add(mask, n.select(shown, n.like(mask, 0), n.like(mask, -1e30))) : shown;
  n.give({mergeHeads(n, attend(n, q, k, v, mask, options)), k, v});
}

} // namespace

void mpopt::onnx::addContribAttention(LoweringTable &table) {
  table["com.microsoft:Attention"] = lowerPackedAttention;
  table["com.microsoft:MultiHeadAttention"] = lowerMultiHeadAttention;
  table["com.microsoft:GroupQueryAttention"] = lowerGroupQueryAttention;
}
