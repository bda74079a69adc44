// ONNX operators of signal processing: Fourier transforms of a known length are products with constant matrices.
#include "Node.h"
#include <cmath>

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

namespace {

/// One transform: `in` given and `out` wanted numbers of a signal of `length`; real parts alone, or with imaginary ones.
struct Transform {
  int64_t length, in, out;
  bool complexIn, complexOut, inverse;
  /// The rest of a spectrum that is given or wanted up to its middle mirrors it.
  bool mirrored = false;

  /// What element `from` counts in a sum: twice where its mirror image is left out.
  double weight(int64_t from) const {
    bool isAlone = from == 0 || 2 * from == length;
    return (inverse ? 1 / static_cast<double>(length) : 1) * (mirrored && inverse && !isAlone ? 2 : 1);
  }
};

/// Matrices beyond this many elements are refused: such a transform is not for a product.
constexpr int64_t kMaxMatrix = int64_t(1) << 26;

/// The matrix [in * parts, out * parts], in f64, that takes numbers with their parts side by side to others.
Value matrixOf(Node &n, const Transform &t) {
  int64_t inParts = t.complexIn ? 2 : 1, outParts = t.complexOut ? 2 : 1;
  int64_t rows = t.in * inParts, columns = t.out * outParts;
  if (rows > kMaxMatrix / std::max<int64_t>(columns, 1)) {
    n.fail() << "ONNX operator " << n.op << " of length " << t.length << " is too long";
    return nullptr;
  }
  std::vector<double> values(rows * columns);
  for (int64_t i = 0; i < t.in && i < t.length; ++i)
    for (int64_t o = 0; o < t.out; ++o) {
      double angle = 2 * M_PI * static_cast<double>(i * o % t.length) / static_cast<double>(t.length);
      double re = t.weight(i) * std::cos(angle), im = t.weight(i) * std::sin(angle) * (t.inverse ? 1 : -1);
      double *at = &values[i * inParts * columns + o * outParts];
      at[0] = re;
      if (t.complexOut)
        at[1] = im;
      if (t.complexIn)
        at[columns] = -im;
      if (t.complexIn && t.complexOut)
        at[columns + 1] = re;
    }
  auto type = RankedTensorType::get({rows, columns}, Float64Type::get(n.context()));
  return n.constant(DenseElementsAttr::get(type, ArrayRef<double>(values)));
}

/// x, [.., in, parts], transformed: [.., out, parts]. In f64: what should cancel in a sum of as many terms as the signal is long, and what is
/// small beside the rest of a spectrum, would else be noise.
Value transform(Node &n, Value x, const Transform &t) {
  Value matrix = matrixOf(n, t), wide = n.cast(x, Float64Type::get(n.context()));
  SmallVector<int64_t> shape(Build::shapeOf(x).drop_back(2)), result(shape);
  shape.push_back(Build::shapeOf(x).take_back(2)[0] * Build::shapeOf(x).back());
  result.append({t.out, t.complexOut ? 2 : 1});
  return n.cast(n.reshape(n.matmul(n.reshape(wide, shape), matrix), result), Build::elementOf(x));
}

/// Whether the last dimension holds a real part, or also an imaginary one; an error otherwise.
bool holdsParts(Node &n, Value x) {
  bool fits = x && Build::isFloat(x) && Build::rankOf(x) >= 2 &&
              (Build::shapeOf(x).back() == 1 || Build::shapeOf(x).back() == 2);
  if (x && !fits)
    n.fail() << "ONNX operator " << n.op << " needs numbers with 1 or 2 parts in the last dimension, not "
             << x.getType();
  return fits;
}

/// The one number of input i; `otherwise` where it is absent.
std::optional<int64_t> scalar(Node &n, unsigned i, StringRef what, int64_t otherwise) {
  if (!n.has(i))
    return otherwise;
  auto values = n.ints(i, what);
  if (values && values->size() != 1)
    n.fail() << "the " << what << " of ONNX operator " << n.op << " must be one number";
  return n.hasFailed() ? std::nullopt : std::optional(values->front());
}

void lowerDft(Node &n) {
  Value x = n.in(0);
  if (!holdsParts(n, x))
    return;
  int64_t rank = Build::rankOf(x);
  auto given = n.version < 20 ? std::optional(n.intAttr("axis", 1)) : scalar(n, 2, "axis", -2);
  int64_t axis = given ? n.axis(*given, rank) : 0;
  bool oneSided = n.intAttr("onesided", 0), inverse = n.intAttr("inverse", 0),
       isComplex = Build::shapeOf(x).back() == 2;
  if (n.hasFailed() || axis == rank - 1) {
    if (!n.hasFailed())
      n.fail() << "the axis of ONNX operator DFT cannot be the last one, which holds the parts of numbers";
    return;
  }
  int64_t in = Build::shapeOf(x)[axis];
  auto length = scalar(n, 1, "dft_length", oneSided && inverse ? 2 * (in - 1) : in);
  if (!length)
    return;
  if (*length < 1)
    return void(n.fail() << "ONNX operator DFT needs a length of at least 1");
  Transform t{*length, in,      oneSided && !inverse ? *length / 2 + 1 : *length, isComplex, !(oneSided && inverse),
              inverse, oneSided};
  if (t.mirrored && inverse && t.in > *length / 2 + 1) { // what lies behind the middle is known from what lies before
    x = n.slice(x, axis, 0, *length / 2 + 1);
    t.in = *length / 2 + 1;
  }
  SmallVector<int64_t> order = llvm::to_vector(llvm::seq<int64_t>(0, rank));
  std::swap(order[axis], order[rank - 2]);
  n.give(n.transpose(transform(n, n.transpose(x, order), t), order));
}

void lowerStft(Node &n) {
  Value signal = n.in(0), window = n.opt(2);
  if (signal && Build::rankOf(signal) == 2)
    signal = n.reshape(signal, {Build::shapeOf(signal)[0], Build::shapeOf(signal)[1], 1});
  if (!holdsParts(n, signal))
    return;
  int64_t samples = Build::rankOf(signal) == 3 ? Build::shapeOf(signal)[1] : 0, parts = Build::shapeOf(signal).back();
  auto step = scalar(n, 1, "frame_step", 0);
  auto length = scalar(n, 3, "frame_length", window && Build::rankOf(window) ? Build::shapeOf(window)[0] : samples);
  if (!step || !length)
    return;
  bool windowFits = !window || (Build::rankOf(window) == 1 && Build::shapeOf(window)[0] == *length);
  if (*step < 1 || *length < 1 || *length > samples || !windowFits)
    return void(n.fail() << "ONNX operator STFT cannot take frames of " << *length << " every " << *step << " from "
                         << signal.getType());
  int64_t frames = (samples - *length) / *step + 1;
  if (frames > kMaxMatrix / *length)
    return void(n.fail() << "ONNX operator STFT has too many frames");
  SmallVector<int64_t> places;
  for (int64_t i = 0; i < frames * *length; ++i)
    places.push_back(i / *length * *step + i % *length);
  Value framed = n.reshape(pick(n, signal, 1, places), {Build::shapeOf(signal)[0], frames, *length, parts});
  if (window)
    framed = n.mul(framed, n.cast(n.reshape(window, {*length, 1}), Build::elementOf(signal)));
  bool oneSided = n.intAttr("onesided", 1) && parts == 1;
  if (framed)
    n.give(transform(n, framed, {*length, *length, oneSided ? *length / 2 + 1 : *length, parts == 2, true, false}));
}

} // namespace

void mpopt::onnx::addFourier(LoweringTable &table) {
  table["DFT"] = lowerDft;
  table["STFT"] = lowerStft;
}
