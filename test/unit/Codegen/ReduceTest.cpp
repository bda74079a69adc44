#include "Harness.h"
#include <cmath>

using namespace mpopt::test;

static std::string reduce(const std::string &kind, const std::string &type, const std::string &axes,
                          const std::string &result, const std::string &keep = "") {
  return "func.func @k(%x: " + type + ") -> " + result + " { %0 = nn.reduce " + kind + " %x " + axes + " " + keep +
         " : " + type + " return %0 : " + result + " }";
}

TEST(Reduce, Axes) {
  for (const char *kind : {"sum", "max", "min", "prod"}) {
    SCOPED_TRACE(kind);
    check(reduce(kind, "tensor<5x37xf32>", "[1]", "tensor<5xf32>"));
    check(reduce(kind, "tensor<5x37xf32>", "[0]", "tensor<37xf32>"));
    check(reduce(kind, "tensor<3x4x35xf32>", "[0, 2]", "tensor<1x4x1xf32>", "keep_dims"));
    check(reduce(kind, "tensor<3x4x35xf32>", "[0, 1]", "tensor<1x1x35xf32>", "keep_dims"));
  }
  check(reduce("sum", "tensor<2x300xf64>", "[0, 1]", "tensor<f64>"));
  check(reduce("sum", "tensor<2x3x200xf16>", "[2]", "tensor<2x3xf16>"), {.tolerance = 5e-3});
  check(reduce("max", "tensor<7x9xi64>", "[1]", "tensor<7xi64>"), {.low = -100, .high = 100});
  check(reduce("min", "tensor<7x90xi32>", "[1]", "tensor<7xi32>"), {.low = -100, .high = 100});
}

TEST(Reduce, ProducersAndConsumers) {
  check(R"(func.func @k(%x: tensor<6x130xf32>, %s: tensor<f32>) -> tensor<6x1xf32> {
    %0 = nn.mul %x, %x : tensor<6x130xf32>, tensor<6x130xf32>
    %1 = nn.reduce sum %0 [1] keep_dims : tensor<6x130xf32>
    %2 = nn.mul %1, %s : tensor<6x1xf32>, tensor<f32>
    %3 = nn.sqrt %2 : tensor<6x1xf32>
    return %3 : tensor<6x1xf32> })",
        {.low = 0.1, .high = 2});
}

TEST(Rows, Softmax) {
  for (const char *type : {"tensor<4x7xf32>", "tensor<3x2x100xf32>", "tensor<2x20000xf32>", "tensor<3x50xf64>"}) {
    std::string t = type;
    std::string axis = t == "tensor<3x2x100xf32>" ? "2" : "1";
    for (std::string attributes : {"", ", log", ", safe"})
      check("func.func @k(%x: " + t + ") -> " + t + " { %0 = nn.softmax %x {axis = " + axis + " : i64" + attributes +
            "} : " + t + " return %0 : " + t + " }");
  }
}

TEST(Rows, SoftmaxOverInnerDimension) {
  for (std::string attributes : {"", ", log", ", safe"})
    check("func.func @k(%x: tensor<3x9x21xf32>) -> tensor<3x9x21xf32> { %0 = nn.softmax %x {axis = 1 : i64" +
          attributes + "} : tensor<3x9x21xf32> return %0 : tensor<3x9x21xf32> }");
}

TEST(Rows, SoftmaxOfEmptyRows) {
  Tensor x{{2, 3}, {-INFINITY, -INFINITY, -INFINITY, 0, 1, -INFINITY}};
  for (std::string attributes : {"", ", safe"})
    check("func.func @k(%x: tensor<2x3xf32>) -> tensor<2x3xf32> { %0 = nn.softmax %x {axis = 1 : i64" + attributes +
              "} : tensor<2x3xf32> return %0 : tensor<2x3xf32> }",
          {.given = {x}});
}

TEST(Rows, LayerNorm) {
  for (std::string attributes : {"", ", rms"}) {
    check("func.func @k(%x: tensor<5x77xf32>, %s: tensor<77xf32>, %b: tensor<77xf32>) -> tensor<5x77xf32> { %0 = "
          "nn.layer_norm %x scale %s "
          ": tensor<77xf32> bias %b : tensor<77xf32> {axis = 1 : i64, epsilon = 1.0e-5 : f64" +
          attributes + "} : tensor<5x77xf32> return %0 : tensor<5x77xf32> }");
    check("func.func @k(%x: tensor<5x3x14xf32>, %s: tensor<3x1xf32>) -> tensor<5x3x14xf32> { %0 = nn.layer_norm %x "
          "scale %s : "
          "tensor<3x1xf32> {axis = 1 : i64, epsilon = 1.0e-5 : f64" +
          attributes + "} : tensor<5x3x14xf32> return %0 : tensor<5x3x14xf32> }");
  }
}

