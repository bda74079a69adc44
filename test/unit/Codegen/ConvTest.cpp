// Convolution and pooling, from nn.conv and pools through layout and kernels to numbers.
#include "Program.h"
#include "llvm/ADT/StringExtras.h"
#include <gmock/gmock.h>

using namespace mpopt::test;
using testing::HasSubstr;
using testing::Not;

namespace {

using Sizes = std::vector<int64_t>;

std::string tensor(const Sizes &sizes, const std::string &element = "f32") {
  std::string text = "tensor<";
  for (int64_t size : sizes)
    text += std::to_string(size) + "x";
  return text + element + ">";
}

std::string list(const Sizes &values) {
  std::string text;
  for (int64_t value : values)
    text += (text.empty() ? "array<i64: " : ", ") + std::to_string(value);
  return text + ">";
}

struct Window {
  Sizes input, kernel;
  Sizes strides = Sizes(kernel.size(), 1), dilations = Sizes(kernel.size(), 1), begin = Sizes(kernel.size(), 0),
        end = begin;
  int64_t outputs = 0, groups = 1;
  bool bias = true, relu = true;
  std::string element = "f32";

  Sizes result() const {
    Sizes shape{input[0], outputs ? outputs : input[1]};
    for (size_t d = 0; d < kernel.size(); ++d)
      shape.push_back((input[d + 2] + begin[d] + end[d] - dilations[d] * (kernel[d] - 1) - 1) / strides[d] + 1);
    return shape;
  }
  std::string attributes() const {
    return "strides = " + list(strides) + ", dilations = " + list(dilations) + ", pads_begin = " + list(begin) +
           ", pads_end = " + list(end);
  }
};

std::string conv(const Window &w) {
  Sizes weight{w.outputs, w.input[1] / w.groups};
  weight.insert(weight.end(), w.kernel.begin(), w.kernel.end());
  std::string x = tensor(w.input, w.element), k = tensor(weight, w.element), b = tensor({w.outputs}, w.element),
              r = tensor(w.result(), w.element);
  std::string bias = w.bias ? " bias %b : " + b : "";
  return "func.func @main(%x: " + x + ", %w: " + k + ", %b: " + b + ") -> " + r + " { %0 = nn.conv %x, %w" + bias +
         " {" + w.attributes() + ", groups = " + std::to_string(w.groups) + " : i64" + (w.relu ? ", relu" : "") +
         "} : " + x + ", " + k + " return %0 : " + r + " }";
}

std::string pool(const std::string &kind, const Window &w, const std::string &more = "") {
  std::string x = tensor(w.input, w.element), r = tensor(w.result(), w.element);
  return "func.func @main(%x: " + x + ") -> " + r + " { %0 = nn." + kind + " %x {kernel = " + list(w.kernel) + ", " +
         w.attributes() + more + "} : " + x + " return %0 : " + r + " }";
}

} // namespace

TEST(Conv, LinesThatBlocksDivideAndDoNot) {
  for (int64_t length : {1, 2, 5, 7, 13, 14, 15, 29, 30}) {
    SCOPED_TRACE(length);
    checkProgram(conv({.input = {1, 5, 3, length}, .kernel = {3, 3}, .begin = {1, 1}, .outputs = 21}));
  }
}

TEST(Conv, PanelsThatChannelsFillAndDoNot) {
  for (int64_t channels : {1, 8, 16, 40, 64, 100}) {
    SCOPED_TRACE(channels);
    checkProgram(conv({.input = {1, 6, 4, 9}, .kernel = {2, 3}, .begin = {0, 1}, .outputs = channels}));
  }
}

TEST(Conv, StridesDilationsAndUnequalPads) {
  checkProgram(conv({.input = {2, 3, 17, 19}, .kernel = {7, 7}, .strides = {2, 2}, .begin = {3, 3}, .outputs = 16}));
  checkProgram(conv({.input = {1, 4, 12, 31}, .kernel = {3, 3}, .dilations = {2, 6}, .begin = {2, 6}, .outputs = 8}));
  checkProgram(conv(
      {.input = {1, 7, 9, 10}, .kernel = {3, 2}, .strides = {1, 3}, .begin = {0, 2}, .end = {4, 1}, .outputs = 5}));
  checkProgram(conv({.input = {1, 6, 9, 9}, .kernel = {1, 1}, .strides = {2, 2}, .outputs = 20}));
  // Windows that lie in the padding altogether, and windows larger than the input.
  checkProgram(conv({.input = {1, 3, 3, 4}, .kernel = {2, 2}, .begin = {3, 4}, .end = {2, 5}, .outputs = 6}));
  checkProgram(conv({.input = {1, 3, 3, 3}, .kernel = {9, 9}, .begin = {4, 4}, .outputs = 6}));
}

