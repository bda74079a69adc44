// Convolution and pooling against loops that follow ONNX's definitions.
#include "PlanMaker.h"

#include <cmath>
#include <gmock/gmock.h>
#include <random>

namespace mpopt::runtime {
namespace {

struct Window {
  std::string kind;
  std::vector<int64_t> x, kernel, strides, dilations, begin, end;
  int64_t outChannels = 0, groups = 1;
  bool bias = false, relu = false, includePad = false, weightsInArena = false;

  std::vector<int64_t> y() const {
    std::vector<int64_t> shape = {x[0], kind == "conv" ? outChannels : x[1]};
    for (size_t i = 0; i < kernel.size(); ++i)
      shape.push_back((x[i + 2] + begin[i] + end[i] - (dilations[i] * (kernel[i] - 1) + 1)) / strides[i] + 1);
    return shape;
  }
};

int64_t flat(const std::vector<int64_t> &shape, const std::vector<int64_t> &index) {
  int64_t at = 0;
  for (size_t i = 0; i < shape.size(); ++i)
    at = at * shape[i] + index[i];
  return at;
}

/// Steps to the next index in row-major order; false at the end.
bool next(std::vector<int64_t> &index, const std::vector<int64_t> &shape) {
  for (size_t i = shape.size(); i-- > 0;) {
    if (++index[i] < shape[i])
      return true;
    index[i] = 0;
  }
  return false;
}

double windowAt(const Window &window, const std::vector<int64_t> &out, const std::vector<float> &x,
                const std::vector<float> &w, const std::vector<float> &bias) {
  size_t spatial = window.kernel.size();
  bool conv = window.kind == "conv", max = window.kind == "max_pool";
  int64_t perGroup = window.x[1] / window.groups, group = conv ? out[1] / (window.outChannels / window.groups) : 0;
  double result = max ? -INFINITY : conv && window.bias ? bias[out[1]] : 0;
  int64_t count = 0;
  for (int64_t channel = 0; channel < (conv ? perGroup : 1); ++channel) {
    std::vector<int64_t> k(spatial);
    do {
      std::vector<int64_t> at = {out[0], conv ? group * perGroup + channel : out[1]}, weight = {out[1], channel};
      bool inside = true;
      for (size_t i = 0; i < spatial; ++i) {
        at.push_back(out[i + 2] * window.strides[i] - window.begin[i] + k[i] * window.dilations[i]);
        weight.push_back(k[i]);
        inside &= at.back() >= 0 && at.back() < window.x[i + 2];
      }
      count += inside || window.includePad;
      if (!inside)
        continue;
      double value = x[flat(window.x, at)];
      std::vector<int64_t> weightShape = {window.outChannels, perGroup};
      weightShape.insert(weightShape.end(), window.kernel.begin(), window.kernel.end());
      result = max ? std::max(result, value) : result + (conv ? value * w[flat(weightShape, weight)] : value);
    } while (next(k, window.kernel));
  }
  if (window.kind == "avg_pool")
    result /= static_cast<double>(count);
  return window.relu ? std::max(result, 0.0) : result;
}

std::vector<float> randomFloats(int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float &value : values)
    value = normal(random);
  return values;
}

Tensor floats(std::vector<int64_t> shape, const std::vector<float> &values) {
  return makeTensor(plan::DType::f32, std::move(shape), {values.begin(), values.end()});
}

void check(const Window &window) {
  SCOPED_TRACE(window.kind + " " + toText(window.x) + " kernel " + toText(window.kernel) + " groups " +
               std::to_string(window.groups) + " out " + std::to_string(window.outChannels));
  std::vector<int64_t> wShape = {window.outChannels, window.x[1] / window.groups};
  wShape.insert(wShape.end(), window.kernel.begin(), window.kernel.end());
  std::vector<float> x = randomFloats(*elementCount(window.x), 1), w = randomFloats(*elementCount(wShape), 2),
                     bias = randomFloats(window.outChannels, 3);
  PlanMaker maker(1);
  uint32_t source = maker.work(window.x), result = maker.work(window.y());
  std::vector<uint32_t> reads = {source};
  std::vector<Tensor> inputs = {floats(window.x, x)};
  maker.input("x", {static_cast<int32_t>(source)});
  if (window.kind == "conv" && window.weightsInArena) {
    reads.push_back(maker.work(wShape));
    maker.input("w", {static_cast<int32_t>(reads.back())});
    inputs.push_back(floats(wShape, w));
  } else if (window.kind == "conv") {
    reads.push_back(maker.weights(wShape, w));
  }
  if (window.bias)
    reads.push_back(maker.weights({window.outChannels}, bias));
  std::vector<std::pair<std::string, std::vector<int64_t>>> attrs = {{"strides", window.strides},
                                                                     {"dilations", window.dilations},
                                                                     {"pads_begin", window.begin},
                                                                     {"pads_end", window.end}};
  if (window.kind == "conv") {
    attrs.push_back({"groups", {window.groups}});
    attrs.push_back({"relu", {window.relu}});
  } else {
    attrs.push_back({"kernel", window.kernel});
    attrs.push_back({"count_include_pad", {window.includePad}});
  }
  maker.library(window.kind, reads, result, attrs);
  maker.output("y", {static_cast<int32_t>(result)});
  for (auto *ports : {&maker.plan.inputs, &maker.plan.outputs}) // one rank holds all rows
    for (auto &port : *ports)
      port->shape = port->boxes[0]->size;

  auto outputs = runPlan(maker.write(), inputs, false, 2);
  ASSERT_TRUE(outputs) << outputs.error().message;
  std::vector<double> found = valuesOf((*outputs)[0]);
  std::vector<int64_t> index(window.y().size()), shape = window.y();
  double difference = 0, size = 0;
  size_t i = 0;
  do {
    double expected = windowAt(window, index, x, w, bias);
    difference += std::pow(found[i] - expected, 2);
    size += expected * expected;
    ++i;
  } while (next(index, shape));
  EXPECT_LT(std::sqrt(difference / size), 1e-5);
}

TEST(WindowTest, convolution) {
  check({"conv", {2, 3, 17, 19}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, {1, 1}, 16, 1, true, true});
  check({"conv", {1, 64, 14, 14}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 48, 1, true}); // through blocked layouts
  check({"conv",
         {1, 20, 9, 9},
         {3, 3},
         {1, 1},
         {1, 1},
         {1, 1},
         {1, 1},
         36,
         1,
         true,
         true}); // channels that fill no block
  check({"conv", {2, 256, 7, 7}, {1, 1}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, 128, 1, false, true});
  check({"conv", {1, 32, 12, 12}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 32, 32, true}); // depthwise
  check({"conv", {1, 24, 9, 9}, {1, 1}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, 12, 3});          // grouped
  check({"conv", {1, 8, 15, 11}, {3, 5}, {1, 2}, {2, 3}, {2, 0}, {1, 4}, 8, 1, true});    // dilated, uneven pads
  check({"conv", {1, 6, 31}, {4}, {3}, {1}, {0}, {2}, 5, 1, true});                       // one spatial dimension
  check({"conv", {1, 4, 6, 7, 8}, {3, 2, 3}, {1, 1, 2}, {1, 1, 1}, {1, 0, 1}, {1, 1, 1}, 6, 2}); // three
}

TEST(WindowTest, convolutionByWeightsThatChange) {
  Window window{"conv", {1, 16, 9, 9}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 16};
  window.weightsInArena = true;
  check(window);
}

TEST(WindowTest, pooling) {
  for (const char *kind : {"max_pool", "avg_pool"})
    for (bool includePad : {false, true}) {
      Window window{kind, {2, 5, 13, 12}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, {1, 1}};
      window.includePad = includePad && window.kind == "avg_pool";
      check(window);
      window.x = {1, 16, 13, 13};
      window.begin = {0, 0};
      window.end = {1, 2}; // as ceil mode has it
      check(window);
      window.dilations = {2, 3};
      check(window);
      window.dilations = {1, 1};
      window.kernel = {13, 13}; // global
      window.end = {0, 0};
      window.strides = {1, 1};
      check(window);
      Window line{kind, {2, 3, 20}, {4}, {3}, {1}, {1}, {2}};
      line.includePad = window.includePad;
      check(line);
      Window cube{kind, {1, 3, 6, 7, 8}, {2, 3, 2}, {2, 2, 1}, {1, 1, 1}, {0, 1, 0}, {0, 1, 1}};
      cube.includePad = window.includePad;
      check(cube);
    }
}

TEST(WindowTest, refusals) {
  auto refused = [](const std::string &kind, std::vector<int64_t> x, std::vector<int64_t> y,
                    std::vector<int64_t> kernel, plan::DType dtype = plan::DType::f32) {
    PlanMaker maker(1);
    uint32_t source = maker.work(std::move(x), dtype), result = maker.work(std::move(y), dtype);
    maker.library(kind, {source}, result,
                  {{"kernel", std::move(kernel)},
                   {"strides", {1, 1}},
                   {"dilations", {1, 1}},
                   {"pads_begin", {0, 0}},
                   {"pads_end", {0, 0}}});
    auto outputs = runPlan(maker.write(), {});
    return outputs ? std::string("accepted") : outputs.error().message;
  };
  using testing::HasSubstr;
  EXPECT_THAT(refused("max_pool", {1, 2, 5, 5}, {1, 2, 4, 4}, {2, 2}), "accepted");
  EXPECT_THAT(refused("max_pool", {1, 2, 5, 5}, {1, 2, 5, 5}, {2, 2}), HasSubstr("windows do not make"));
  EXPECT_THAT(refused("max_pool", {1, 2, 5, 5}, {1, 2, 4, 4}, {2, -2}), HasSubstr("out of range"));
  EXPECT_THAT(refused("max_pool", {1, 2, 5, 5}, {1, 2, 4, 4}, {2}), HasSubstr("one number per spatial dimension"));
  EXPECT_THAT(refused("max_pool", {1, 2, 5, 5}, {1, 3, 4, 4}, {2, 2}), HasSubstr("operands do not fit"));
  EXPECT_THAT(refused("conv", {1, 2, 5, 5}, {1, 2, 4, 4}, {2, 2}), HasSubstr("needs x, w"));
  EXPECT_THAT(refused("median_pool", {1, 2, 5, 5}, {1, 2, 4, 4}, {2, 2}), HasSubstr("no known library kernel"));
  EXPECT_THAT(refused("max_pool", {1, 2, 5, 5}, {1, 2, 4, 4}, {2, 2}, plan::DType::i8), HasSubstr("int8"));
}

} // namespace
} // namespace mpopt::runtime