TEST(Rows, FusedBeforeBetweenAndAfter) {
  check(
      R"(func.func @k(%x: tensor<4x50xf32>, %r: tensor<4x50xf32>, %s: tensor<50xf32>) -> (tensor<4x50xf32>, tensor<4x50xf32>) {
    %0 = nn.add %x, %r : tensor<4x50xf32>, tensor<4x50xf32>
    %1 = nn.layer_norm %0 scale %s : tensor<50xf32> {axis = 1 : i64, epsilon = 1.0e-5 : f64} : tensor<4x50xf32>
    %2 = nn.mul %1, %r : tensor<4x50xf32>, tensor<4x50xf32>
    %3 = nn.softmax %2 {axis = 1 : i64} : tensor<4x50xf32>
    %4 = nn.sub %3, %0 : tensor<4x50xf32>, tensor<4x50xf32>
    return %0, %4 : tensor<4x50xf32>, tensor<4x50xf32> })");
}

TEST(Other, ArgReduce) {
  for (std::string attributes :
       {"axis = 1 : i64", "axis = 1 : i64, min", "axis = 1 : i64, select_last", "axis = 1 : i64, min, select_last"}) {
    check("func.func @k(%x: tensor<4x13xf32>) -> tensor<4xi64> { %0 = nn.arg_reduce %x {" + attributes +
          "} : tensor<4x13xf32> return %0 : tensor<4xi64> }");
    check("func.func @k(%x: tensor<4x13x2xi32>) -> tensor<4x1x2xi64> { %0 = nn.arg_reduce %x {keep_dims, " +
          attributes + "} : tensor<4x13x2xi32> return %0 : tensor<4x1x2xi64> }");
  }
}

TEST(Other, TopK) {
  for (std::string attributes : {"", ", smallest"}) {
    check("func.func @k(%x: tensor<4x13xf32>) -> (tensor<4x5xf32>, tensor<4x5xi64>) { %0, %1 = nn.top_k %x {axis = 1 : "
          "i64, k = 5 : i64" +
          attributes + "} : tensor<4x13xf32> return %0, %1 : tensor<4x5xf32>, tensor<4x5xi64> }");
    check(
        "func.func @k(%x: tensor<13x3xi64>) -> tensor<13x3xi64> { %0, %1 = nn.top_k %x {axis = 0 : i64, k = 13 : i64" +
        attributes + "} : tensor<13x3xi64> return %1 : tensor<13x3xi64> }");
  }
}

TEST(Other, CumSum) {
  for (std::string attributes : {"", ", exclusive", ", reverse", ", exclusive, reverse"})
    check("func.func @k(%x: tensor<4x13x3xf32>) -> tensor<4x13x3xf32> { %0 = nn.cum_sum %x {axis = 1 : i64" +
          attributes + "} : tensor<4x13x3xf32> return %0 : tensor<4x13x3xf32> }");
}

TEST(Other, SoftmaxOfDoublesOverInnerDimension) {
  check("func.func @k(%x: tensor<2x5x7xf64>) -> tensor<2x5x7xf64> { %0 = nn.softmax %x {axis = 1 : i64} : "
        "tensor<2x5x7xf64> return %0 : "
        "tensor<2x5x7xf64> }");
}

TEST(Other, Lrn) {
  for (auto [type, axis] : {std::pair("tensor<2x7x3x19xf32>", "1"),
                            {"tensor<3x9xf32>", "1"},
                            {"tensor<2x6x5xf64>", "1"},
                            {"tensor<2x3x41xf32>", "2"},
                            {"tensor<5x2x19xf64>", "0"}})
    for (const char *size : {"3", "4", "90"}) {
      std::string t = type;
      check("func.func @k(%x: " + t + ") -> " + t +
            " { %0 = nn.lrn %x {alpha = 0.3 : f64, beta = 0.75 : f64, bias = 1.5 : f64, size = " + size +
            " : i64, axis = " + axis + " : i64} : " + t + " return %0 : " + t + " }");
    }
}

TEST(Other, GroupNorm) {
  for (const char *type : {"tensor<2x6x5x19xf32>", "tensor<2x6x35xf32>", "tensor<3x6xf32>"}) {
    std::string t = type;
    check("func.func @k(%x: " + t + ", %s: tensor<6xf32>, %b: tensor<6xf32>) -> " + t +
          " { %0 = nn.group_norm %x, %s, %b {groups = 2 : i64, epsilon = 1.0e-3 : f64} : " + t +
          ", tensor<6xf32>, tensor<6xf32> return %0 : " + t + " }");
  }
}