TEST(Conv, OneToThreeDimensions) {
  checkProgram(conv({.input = {2, 5, 40}, .kernel = {5}, .strides = {2}, .begin = {2}, .outputs = 18}));
  checkProgram(conv({.input = {1, 1, 200}, .kernel = {64}, .strides = {3}, .begin = {20}, .outputs = 9}));
  checkProgram(
      conv({.input = {1, 3, 5, 6, 7}, .kernel = {3, 2, 3}, .strides = {1, 2, 1}, .begin = {1, 0, 1}, .outputs = 10}));
}

TEST(Conv, GroupsAndDepthwise) {
  checkProgram(conv({.input = {1, 12, 6, 7}, .kernel = {3, 3}, .begin = {1, 1}, .outputs = 20, .groups = 4}));
  checkProgram(conv({.input = {1, 34, 5, 5}, .kernel = {1, 1}, .outputs = 68, .groups = 2}));
  checkProgram(conv({.input = {1, 4, 6, 7}, .kernel = {3, 3}, .outputs = 12, .groups = 4}));
  for (int64_t channels : {3, 16, 40})
    for (int64_t stride : {1, 2}) {
      std::string formed = checkProgram(conv({.input = {2, channels, 7, 19},
                                              .kernel = {5, 3},
                                              .strides = {stride, stride},
                                              .begin = {2, 1},
                                              .outputs = channels,
                                              .groups = channels}));
      EXPECT_THAT(formed, HasSubstr("nn.depthwise_conv"));
    }
  checkProgram(conv({.input = {1, 20, 30}, .kernel = {11}, .begin = {5}, .outputs = 20, .groups = 20}));
}

TEST(Conv, OneByOneIsAProduct) {
  std::string formed = checkProgram(conv({.input = {2, 9, 5, 4}, .kernel = {1, 1}, .outputs = 30}));
  EXPECT_THAT(formed, HasSubstr("nn.matmul"));
}

TEST(Conv, ManyLinesAndChannelsGoThroughTheCacheInBlocks) {
  checkProgram(conv({.input = {3, 64, 20, 260}, .kernel = {1, 3}, .strides = {2, 2}, .outputs = 24, .bias = false}),
               1e-4);
}

TEST(Conv, OtherTypes) {
  for (auto [element, tolerance] : {std::pair("f64", 1e-12), std::pair("f16", 5e-3), std::pair("bf16", 4e-2)})
    checkProgram(conv({.input = {1, 5, 6, 9}, .kernel = {3, 3}, .begin = {1, 1}, .outputs = 18, .element = element}),
                 tolerance);
}

static std::string convTranspose(const Window &w, const Sizes &outputPadding) {
  Sizes weight{w.input[1], w.outputs / w.groups}, result{w.input[0], w.outputs};
  weight.insert(weight.end(), w.kernel.begin(), w.kernel.end());
  for (size_t d = 0; d < w.kernel.size(); ++d)
    result.push_back((w.input[d + 2] - 1) * w.strides[d] + outputPadding[d] + w.dilations[d] * (w.kernel[d] - 1) + 1 -
                     w.begin[d] - w.end[d]);
  std::string x = tensor(w.input), k = tensor(weight), b = tensor({w.outputs}), r = tensor(result);
  return "func.func @main(%x: " + x + ", %w: " + k + ", %b: " + b + ") -> " + r +
         " { %0 = nn.conv_transpose %x, %w bias %b : " + b + " {" + w.attributes() +
         ", output_padding = " + list(outputPadding) + ", groups = " + std::to_string(w.groups) + " : i64} : " + x +
         ", " + k + " return %0 : " + r + " }";
}

TEST(ConvTranspose, TilesAndOverlaps) {
  std::string formed =
      checkProgram(convTranspose({.input = {2, 5, 4, 3}, .kernel = {2, 3}, .strides = {2, 3}, .outputs = 7}, {0, 0}));
  EXPECT_THAT(formed, HasSubstr("nn.matmul"));
  checkProgram(convTranspose(
      {.input = {1, 3, 5, 6}, .kernel = {4, 4}, .strides = {2, 2}, .begin = {1, 1}, .outputs = 9}, {0, 0}));
  checkProgram(convTranspose(
      {.input = {1, 3, 5, 6}, .kernel = {3, 3}, .strides = {2, 2}, .begin = {1, 1}, .outputs = 9}, {1, 1}));
  checkProgram(convTranspose({.input = {2, 4, 5, 6},
                              .kernel = {3, 2},
                              .strides = {2, 2},
                              .dilations = {1, 3},
                              .begin = {1, 0},
                              .end = {0, 1},
                              .outputs = 6,
                              .groups = 2},
                             {0, 0}));
  checkProgram(
      convTranspose({.input = {1, 3, 7}, .kernel = {2}, .strides = {3}, .begin = {2}, .end = {3}, .outputs = 2}, {0}));
  checkProgram(convTranspose(
      {.input = {1, 20, 5, 5}, .kernel = {3, 3}, .strides = {2, 2}, .begin = {1, 1}, .outputs = 20, .groups = 20},
      {1, 1}));
}

