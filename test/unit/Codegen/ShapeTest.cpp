#include "Harness.h"

using namespace mpopt::test;

static std::string one(const std::string &op, const std::string &from, const std::string &to,
                       const std::string &tail = "") {
  return "func.func @k(%x: " + from + ") -> " + to + " { %0 = nn." + op + " : " + from + tail + " return %0 : " + to +
         " }";
}

TEST(Shape, Transpose) {
  check(one("transpose %x [1, 0]", "tensor<19x33xf32>", "tensor<33x19xf32>"));
  check(one("transpose %x [0, 2, 1, 3]", "tensor<2x5x3x18xf32>", "tensor<2x3x5x18xf32>"));
  check(one("transpose %x [2, 0, 1]", "tensor<2x5x3xi64>", "tensor<3x2x5xi64>"));
}

TEST(Shape, ReshapeBroadcastSlice) {
  check(one("reshape %x", "tensor<6x20xf32>", "tensor<4x30xf32>", " -> tensor<4x30xf32>"));
  check(one("reshape %x", "tensor<6x32xf32>", "tensor<2x96xf32>", " -> tensor<2x96xf32>"));
  check(one("broadcast %x", "tensor<3x1xf32>", "tensor<2x3x20xf32>", " -> tensor<2x3x20xf32>"));
  check(one("slice %x [1, 2] [3, 17] [1, 1]", "tensor<5x22xf32>", "tensor<3x17xf32>"));
  check(one("slice %x [4, 21] [5, 11] [-1, -2]", "tensor<5x22xf32>", "tensor<5x11xf32>"));
}

TEST(Shape, Pad) {
  check(one("pad %x [0, 1] [2, 3] {value = 1.5 : f64}", "tensor<5x30xf32>", "tensor<7x34xf32>"));
  check(one("pad %x [-1, 2, 1] [1, -3, 0]", "tensor<3x30x7xf32>", "tensor<3x29x8xf32>"));
}

TEST(Shape, Concat) {
  check(R"(func.func @k(%x: tensor<3x20xf32>, %y: tensor<3x7xf32>, %z: tensor<3x1xf32>) -> tensor<3x28xf32> {
    %0 = nn.neg %y : tensor<3x7xf32>
    %1 = nn.concat %x, %0, %z {axis = 1 : i64} : tensor<3x20xf32>, tensor<3x7xf32>, tensor<3x1xf32>
    return %1 : tensor<3x28xf32> })");
  check(R"(func.func @k(%x: tensor<3x20xf32>, %y: tensor<2x20xf32>) -> tensor<5x20xf32> {
    %1 = nn.concat %x, %y {axis = 0 : i64} : tensor<3x20xf32>, tensor<2x20xf32>
    %2 = nn.exp %1 : tensor<5x20xf32>
    return %2 : tensor<5x20xf32> })");
}

TEST(Shape, IotaAndSliceAt) {
  check(R"(func.func @k(%x: tensor<3x20xf32>) -> tensor<3x20xf32> {
    %0 = nn.iota {axis = 1 : i64, start = 2.0 : f64, step = 0.5 : f64} : tensor<3x20xf32>
    %1 = nn.add %0, %x : tensor<3x20xf32>, tensor<3x20xf32>
    return %1 : tensor<3x20xf32> })");
  for (double start : {0.0, 4.0, 12.0}) {
    check(R"(func.func @k(%x: tensor<3x20xf32>, %s: tensor<i64>) -> tensor<3x9xf32> {
      %0 = nn.slice_at %x[%s] {axis = 1 : i64} : tensor<3x20xf32>, tensor<i64> -> tensor<3x9xf32>
      return %0 : tensor<3x9xf32> })",
          {.given = {{}, {{}, {start}}}});
    check(R"(func.func @k(%x: tensor<20x33xf32>, %s: tensor<i64>) -> tensor<9x33xf32> {
      %0 = nn.slice_at %x[%s] {axis = 0 : i64} : tensor<20x33xf32>, tensor<i64> -> tensor<9x33xf32>
      return %0 : tensor<9x33xf32> })",
          {.given = {{}, {{}, {start}}}});
  }
}

