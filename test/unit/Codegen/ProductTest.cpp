#include "Harness.h"
#include <array>

using namespace mpopt::test;

static std::string shape(std::initializer_list<int64_t> sizes, const std::string &element = "f32") {
  std::string text = "tensor<";
  for (int64_t size : sizes)
    text += std::to_string(size) + "x";
  return text + element + ">";
}

static std::string packed(int64_t m, int64_t k, int64_t n, int64_t panel, const std::string &element = "f32") {
  std::string left = shape({m, k}, element), right = shape({(n + panel - 1) / panel, k, panel}, element),
              result = shape({m, n}, element);
  std::string bias = shape({n}, element);
  return "func.func @k(%x: " + left + ", %w: " + right + ", %b: " + bias + ", %r: " + result + ") -> " + result +
         " { %0 = nn.packed_matmul %x, %w {n = " + std::to_string(n) + " : i64} : " + left + ", " + right +
         " %1 = nn.add %0, %b : " + result + ", " + bias + " %2 = nn.gelu %1 : " + result +
         " %3 = nn.add %2, %r : " + result + ", " + result + " return %3 : " + result + " }";
}

TEST(Product, PackedWithEpilogue) {
  for (int64_t m : {1, 2, 3, 5, 8, 13, 24, 33})
    for (int64_t n : {1, 48, 50, 101}) {
      SCOPED_TRACE(std::to_string(m) + " x " + std::to_string(n));
      check(packed(m, 19, n, 48), {.low = -1, .high = 1});
    }
}

TEST(Product, PackedWidths) {
  for (int64_t panel : {16, 32, 64, 96, 128}) {
    SCOPED_TRACE(panel);
    if (panel <= 64)
      check(packed(5, 40, 200, panel), {.low = -1, .high = 1});
  }
}

TEST(Product, PackedOtherTypes) {
  check(packed(7, 20, 50, 48, "f64"), {.low = -1, .high = 1});
  check(packed(7, 20, 50, 48, "f16"), {.low = -1, .high = 1, .tolerance = 5e-3});
  check(packed(7, 20, 50, 48, "bf16"), {.low = -1, .high = 1, .tolerance = 4e-2});
}

TEST(Product, Batched) {
  check(R"(func.func @k(%x: tensor<2x3x7x21xf32>, %y: tensor<3x21x30xf32>) -> tensor<2x3x7x30xf32> {
    %0 = nn.matmul %x, %y : tensor<2x3x7x21xf32>, tensor<3x21x30xf32>
    return %0 : tensor<2x3x7x30xf32> })");
  check(R"(func.func @k(%x: tensor<4x5xi64>, %y: tensor<5x9xi64>) -> tensor<4x9xi64> {
    %0 = nn.matmul %x, %y : tensor<4x5xi64>, tensor<5x9xi64>
    return %0 : tensor<4x9xi64> })");
}

TEST(Product, TransposedOperandsAndResult) {
  check(R"(func.func @k(%x: tensor<2x5x3x8xf32>, %y: tensor<2x17x3x8xf32>) -> tensor<2x5x3x17xf32> {
    %0 = nn.transpose %x [0, 2, 1, 3] : tensor<2x5x3x8xf32>
    %1 = nn.transpose %y [0, 2, 3, 1] : tensor<2x17x3x8xf32>
    %2 = nn.matmul %0, %1 : tensor<2x3x5x8xf32>, tensor<2x3x8x17xf32>
    %3 = nn.transpose %2 [0, 2, 1, 3] : tensor<2x3x5x17xf32>
    return %3 : tensor<2x5x3x17xf32> })");
}

/// Indices are random in [-2, 2], so some rows have no expert.
static std::string experts(int64_t tokens, int64_t times, int64_t k, int64_t n, int64_t panel,
                           const std::string &index = "i64") {
  auto dims = [](std::vector<int64_t> sizes, const std::string &element) {
    std::string text = "tensor<";
    for (int64_t size : sizes)
      text += std::to_string(size) + "x";
    return text + element + ">";
  };
  std::string left = dims({tokens, k}, "f32"), result = dims({tokens * times, n}, "f32"),
              indices = dims({tokens * times}, index),
              weights = panel ? dims({2, (n + panel - 1) / panel, k, panel}, "f32") : dims({2, k, n}, "f32"),
              attribute = panel ? " {n = " + std::to_string(n) + " : i64}" : "";
  return "func.func @k(%x: " + left + ", %w: " + weights + ", %i: " + indices + ") -> " + result +
         " { %0 = nn.expert_matmul %x, %w[%i]" + attribute + " : " + left + ", " + weights + ", " + indices +
         " return %0 : " + result + " }";
}

TEST(Product, RowsByTheirExperts) {
  for (auto [tokens, times, n, panel] : std::vector<std::array<int64_t, 4>>{
           {1, 1, 48, 48}, {1, 3, 5, 0}, {3, 1, 70, 48}, {40, 1, 70, 0}, {40, 3, 70, 48}}) {
    SCOPED_TRACE(experts(tokens, times, 19, n, panel));
    check(experts(tokens, times, 19, n, panel));
  }
  check(experts(9, 2, 8, 20, 48, "i32"));
  check(experts(3000, 3, 4, 17, 48)); // more rows than are listed at once
}

TEST(Product, ManyRows) {
  check(R"(func.func @k(%x: tensor<700x512xf32>, %w: tensor<1x512x48xf32>) -> tensor<700x20xf32> {
    %0 = nn.packed_matmul %x, %w {n = 20 : i64} : tensor<700x512xf32>, tensor<1x512x48xf32>
    return %0 : tensor<700x20xf32> })",
        {.low = -0.3, .high = 0.3});
}

