#include "Harness.h"
#include <cmath>

using namespace mpopt::test;

static std::string unary(const std::string &op, const std::string &type, const std::string &attributes = "") {
  return "func.func @k(%x: " + type + ") -> " + type + " { %0 = nn." + op + " %x " + attributes + " : " + type +
         " return %0 : " + type + " }";
}

static std::string binary(const std::string &op, const std::string &type, const std::string &attributes = "") {
  return "func.func @k(%x: " + type + ", %y: " + type + ") -> " + type + " { %0 = nn." + op + " %x, %y " + attributes +
         " : " + type + ", " + type + " return %0 : " + type + " }";
}

TEST(Elementwise, UnaryFloats) {
  for (const char *op : {"neg", "abs", "sign", "exp", "sin", "cos", "tanh", "erf", "floor", "ceil", "round", "sigmoid",
                         "relu", "silu", "softplus", "gelu"}) {
    SCOPED_TRACE(op);
    for (const char *type : {"tensor<53xf32>", "tensor<3x37xf64>"})
      check(unary(op, type), {.low = -9, .high = 9});
  }
}

TEST(Elementwise, UnaryPositive) {
  for (const char *op : {"log", "sqrt", "rsqrt", "reciprocal"}) {
    SCOPED_TRACE(op);
    for (const char *type : {"tensor<53xf32>", "tensor<3x37xf64>"})
      check(unary(op, type), {.low = 0.01, .high = 50});
  }
}

TEST(Elementwise, Parameters) {
  check(unary("gelu", "tensor<40xf32>", "tanh"), {.low = -6, .high = 6});
  check(unary("leaky_relu", "tensor<40xf32>", "{alpha = 0.1 : f64}"));
  check(unary("elu", "tensor<40xf32>", "{alpha = 1.5 : f64}"));
  check(unary("hard_sigmoid", "tensor<40xf32>", "{alpha = 0.2 : f64, beta = 0.5 : f64}"), {.low = -6, .high = 6});
}

TEST(Elementwise, HalfPrecision) {
  for (const char *type : {"tensor<5x21xf16>", "tensor<5x21xbf16>"})
    for (const char *op : {"gelu", "neg", "exp"})
      check(unary(op, type), {.tolerance = 5e-3});
  check(binary("add", "tensor<5x21xbf16>"), {.tolerance = 1e-2});
}

TEST(Elementwise, BinaryFloats) {
  for (const char *op : {"add", "sub", "mul", "div", "max", "min", "mod"}) {
    SCOPED_TRACE(op);
    for (const char *type : {"tensor<4x19xf32>", "tensor<33xf64>"})
      check(binary(op, type));
  }
  check(binary("mod", "tensor<33xf32>", "{fmod}"));
}

TEST(Elementwise, Powers) {
  check(binary("pow", "tensor<33xf32>"), {.low = 0.1, .high = 5});
  check(binary("pow", "tensor<33xf64>"), {.low = 0.1, .high = 5});
  Tensor base{{6}, {-2, -2, -3, 0, 0, 2}}, exponent{{6}, {2, 3, 0, 2, 0, -1}};
  check(binary("pow", "tensor<6xf32>"), {.given = {base, exponent}});
  check(R"(func.func @k(%x: tensor<3x20xf32>) -> tensor<3x20xf32> {
    %c = nn.constant dense<3.0> : tensor<f32> : tensor<f32>
    %0 = nn.pow %x, %c : tensor<3x20xf32>, tensor<f32>
    return %0 : tensor<3x20xf32> })");
}

TEST(Elementwise, Integers) {
  for (const char *type : {"tensor<45xi64>", "tensor<45xi32>", "tensor<45xi8>", "tensor<45xui8>"}) {
    SCOPED_TRACE(type);
    for (const char *op : {"add", "mul", "max", "min"})
      check(binary(op, type), {.low = 0, .high = 11});
  }
  Tensor x{{6}, {7, -7, 7, -7, 5, -6}}, y{{6}, {3, 3, -3, -3, 5, 4}};
  for (const char *op : {"div", "mod", "sub"})
    check(binary(op, "tensor<6xi64>"), {.given = {x, y}});
  check(binary("mod", "tensor<6xi64>", "{fmod}"), {.given = {x, y}});
  check(unary("abs", "tensor<19xi32>"), {.low = -50, .high = 50});
  check(unary("sign", "tensor<19xi64>"), {.low = -50, .high = 50});
}

TEST(Elementwise, NotANumberAndInfinity) {
  Tensor x{{5}, {NAN, 1, INFINITY, -INFINITY, 0}}, y{{5}, {1, NAN, 2, 2, NAN}};
  for (const char *op : {"max", "min", "add"})
    check(binary(op, "tensor<5xf32>"), {.given = {x, y}});
  for (const char *op : {"relu", "tanh", "sigmoid", "exp", "abs"})
    check(unary(op, "tensor<5xf32>"), {.given = {x}});
  check(
      "func.func @k(%x: tensor<5xf32>) -> tensor<5xi1> { %0 = nn.is_nan %x : tensor<5xf32> return %0 : tensor<5xi1> }",
      {.given = {x}});
}

TEST(Elementwise, Booleans) {
  check(
      R"(func.func @k(%x: tensor<39xi1>, %y: tensor<39xi1>, %a: tensor<39xf32>, %b: tensor<f32>) -> (tensor<39xi1>, tensor<39xf32>) {
    %0 = nn.and %x, %y : tensor<39xi1>, tensor<39xi1>
    %1 = nn.or %0, %y : tensor<39xi1>, tensor<39xi1>
    %2 = nn.xor %1, %x : tensor<39xi1>, tensor<39xi1>
    %3 = nn.not %2 : tensor<39xi1>
    %4 = nn.compare gt %a, %b : tensor<39xf32>, tensor<f32>
    %5 = nn.and %3, %4 : tensor<39xi1>, tensor<39xi1>
    %6 = nn.select %5, %a, %b : tensor<39xi1>, tensor<39xf32>, tensor<f32>
    return %5, %6 : tensor<39xi1>, tensor<39xf32> })");
}

TEST(Elementwise, Casts) {
  const char *types[] = {"f32", "f64", "f16", "bf16", "i64", "i32", "i8", "ui8", "i1"};
  for (std::string from : types)
    for (std::string to : types) {
      SCOPED_TRACE(from + " to " + to);
      check("func.func @k(%x: tensor<35x" + from + ">) -> tensor<35x" + to + "> { %0 = nn.cast %x : tensor<35x" + from +
                "> -> tensor<35x" + to + "> return %0 : tensor<35x" + to + "> }",
            {.low = 0, .high = 9, .tolerance = 4e-2});
    }
}

TEST(Elementwise, Broadcasting) {
  check(
      R"(func.func @k(%x: tensor<2x5x17xf32>, %y: tensor<5x1xf32>, %z: tensor<17xf32>, %s: tensor<f32>) -> tensor<2x5x17xf32> {
    %0 = nn.mul %x, %y : tensor<2x5x17xf32>, tensor<5x1xf32>
    %1 = nn.add %0, %z : tensor<2x5x17xf32>, tensor<17xf32>
    %2 = nn.sub %s, %1 : tensor<f32>, tensor<2x5x17xf32>
    return %2 : tensor<2x5x17xf32> })");
  check("func.func @k(%x: tensor<f32>) -> tensor<f32> { %0 = nn.exp %x : tensor<f32> return %0 : tensor<f32> }");
}