TEST(Pool, MaxAndMean) {
  for (int64_t channels : {1, 16, 19})
    for (const char *kind : {"max_pool", "avg_pool"}) {
      checkProgram(pool(kind, {.input = {2, channels, 9, 21}, .kernel = {3, 3}, .strides = {2, 2}, .begin = {1, 1}}));
      checkProgram(pool(kind, {.input = {1, channels, 8, 7}, .kernel = {2, 3}, .dilations = {1, 2}, .end = {1, 0}}));
    }
  checkProgram(pool("avg_pool", {.input = {1, 5, 9, 9}, .kernel = {3, 3}, .begin = {1, 1}}, ", count_include_pad"));
  checkProgram(pool("avg_pool", {.input = {1, 40, 7, 7}, .kernel = {7, 7}}));
  checkProgram(pool("avg_pool", {.input = {1, 3, 50}, .kernel = {12}, .strides = {3}, .begin = {5}}));
  checkProgram(pool("max_pool", {.input = {1, 3, 4, 5, 6}, .kernel = {2, 2, 2}, .begin = {1, 0, 1}, .element = "f16"}));
}

TEST(Pool, OfWhatOtherKernelsComputeInRegisters) {
  for (const char *kind : {"max_pool", "avg_pool"})
    for (const char *input :
         {"nn.constant dense<1.5> : tensor<1x3x4x5xf32> : tensor<1x3x4x5xf32>",
          "nn.iota {axis = 3 : i64} : tensor<1x3x4x5xf32>", "nn.iota {axis = 1 : i64} : tensor<1x3x4x5xf32>"})
      checkProgram(
          "func.func @main(%x: tensor<1x3x2x2xf32>) -> tensor<1x3x2x2xf32> { %0 = " + std::string(input) + " %1 = nn." +
          kind +
          R"( %0 {kernel = array<i64: 3, 3>, strides = array<i64: 2, 2>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 1, 1>, pads_end = array<i64: 0, 0>} : tensor<1x3x4x5xf32>
    %2 = nn.add %1, %x : tensor<1x3x2x2xf32>, tensor<1x3x2x2xf32>
    return %2 : tensor<1x3x2x2xf32> })");
}

TEST(ImageLayout, StaysThroughWhatNeedsNoOrder) {
  std::string formed = checkProgram(R"(
  func.func @main(%x: tensor<1x3x9x9xf32>, %w: tensor<8x3x3x3xf32>, %v: tensor<8x8x1x1xf32>, %u: tensor<4x4x3x3xf32>) -> tensor<1x8xf32> {
    %0 = nn.conv %x, %w {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 1, 1>, pads_end = array<i64: 1, 1>, relu} : tensor<1x3x9x9xf32>, tensor<8x3x3x3xf32>
    %1 = nn.reduce sum %0 [2, 3] keep_dims : tensor<1x8x9x9xf32>
    %2 = nn.sigmoid %1 : tensor<1x8x1x1xf32>
    %3 = nn.mul %0, %2 : tensor<1x8x9x9xf32>, tensor<1x8x1x1xf32>
    %4 = nn.conv %3, %v {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 0, 0>, pads_end = array<i64: 0, 0>} : tensor<1x8x9x9xf32>, tensor<8x8x1x1xf32>
    %5 = nn.add %4, %0 : tensor<1x8x9x9xf32>, tensor<1x8x9x9xf32>
    %6 = nn.slice %5 [0, 0, 0, 0] [1, 4, 9, 9] [1, 1, 1, 1] : tensor<1x8x9x9xf32>
    %7 = nn.slice %5 [0, 4, 0, 0] [1, 4, 9, 9] [1, 1, 1, 1] : tensor<1x8x9x9xf32>
    %8 = nn.conv %7, %u {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 1, 1>, pads_end = array<i64: 1, 1>} : tensor<1x4x9x9xf32>, tensor<4x4x3x3xf32>
    %9 = nn.concat %6, %8 {axis = 1 : i64} : tensor<1x4x9x9xf32>, tensor<1x4x9x9xf32>
    %10 = nn.pad %9 [0, 0, 0, 0] [0, 0, 1, 1] : tensor<1x8x9x9xf32>
    %11 = nn.reduce sum %10 [2, 3] : tensor<1x8x10x10xf32>
    return %11 : tensor<1x8xf32>
  })");
  // Only weights are put into another order.
  for (const char *shape : {"9x9x8xf32> ->", "tensor<1x8x9x9xf32>"})
    EXPECT_THAT(formed.substr(formed.find("@main")), Not(HasSubstr(shape)));
}