TEST(Product, DeepOnesInParts) {
  for (int64_t depth : {1536, 2311})
    for (const std::string end : {"transpose", "gelu"}) {
      std::string x = shape({2, 85, depth}), w = shape({1, depth, 48}), y = shape({2, 85, 37}),
                  result = end == "gelu" ? y : shape({2, 37, 85});
      check("func.func @k(%x: " + x + ", %w: " + w + ", %r: " + y + ") -> " + result +
                " { %0 = nn.packed_matmul %x, %w {n = 37 : i64} : " + x + ", " + w + " %1 = nn.add %0, %r : " + y +
                ", " + y + (end == "gelu" ? " %2 = nn.gelu %1 : " + y : " %2 = nn.transpose %1 [0, 2, 1] : " + y) +
                " return %2 : " + result + " }",
            {.low = -0.1, .high = 0.1});
    }
}

static std::string attention(const std::string &attributes, const std::string &mask, int64_t heads, int64_t kvHeads,
                             int64_t queries, int64_t keys, int64_t depth, int64_t valueDepth,
                             const std::string &element = "f32") {
  std::string q = shape({2, heads, queries, depth}, element), k = shape({2, kvHeads, keys, depth}, element),
              v = shape({2, kvHeads, keys, valueDepth}, element), r = shape({2, heads, queries, valueDepth}, element);
  std::string maskArgument = mask.empty() ? "" : ", %m: " + mask, maskUse = mask.empty() ? "" : "mask %m : " + mask;
  return "func.func @k(%q: " + q + ", %k: " + k + ", %v: " + v + maskArgument + ") -> " + r +
         " { %0 = nn.attention %q, %k, %v " + maskUse + " {scale = 0.3 : f64" + attributes + "} : " + q + ", " + k +
         ", " + v + " return %0 : " + r + " }";
}

TEST(Attention, Sizes) {
  for (int64_t queries : {1, 7, 64, 70})
    for (int64_t keys : {1, 16, 33, 64, 130}) {
      SCOPED_TRACE(std::to_string(queries) + " x " + std::to_string(keys));
      check(attention("", "", 2, 2, queries, keys, 16, 16));
    }
  check(attention("", "", 1, 1, 20, 40, 13, 21));
  check(attention("", "", 1, 1, 20, 40, 128, 128));
  check(attention("", "", 1, 1, 9, 40, 256, 64));
}

TEST(Attention, Masks) {
  for (const char *mask :
       {"tensor<2x1x1x40xf32>", "tensor<20x40xf32>", "tensor<2x4x20x40xf32>", "tensor<2x1x20x1xf32>", "tensor<40xf32>"})
    check(attention("", mask, 4, 4, 20, 40, 16, 16));
  check(attention(", safe", "tensor<2x1x20x40xi1>", 4, 4, 20, 40, 16, 16));
}

TEST(Attention, Variants) {
  check(attention(", causal", "", 4, 2, 70, 70, 16, 16));
  check(attention(", causal, causal_offset = 60 : i64", "", 4, 1, 10, 70, 16, 16));
  check(attention(", causal, causal_offset = -3 : i64, safe", "", 1, 1, 10, 70, 16, 16));
  check(attention(", softcap = 2.0 : f64", "", 2, 2, 10, 30, 16, 16));
  check(attention("", "", 2, 2, 10, 30, 16, 16, "f64"));
  check(attention("", "", 2, 2, 10, 30, 16, 16, "f16"), {.tolerance = 2e-3});
}

// As in decoding: scores are dot products, keys come in long tiles.
TEST(Attention, FewQueries) {
  for (int64_t depth : {1, 13, 64, 80})
    check(attention("", "", 4, 2, 1, 129, depth, 16));
  check(attention(", causal, causal_offset = 1097 : i64", "tensor<2x1x3x1100xf32>", 2, 1, 3, 1100, 64, 20));
  check(attention("", "tensor<2x1x1x40xi1>", 3, 1, 2, 40, 16, 16));
  check(attention("", "", 2, 2, 1, 30, 20, 16, "f64"));
  check(attention("", "", 2, 2, 1, 30, 20, 16, "f16"), {.tolerance = 2e-3});
}

TEST(Attention, FullyMaskedRow) {
  Tensor mask{{3, 5}, {1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1}};
  for (const char *attributes : {"", ", safe"})
    check(attention(attributes, "tensor<3x5xi1>", 1, 1, 3, 5, 8, 8), {.given = {{}, {}, {}, mask}});
}

TEST(Attention, HeadsInPlace) {
  check(
      R"(func.func @k(%q: tensor<1x20x3x16xf32>, %k: tensor<1x20x3x16xf32>, %v: tensor<1x20x3x16xf32>) -> tensor<1x20x3x16xf32> {
    %0 = nn.transpose %q [0, 2, 1, 3] : tensor<1x20x3x16xf32>
    %1 = nn.transpose %k [0, 2, 1, 3] : tensor<1x20x3x16xf32>
    %2 = nn.transpose %v [0, 2, 1, 3] : tensor<1x20x3x16xf32>
    %3 = nn.attention %0, %1, %2 {scale = 0.25 : f64} : tensor<1x3x20x16xf32>, tensor<1x3x20x16xf32>, tensor<1x3x20x16xf32>
    %4 = nn.transpose %3 [0, 2, 1, 3] : tensor<1x3x20x16xf32>
    return %4 : tensor<1x20x3x16xf32> })");
}