TEST(Gather, Rows) {
  Tensor ids{{2, 3}, {0, 9, 4, -1, 5, 2}};
  check(R"(func.func @k(%x: tensor<10x35xf32>, %i: tensor<2x3xi64>) -> tensor<2x3x35xf32> {
    %0 = nn.gather %x[%i] {axis = 0 : i64} : tensor<10x35xf32>, tensor<2x3xi64>
    return %0 : tensor<2x3x35xf32> })",
        {.given = {{}, ids}});
  check(R"(func.func @k(%x: tensor<2x10xf32>, %i: tensor<2x3xi32>) -> tensor<2x2x3xf32> {
    %0 = nn.gather %x[%i] {axis = 1 : i64} : tensor<2x10xf32>, tensor<2x3xi32>
    return %0 : tensor<2x2x3xf32> })",
        {.given = {{}, ids}});
  check(R"(func.func @k(%x: tensor<4x35xf32>, %i: tensor<2x3xi64>, %o: tensor<i64>) -> tensor<2x3x35xf32> {
    %0 = nn.gather %x[%i - %o] {axis = 0 : i64} : tensor<4x35xf32>, tensor<2x3xi64>, tensor<i64>
    return %0 : tensor<2x3x35xf32> })",
        {.given = {{}, ids, {{}, {3}}}});
}

TEST(Gather, Elements) {
  check(R"(func.func @k(%x: tensor<4x6xf32>, %i: tensor<4x20xi64>) -> tensor<4x20xf32> {
    %0 = nn.gather_elements %x[%i] {axis = 1 : i64} : tensor<4x6xf32>, tensor<4x20xi64>
    return %0 : tensor<4x20xf32> })",
        {.low = -6, .high = 6});
}

TEST(Gather, Nd) {
  Tensor ids{{3, 2}, {0, 1, 3, 2, -1, 0}}, batched{{2, 1}, {1, 3}};
  check(R"(func.func @k(%x: tensor<4x3x18xf32>, %i: tensor<3x2xi64>) -> tensor<3x18xf32> {
    %0 = nn.gather_nd %x[%i] : tensor<4x3x18xf32>, tensor<3x2xi64>
    return %0 : tensor<3x18xf32> })",
        {.given = {{}, ids}});
  check(R"(func.func @k(%x: tensor<2x4x5xf32>, %i: tensor<2x1xi64>) -> tensor<2x5xf32> {
    %0 = nn.gather_nd %x[%i] {batch_dims = 1 : i64} : tensor<2x4x5xf32>, tensor<2x1xi64>
    return %0 : tensor<2x5xf32> })",
        {.given = {{}, batched}});
}

TEST(Scatter, Nd) {
  Tensor ids{{3, 1}, {0, 3, 0}};
  for (std::string reduction : {"", "{reduction = 0 : i32}", "{reduction = 1 : i32}"})
    check("func.func @k(%x: tensor<4x18xf32>, %i: tensor<3x1xi64>, %u: tensor<3x18xf32>) -> tensor<4x18xf32> { %0 = "
          "nn.scatter_nd %x[%i] %u " +
              reduction + " : tensor<4x18xf32>, tensor<3x1xi64>, tensor<3x18xf32> return %0 : tensor<4x18xf32> }",
          {.given = {{}, ids, {}}});
}

TEST(Rotary, HalvesAndPairs) {
  for (std::string attributes : {"", "{interleaved}"}) {
    check("func.func @k(%x: tensor<2x3x5x32xf32>, %c: tensor<5x16xf32>, %s: tensor<5x16xf32>) -> tensor<2x3x5x32xf32> "
          "{ %0 = nn.rotary %x, %c, "
          "%s " +
          attributes +
          " : tensor<2x3x5x32xf32>, tensor<5x16xf32>, tensor<5x16xf32> return %0 : tensor<2x3x5x32xf32> }");
    check("func.func @k(%x: tensor<2x5x20xf32>, %c: tensor<5x6xf32>, %s: tensor<5x6xf32>) -> tensor<2x5x20xf32> { %0 = "
          "nn.rotary %x, %c, %s " +
          attributes + " : tensor<2x5x20xf32>, tensor<5x6xf32>, tensor<5x6xf32> return %0 : tensor<2x5x20xf32> }");
  }
}