TEST(ImageLayout, NormalisesAlongChannels) {
  std::string formed = checkProgram(R"(
  func.func @main(%x: tensor<1x20x6x7xf32>) -> tensor<1x20x2x3xf32> {
    %0 = nn.max_pool %x {kernel = array<i64: 2, 2>, strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 0, 0>, pads_end = array<i64: 0, 0>} : tensor<1x20x6x7xf32>
    %1 = nn.lrn %0 {alpha = 0.3 : f64, beta = 0.75 : f64, bias = 1.5 : f64, size = 5 : i64} : tensor<1x20x5x6xf32>
    %2 = nn.max_pool %1 {kernel = array<i64: 3, 3>, strides = array<i64: 2, 2>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 0, 1>, pads_end = array<i64: 1, 0>} : tensor<1x20x5x6xf32>
    return %2 : tensor<1x20x2x3xf32>
  })");
  EXPECT_THAT(formed, HasSubstr("axis = 3"));
}

TEST(ImageLayout, FollowsShufflesAndFlattening) {
  checkProgram(R"(
  func.func @main(%x: tensor<2x6x5x4xf32>, %w: tensor<12x2x1x1xf32>, %v: tensor<12x1x3x3xf32>) -> (tensor<2x240xf32>, tensor<2x20x12xf32>) {
    %0 = nn.conv %x, %w {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 0, 0>, pads_end = array<i64: 0, 0>, groups = 3 : i64} : tensor<2x6x5x4xf32>, tensor<12x2x1x1xf32>
    %1 = nn.reshape %0 : tensor<2x12x5x4xf32> -> tensor<2x3x4x5x4xf32>
    %2 = nn.transpose %1 [0, 2, 1, 3, 4] : tensor<2x3x4x5x4xf32>
    %3 = nn.reshape %2 : tensor<2x4x3x5x4xf32> -> tensor<2x12x5x4xf32>
    %4 = nn.conv %3, %v {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 1, 1>, pads_end = array<i64: 1, 1>, groups = 12 : i64} : tensor<2x12x5x4xf32>, tensor<12x1x3x3xf32>
    %5 = nn.reshape %4 : tensor<2x12x5x4xf32> -> tensor<2x240xf32>
    %6 = nn.reshape %4 : tensor<2x12x5x4xf32> -> tensor<2x12x20xf32>
    %7 = nn.transpose %6 [0, 2, 1] : tensor<2x12x20xf32>
    return %5, %7 : tensor<2x240xf32>, tensor<2x20x12xf32>
  })");
}

TEST(ImageLayout, ReducesAnyDimensions) {
  for (const char *axes : {"[1]", "[0, 1]", "[2]", "[1, 3]", "[0, 1, 2, 3]"})
    for (const char *keep : {"", " keep_dims"}) {
      std::string result = llvm::StringSwitch<std::string>(std::string(axes) + keep)
                               .Case("[1]", "2x4x5x")
                               .Case("[1] keep_dims", "2x1x4x5x")
                               .Case("[0, 1]", "4x5x")
                               .Case("[0, 1] keep_dims", "1x1x4x5x")
                               .Case("[2]", "2x6x5x")
                               .Case("[2] keep_dims", "2x6x1x5x")
                               .Case("[1, 3]", "2x4x")
                               .Case("[1, 3] keep_dims", "2x1x4x1x")
                               .Case("[0, 1, 2, 3]", "")
                               .Default("1x1x1x1x");
      checkProgram("func.func @main(%x: tensor<2x6x4x5xf32>) -> tensor<" + result + R"(f32> {
        %0 = nn.max_pool %x {kernel = array<i64: 1, 1>, strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 0, 0>, pads_end = array<i64: 0, 0>} : tensor<2x6x4x5xf32>
        %1 = nn.reduce sum %0 )" +
                   axes + keep + " : tensor<2x6x4x5xf32> return %1 : tensor<" + result + "f32> }");
    }
}

TEST(ImageLayout, ReadsViewsOnlyOfMemory) {
  checkProgram(R"(
  func.func @main(%x: tensor<1x6x5x4xf32>, %w: tensor<3x3x1x2xf32>) -> tensor<1x3x5x3xf32> {
    %0 = nn.exp %x : tensor<1x6x5x4xf32>
    %1 = nn.slice %0 [0, 1, 0, 0] [1, 3, 5, 4] [1, 2, 1, 1] : tensor<1x6x5x4xf32>
    %2 = nn.conv %1, %w {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 0, 0>, pads_end = array<i64: 0, 0>} : tensor<1x3x5x4xf32>, tensor<3x3x1x2xf32>
    return %2 : tensor<1x3x5x3xf32>
  })");
}
