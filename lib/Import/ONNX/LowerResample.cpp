// ONNX operators that read an image at other places: Resize, GridSample, Pad by reflection.
#include "Node.h"
#include <cmath>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

namespace {

/// What one output position along an axis reads: places and weights.
struct Tap {
  int64_t place;
  double weight;
};
using Taps = SmallVector<Tap, 4>;

/// Resize's attributes and what it does along one axis.
struct Resizing {
  std::string mode, coordinates, nearest;
  double cubic = -0.75, outside = 0;
  bool antialias = false, excludeOutside = false;
};
struct Axis {
  int64_t in, out;
  double scale, roiStart = 0, roiEnd = 1;
};

/// Where an output position lies in the input, as ONNX defines coordinate_transformation_mode.
double sourceOf(const Resizing &how, const Axis &axis, int64_t position) {
  double x = static_cast<double>(position), in = static_cast<double>(axis.in);
  double out = in * axis.scale; // not rounded to whole elements
  if (how.coordinates == "asymmetric")
    return x / axis.scale;
  if (how.coordinates == "align_corners")
    return axis.out == 1 ? 0 : x * (in - 1) / (out - 1);
  if (how.coordinates == "pytorch_half_pixel")
    return axis.out == 1 ? 0 : (x + 0.5) / axis.scale - 0.5;
  if (how.coordinates == "tf_half_pixel_for_nn")
    return (x + 0.5) / axis.scale;
  if (how.coordinates == "tf_crop_and_resize")
    return axis.out == 1 ? 0.5 * (axis.roiStart + axis.roiEnd) * (in - 1)
                         : axis.roiStart * (in - 1) + x * (axis.roiEnd - axis.roiStart) * (in - 1) / (out - 1);
  if (how.coordinates == "half_pixel_symmetric") {
    double adjustment = static_cast<double>(axis.out) / out, center = in / 2;
    return center * (1 - adjustment) + (x + 0.5) / axis.scale - 0.5;
  }
  return (x + 0.5) / axis.scale - 0.5;
}

int64_t nearestOf(const Resizing &how, double x) {
  if (how.nearest == "floor")
    return static_cast<int64_t>(std::floor(x));
  if (how.nearest == "ceil")
    return static_cast<int64_t>(std::ceil(x));
  if (how.nearest == "round_prefer_ceil")
    return static_cast<int64_t>(std::floor(x + 0.5));
  return static_cast<int64_t>(std::ceil(x - 0.5));
}

/// The filter at distance t: a triangle, or the cubic of Keys with parameter a.
double filterAt(const Resizing &how, double t) {
  t = std::fabs(t);
  if (how.mode != "cubic")
    return std::max(0.0, 1 - t);
  double a = how.cubic;
  if (t < 1)
    return ((a + 2) * t - (a + 3)) * t * t + 1;
  return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
}

/// Places beyond the ends read the end's element.
Taps tapsOf(const Resizing &how, const Axis &axis, double x) {
  auto clamp = [&](int64_t place) { return std::clamp<int64_t>(place, 0, axis.in - 1); };
  if (how.mode == "nearest")
    return {{clamp(nearestOf(how, x)), 1}};
  double stretch = how.antialias && axis.scale < 1 ? axis.scale : 1, reach = (how.mode == "cubic" ? 2 : 1) / stretch;
  Taps taps;
  double sum = 0;
  for (int64_t place = static_cast<int64_t>(std::floor(x - reach)) + 1; static_cast<double>(place) < x + reach;
       ++place) {
    if (how.excludeOutside && place != clamp(place))
      continue;
    double weight = filterAt(how, (static_cast<double>(place) - x) * stretch);
    sum += weight;
    taps.push_back({clamp(place), weight});
  }
  for (Tap &tap : taps)
    tap.weight /= sum;
  return taps;
}

/// Every element `scale` times: a broadcast, which splits as the input does.
Value repeat(Node &n, Value x, int64_t axis, int64_t scale) {
  SmallVector<int64_t> split(Build::shapeOf(x)), merged(split);
  split.insert(split.begin() + axis + 1, 1);
  SmallVector<int64_t> wide(split);
  wide[axis + 1] = scale;
  merged[axis] *= scale;
  return n.reshape(n.broadcast(n.reshape(x, split), wide), merged);
}

/// A constant vector along one axis of rank `rank`.
Value alongAxis(Node &n, ArrayRef<double> values, Type element, int64_t axis, int64_t rank) {
  SmallVector<int64_t> shape(rank, 1);
  shape[axis] = static_cast<int64_t>(values.size());
  SmallVector<float> floats(values.begin(), values.end());
  auto type = RankedTensorType::get(shape, Float32Type::get(n.context()));
  return n.cast(n.constant(DenseElementsAttr::get(type, ArrayRef<float>(floats))), element);
}

/// Few taps are gathered and added; many, as of an antialiased reduction, are a product with a matrix [out, in].
Value blend(Node &n, Value x, int64_t axis, ArrayRef<Taps> taps) {
  constexpr size_t kMostGathers = 4;
  size_t most = 0;
  for (const Taps &each : taps)
    most = std::max(most, each.size());
  int64_t rank = Build::rankOf(x), in = Build::shapeOf(x)[axis], out = static_cast<int64_t>(taps.size());
  Value sum;
  for (size_t t = 0; t < most && most <= kMostGathers; ++t) {
    SmallVector<int64_t> places;
    SmallVector<double> weights;
    for (const Taps &each : taps) {
      places.push_back(t < each.size() ? each[t].place : each.front().place);
      weights.push_back(t < each.size() ? each[t].weight : 0);
    }
    Value part = pick(n, x, axis, places);
    if (!llvm::all_of(weights, [](double weight) { return weight == 1; }))
      part = n.mul(part, alongAxis(n, weights, Build::elementOf(x), axis, rank));
    sum = sum ? n.add(sum, part) : part;
  }
  if (sum)
    return sum;
  std::vector<float> matrix(in * out, 0);
  for (int64_t i = 0; i < out; ++i)
    for (const Tap &tap : taps[i])
      matrix[tap.place * out + i] += static_cast<float>(tap.weight);
  auto type = RankedTensorType::get({in, out}, Float32Type::get(n.context()));
  Value weights = n.cast(n.constant(DenseElementsAttr::get(type, ArrayRef<float>(matrix))), Build::elementOf(x));
  SmallVector<int64_t> swap = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  std::swap(swap[axis], swap.back());
  return n.transpose(n.matmul(n.transpose(x, swap), weights), swap);
}

Value resizeAxis(Node &n, Value x, int64_t number, const Axis &axis, const Resizing &how) {
  bool crops = how.coordinates == "tf_crop_and_resize";
  if (!x || (axis.in == axis.out && axis.scale == 1 && !crops))
    return x;
  SmallVector<Taps> taps;
  SmallVector<double> inside;
  for (int64_t i = 0; i < axis.out; ++i) {
    double place = sourceOf(how, axis, i);
    inside.push_back(!crops || (place >= 0 && place <= static_cast<double>(axis.in - 1)));
    taps.push_back(tapsOf(how, axis, place));
  }
  bool repeats = how.mode == "nearest" && axis.out % axis.in == 0;
  for (int64_t i = 0; i < axis.out && repeats; ++i)
    repeats = taps[i].front().place == i / (axis.out / axis.in);
  Value result = repeats ? repeat(n, x, number, axis.out / axis.in) : blend(n, x, number, taps);
  if (!llvm::is_contained(inside, 0.0))
    return result;
  Value mask = n.cast(alongAxis(n, inside, Float32Type::get(n.context()), number, Build::rankOf(x)),
                      IntegerType::get(n.context(), 1));
  return n.select(mask, result, n.like(x, how.outside));
}

/// The size that keep_aspect_ratio_policy makes of the sizes wished for, and the one scale of all axes.
void keepAspect(const std::string &policy, SmallVectorImpl<Axis> &axes) {
  if (policy != "not_larger" && policy != "not_smaller")
    return;
  double scale = axes[0].scale;
  for (const Axis &axis : axes)
    scale = policy == "not_larger" ? std::min(scale, axis.scale) : std::max(scale, axis.scale);
  for (Axis &axis : axes) {
    axis.scale = scale;
    axis.out = static_cast<int64_t>(std::floor(scale * static_cast<double>(axis.in) + 0.5));
  }
}

/// The axes with their sizes and scales; empty after an error.
SmallVector<Axis> resizedAxes(Node &n, Value x, ArrayRef<int64_t> numbers) {
  auto scales = n.has(2) && Build::typeOf(n.opt(2)).getNumElements() ? Node::constantNumbersOf(n.opt(2)) : std::nullopt;
  auto sizes = n.has(3) ? n.ints(3, "sizes") : std::nullopt;
  auto roi = n.has(1) && Build::typeOf(n.opt(1)).getNumElements() ? Node::constantNumbersOf(n.opt(1)) : std::nullopt;
  size_t count = numbers.size();
  SmallVector<Axis> axes;
  if ((scales ? scales->size() : sizes ? sizes->size() : 0) != count) {
    if (!n.hasFailed())
      n.fail() << "ONNX operator " << n.op << " needs a constant with one scale or size per axis";
    return axes;
  }
  for (size_t i = 0; i < count; ++i) {
    int64_t in = Build::shapeOf(x)[numbers[i]];
    double scale =
        scales ? (*scales)[i] : static_cast<double>((*sizes)[i]) / static_cast<double>(std::max<int64_t>(in, 1));
    double out = scales ? std::floor(static_cast<double>(in) * scale) : static_cast<double>((*sizes)[i]);
    if (!(scale > 0) || out < 1 || out > 0x1p31 || in < 1) {
      n.fail() << "ONNX operator " << n.op << " cannot resize dimension " << numbers[i] << " of " << x.getType()
               << " by " << scale;
      return {};
    }
    axes.push_back({in, static_cast<int64_t>(out), scale});
    if (roi && roi->size() == 2 * count) {
      axes.back().roiStart = (*roi)[i];
      axes.back().roiEnd = (*roi)[count + i];
    }
  }
  keepAspect(n.textAttr("keep_aspect_ratio_policy", "stretch"), axes);
  return axes;
}

void lowerResize(Node &n) {
  Value x = n.in(0);
  if (!x)
    return;
  Resizing how;
  how.mode = n.textAttr("mode", "nearest");
  how.coordinates = n.textAttr("coordinate_transformation_mode", "half_pixel");
  how.nearest = n.textAttr("nearest_mode", "round_prefer_floor");
  how.cubic = n.floatAttr("cubic_coeff_a", -0.75);
  how.outside = n.floatAttr("extrapolation_value", 0);
  how.antialias = n.intAttr("antialias", 0);
  how.excludeOutside = n.intAttr("exclude_outside", 0);
  SmallVector<int64_t> numbers = llvm::to_vector(llvm::seq<int64_t>(0, Build::rankOf(x)));
  if (auto given = n.intsAttr("axes")) {
    numbers.clear();
    for (int64_t axis : *given)
      numbers.push_back(n.axis(axis, Build::rankOf(x)));
  }
  if (n.hasFailed())
    return;
  for (auto [number, axis] : llvm::zip(numbers, resizedAxes(n, x, numbers)))
    x = resizeAxis(n, x, number, axis, how);
  n.give(x);
}

/// Resize before operator set 10: scales are input 1, or an attribute.
void lowerUpsample(Node &n) {
  Value x = n.in(0);
  auto scales = n.has(1) ? Node::constantNumbersOf(n.opt(1)) : n.attributes.lookup("scales").numbers;
  if (!x)
    return;
  if (!scales || static_cast<int64_t>(scales->size()) != Build::rankOf(x)) {
    n.fail() << "ONNX operator Upsample needs a constant with one scale per dimension";
    return;
  }
  Resizing how;
  how.mode = n.textAttr("mode", "nearest");
  how.coordinates = "asymmetric";
  how.nearest = "floor";
  for (auto [number, scale] : llvm::enumerate(*scales)) {
    int64_t in = Build::shapeOf(x)[number], out = static_cast<int64_t>(std::floor(static_cast<double>(in) * scale));
    x = resizeAxis(n, x, static_cast<int64_t>(number), {in, out, scale}, how);
  }
  n.give(x);
}

//===----------------------------------------------------------------------===//
// GridSample
//===----------------------------------------------------------------------===//

/// Reads x [batch, channels, spatial..] at places given per spatial axis, each [batch, points].
class Sampler {
public:
  Sampler(Node &n, Value x, std::string padding, bool aligned)
      : n(n), x(x), padding(std::move(padding)), aligned(aligned), sizes(Build::shapeOf(x).drop_front(2)) {
    ArrayRef<int64_t> shape = Build::shapeOf(x);
    flat = n.reshape(x, {shape[0], shape[1], ShapedType::getNumElements(sizes)});
  }

