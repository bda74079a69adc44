// Operators of the domain com.microsoft that exporters and ONNX Runtime's optimizer write.
#include "Node.h"

using namespace mlir;
using namespace mpopt;
using namespace mpopt::onnx;

namespace {

/// Refuses results 1 and 2, which only training reads.
bool onlyInference(Node &n) {
  if (n.wants(1) || n.wants(2))
    n.fail() << "ONNX operator com.microsoft:" << n.op << " with its second or third result is not supported"
             << kExportAnew;
  return !n.hasFailed();
}

/// Norm of input + skip + bias; the sum is result 3.
void skipNorm(Node &n, Value scale, Value shift, Value bias, bool rms) {
  Value sum = n.add(n.in(0), n.in(1));
  if (bias)
    sum = n.add(sum, bias);
  if (!sum || !scale || !onlyInference(n))
    return;
  double epsilon = n.floatAttr("epsilon", rms ? 1e-6f : 1e-12f);
  Value norm = n.layerNorm(sum, scale, shift, Build::rankOf(sum) - 1, epsilon, rms);
  n.give({norm, Value(), Value(), sum});
}

void lowerSkipLayerNorm(Node &n) { skipNorm(n, n.in(2), n.opt(3), n.opt(4), false); }
void lowerSkipRmsNorm(Node &n) { skipNorm(n, n.in(2), Value(), n.opt(3), true); }

/// Inputs: input_ids, segment_ids, word, position and segment tables, scale, bias, mask, position_ids.
void lowerEmbedLayerNorm(Node &n) {
  Value ids = n.in(0), words = n.in(2), places = n.in(3);
  if (!ids || !words || !places)
    return;
  if (n.wants(1) || Build::rankOf(ids) != 2 || Build::rankOf(words) != 2) {
    n.fail() << "ONNX operator com.microsoft:EmbedLayerNormalization with a mask index or inputs that are not [batch, "
                "sequence] "
                "is not supported"
             << kExportAnew;
    return;
  }
  int64_t length = Build::shapeOf(ids)[1];
  Value position = n.has(8) ? n.gather(places, n.opt(8), 0) : n.slice(places, 0, 0, length);
  Value sum = n.add(n.gather(words, ids, 0), position);
  if (n.has(1) && n.has(4))
    sum = n.add(sum, n.gather(n.opt(4), n.opt(1), 0));
  n.give({n.layerNorm(sum, n.in(5), n.opt(6), 2, n.floatAttr("epsilon", 1e-12f), false), Value(), sum});
}

void lowerFastGelu(Node &n) {
  Value x = n.has(1) ? n.add(n.in(0), n.opt(1)) : n.in(0);
  n.give(n.make<nn::GeluOp>({x}, {n.unit("tanh")}));
}

void lowerBiasGelu(Node &n) { n.give(n.make<nn::GeluOp>({n.add(n.in(0), n.in(1))})); }

void lowerQuickGelu(Node &n) {
  Value x = n.in(0);
  n.give(n.mul(x, n.make<nn::SigmoidOp>({n.mul(x, n.like(x, n.floatAttr("alpha", 1.702f)))})));
}

} // namespace

void mpopt::onnx::addContrib(LoweringTable &table) {
  table["com.microsoft:SkipLayerNormalization"] = lowerSkipLayerNorm;
  table["com.microsoft:SkipSimplifiedLayerNormalization"] = lowerSkipRmsNorm;
  table["com.microsoft:EmbedLayerNormalization"] = lowerEmbedLayerNorm;
  table["com.microsoft:FastGelu"] = lowerFastGelu;
  table["com.microsoft:BiasGelu"] = lowerBiasGelu;
  table["com.microsoft:QuickGelu"] = lowerQuickGelu;
}