  /// From [-1, 1] to elements, as align_corners says.
  Value denormalize(Value grid, size_t axis) {
    double size = static_cast<double>(sizes[axis]), half = aligned ? (size - 1) / 2 : size / 2;
    return n.add(n.mul(n.add(grid, n.like(grid, 1)), n.like(grid, half)), n.like(grid, aligned ? 0 : -0.5));
  }

  Value settle(Value place, size_t axis) {
    if (padding == "border")
      return clamp(place, 0, static_cast<double>(sizes[axis] - 1));
    return padding == "reflection" ? reflect(place, axis) : place;
  }

  /// The elements at whole places (floats): [batch, channels, points]. Outside: 0, or what padding says.
  Value read(ArrayRef<Value> places) {
    Value index, inside;
    Type i64 = IntegerType::get(n.context(), 64);
    for (auto [axis, given] : llvm::enumerate(places)) {
      double last = static_cast<double>(sizes[axis] - 1);
      Value place = settle(given, axis);
      Value fits = n.make<nn::AndOp>({n.compare(nn::Predicate::Ge, place, n.like(place, 0)),
                                      n.compare(nn::Predicate::Le, place, n.like(place, last))});
      inside = inside ? n.make<nn::AndOp>({inside, fits}) : fits;
      Value whole = n.cast(clamp(place, 0, last), i64);
      index = index ? n.add(n.mul(index, n.like(whole, static_cast<double>(sizes[axis]))), whole) : whole;
    }
    if (!index)
      return nullptr;
    int64_t batch = Build::shapeOf(index)[0], points = Build::shapeOf(index)[1], channels = Build::shapeOf(x)[1];
    Value wide = n.broadcast(n.reshape(index, {batch, 1, points}), {batch, channels, points});
    Value found = n.make<nn::GatherElementsOp>({flat, wide}, {n.integer("axis", 2)});
    return n.select(n.reshape(inside, {batch, 1, points}), found, n.like(x, 0));
  }

private:
  Value clamp(Value v, double low, double high) {
    return n.make<nn::MinOp>({n.make<nn::MaxOp>({v, n.like(v, low)}), n.like(v, high)});
  }

  /// Mirrored at the ends: at the outer elements' centres when aligned, else at their outer edges.
  Value reflect(Value place, size_t axis) {
    double low = aligned ? 0 : -0.5, span = static_cast<double>(sizes[axis]) - (aligned ? 1 : 0);
    if (span <= 0)
      return n.mul(place, n.like(place, 0));
    Value offset = n.make<nn::AbsOp>({n.sub(place, n.like(place, low))});
    Value phase = n.make<nn::ModOp>({offset, n.like(place, 2 * span)});
    Value folded = n.make<nn::MinOp>({phase, n.sub(n.like(place, 2 * span), phase)});
    return clamp(n.add(folded, n.like(place, low)), 0, static_cast<double>(sizes[axis] - 1));
  }

  Node &n;
  Value x, flat;
  std::string padding;
  bool aligned;
  ArrayRef<int64_t> sizes;
};

/// The cubic filter of a = -0.75 at the distance that tap -1, 0, 1 or 2 has for the fraction t.
Value cubicWeight(Node &n, Value t, int tap) {
  constexpr double a = -0.75;
  Value distance = tap <= 0 ? n.add(t, n.like(t, -tap)) : n.sub(n.like(t, tap), t);
  auto horner = [&](ArrayRef<double> c) {
    Value sum = n.like(t, c[0]);
    for (double each : c.drop_front())
      sum = n.add(n.mul(sum, distance), n.like(t, each));
    return sum;
  };
  return tap == 0 || tap == 1 ? horner({a + 2, -(a + 3), 0, 1}) : horner({a, -5 * a, 8 * a, -4 * a});
}

void lowerGridSample(Node &n) {
  Value x = n.in(0), grid = n.in(1);
  if (!x || !grid)
    return;
  int64_t rank = Build::rankOf(x), spatial = rank - 2;
  ArrayRef<int64_t> shape = Build::shapeOf(grid);
  if (spatial < 1 || spatial > 3 || Build::rankOf(grid) != rank || shape.back() != spatial) {
    n.fail() << "ONNX operator GridSample cannot sample " << x.getType() << " at " << grid.getType();
    return;
  }
  std::string mode = n.textAttr("mode", "linear");
  bool nearest = mode == "nearest", cubic = mode == "cubic" || mode == "bicubic";
  Sampler sampler(n, x, n.textAttr("padding_mode", "zeros"), n.intAttr("align_corners", 0));
  int64_t batch = shape[0], points = ShapedType::getNumElements(shape.drop_front().drop_back());
  Value flatGrid = n.reshape(grid, {batch, points, spatial});
  SmallVector<Value> bases, fractions;
  for (int64_t axis = 0; axis < spatial; ++axis) { // the grid's coordinates begin with the last axis
    Value place = sampler.denormalize(n.reshape(n.slice(flatGrid, 2, spatial - 1 - axis, 1), {batch, points}), axis);
    if (!cubic)
      place = sampler.settle(place, axis);
    Value base = nearest ? n.make<nn::RoundOp>({place}) : n.make<nn::FloorOp>({place});
    bases.push_back(base);
    fractions.push_back(n.sub(place, base));
  }
  int first = cubic ? -1 : 0, count = nearest ? 1 : cubic ? 4 : 2;
  int64_t corners = 1;
  for (int64_t axis = 0; axis < spatial; ++axis)
    corners *= count;
  Value sum;
  for (int64_t corner = 0; corner < corners && !n.hasFailed(); ++corner) {
    SmallVector<Value> places;
    Value weight;
    for (int64_t axis = 0, rest = corner; axis < spatial; ++axis, rest /= count) {
      int tap = first + static_cast<int>(rest % count);
      Value t = fractions[axis];
      places.push_back(n.add(bases[axis], n.like(t, tap)));
      Value part = nearest ? Value() : cubic ? cubicWeight(n, t, tap) : tap ? t : n.sub(n.like(t, 1), t);
      weight = weight && part ? n.mul(weight, part) : part;
    }
    Value value = sampler.read(places);
    if (weight)
      value = n.mul(value, n.cast(n.reshape(weight, {batch, 1, points}), Build::elementOf(x)));
    sum = sum ? n.add(sum, value) : value;
  }
  SmallVector<int64_t> result{batch, Build::shapeOf(x)[1]};
  llvm::append_range(result, shape.drop_front().drop_back());
  n.give(n.reshape(sum, result));
}

} // namespace

Value mpopt::onnx::pick(Node &n, Value x, int64_t axis, ArrayRef<int64_t> positions) {
  return n.gather(x, n.constantInts(positions), axis);
}

void mpopt::onnx::addResampling(LoweringTable &table) {
  table["Resize"] = lowerResize;
  table["Upsample"] = lowerUpsample;
  table["GridSample"] = lowerGridSample;
}
