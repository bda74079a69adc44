// The partition rule of every kind of operator: operands -> results, then the factors.
// RUN: mpopt-opt %s --mpopt-test-print-rules -o /dev/null | FileCheck %s

func.func @products(%x: tensor<2x8x16xf32>, %w: tensor<16x32xf32>) {
  // CHECK: nn.matmul: [0][1][3], [3][2] -> [0][1][2]; 0=2 1=8 2=32 3=16:reduce(sum); linear {0} {1}
  %0 = nn.matmul %x, %w : tensor<2x8x16xf32>, tensor<16x32xf32>
  return
}

// A grouped-query attention: 2 key heads of 3 query heads each.
func.func @attention(%q: tensor<2x6x8x4xf32>, %k: tensor<2x2x8x4xf32>, %m: tensor<1x1x8x8xf32>) {
  // CHECK: nn.attention: [0][1 2][3][], [0][1][][], [0][1][][], [][][3][] -> [0][1 2][3][]
  %0 = nn.attention %q, %k, %k mask %m : tensor<1x1x8x8xf32> {scale = 1.0 : f64} : tensor<2x6x8x4xf32>, tensor<2x2x8x4xf32>, tensor<2x2x8x4xf32>
  // CHECK: nn.attention: [0][1 2][3][], [0][1][][], [0][1][][] -> [0][1 2][3][]
  %1 = nn.attention %q, %k, %k {scale = 1.0 : f64, causal} : tensor<2x6x8x4xf32>, tensor<2x2x8x4xf32>, tensor<2x2x8x4xf32>
  return
}

// Tokens [2, 8], 3 of 4 experts each, hidden size 32.
func.func @experts(%x: tensor<2x8x16xf32>, %i: tensor<2x8x3xi64>, %s: tensor<2x8x3xf32>, %up: tensor<4x16x32xf32>, %down: tensor<4x32x16xf32>) {
  // CHECK: nn.experts: [0][1][], [0][1][2], [0][1][2], [5][][4], [5][4][3] -> [0][1][3]; 0=2 1=8 2=3:reduce(sum) 3=16 4=32:reduce(sum) 5=4:reduce(sum); linear {2} {4}
  %0 = nn.experts gelu %x[%i] %s up %up down %down : tensor<2x8x16xf32>, tensor<2x8x3xi64>, tensor<2x8x3xf32>, tensor<4x16x32xf32>, tensor<4x32x16xf32>
  return
}

// Each of 8 rows is sent to 3 experts.
func.func @expert_rows(%x: tensor<8x16xf32>, %w: tensor<4x16x32xf32>, %i: tensor<24xi64>) {
  // CHECK: nn.expert_matmul: [0][3], [4][3][2], [0 1] -> [0 1][2]; 0=8 1=3 2=32 3=16:reduce(sum) 4=4:reduce(sum); linear {0} {1}
  %0 = nn.expert_matmul %x, %w[%i] : tensor<8x16xf32>, tensor<4x16x32xf32>, tensor<24xi64>
  return
}

func.func @elementwise(%x: tensor<2x8xf32>, %b: tensor<8xf32>, %c: tensor<2x1xf32>, %p: tensor<2x8xi1>) {
  // CHECK: nn.add: [0][1], [1] -> [0][1]; 0=2 1=8; linear {0 1}
  %0 = nn.add %x, %b : tensor<2x8xf32>, tensor<8xf32>
  // CHECK: nn.mul: [0][1], [0][] -> [0][1]; 0=2 1=8; linear {0} {1}
  %1 = nn.mul %x, %c : tensor<2x8xf32>, tensor<2x1xf32>
  // CHECK: nn.gelu: [0][1] -> [0][1]; 0=2 1=8{{$}}
  %2 = nn.gelu %x : tensor<2x8xf32>
  // CHECK: nn.select: [0][1], [0][1], [1] -> [0][1]; 0=2 1=8; linear {1 2}
  %3 = nn.select %p, %x, %b : tensor<2x8xi1>, tensor<2x8xf32>, tensor<8xf32>
  return
}

func.func @reshapes(%x: tensor<2x12xf32>, %y: tensor<4x3xf32>) {
  // CHECK: nn.reshape: [2][1 0] -> [2][1][0]; 0=4 1=3 2=2; linear {0}
  %0 = nn.reshape %x : tensor<2x12xf32> -> tensor<2x3x4xf32>
  // Dimensions that share no factors stay whole.
  // CHECK: nn.reshape: [][] -> [][]; linear {0}
  %1 = nn.reshape %y : tensor<4x3xf32> -> tensor<6x2xf32>
  return
}

func.func @lookups(%t: tensor<100x16xf32>, %i: tensor<2x8xi64>, %p: tensor<100xi1>) {
  // A split of the table leaves partial results.
  // CHECK: nn.gather: [3][2], [0][1] -> [0][1][2]; 0=2 1=8 2=16 3=100:reduce(sum); linear {0}
  %0 = nn.gather %t[%i] {axis = 0 : i64} : tensor<100x16xf32>, tensor<2x8xi64>
  // Truth values do not add up.
  // CHECK: nn.gather: [], [0][1] -> [0][1];
  %1 = nn.gather %p[%i] {axis = 0 : i64} : tensor<100xi1>, tensor<2x8xi64>
  return
}

func.func @reductions(%x: tensor<2x8x16xf32>) {
  // CHECK: nn.reduce: [0][1][2] -> [0][2]; 0=2 1=8:reduce(max) 2=16{{$}}
  %0 = nn.reduce max %x [1] : tensor<2x8x16xf32>
  // CHECK: nn.softmax: [0][1][2] -> [0][1][2]; 0=2 1=8 2=16{{$}}
  %1 = nn.softmax %x {axis = 2 : i64} : tensor<2x8x16xf32>
  // CHECK: nn.cum_sum: [0][][1] -> [0][][1]; 0=2 1=16; linear {0}
  %2 = nn.cum_sum %x {axis = 1 : i64} : tensor<2x8x16xf32>
  return
}

func.func @windows(%x: tensor<2x8x16x16xf32>, %w: tensor<32x8x3x3xf32>, %d: tensor<8x1x3x3xf32>) {
  // CHECK: nn.conv: [0][2][3][4], [1][2][][] -> [0][1][3][4]; 0=2 1=32 2=8:reduce(sum) 3=16:halo:even 4=16:halo:even; linear {0} {1}
  %0 = nn.conv %x, %w {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 1, 1>, pads_end = array<i64: 1, 1>} : tensor<2x8x16x16xf32>, tensor<32x8x3x3xf32>
  // Without padding the devices' parts would not be alike.
  // CHECK: nn.conv: [0][2][][], [1][2][][] -> [0][1][][];
  %1 = nn.conv %x, %w {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 0, 0>, pads_end = array<i64: 0, 0>} : tensor<2x8x16x16xf32>, tensor<32x8x3x3xf32>
  // CHECK: nn.conv: [0][1][2][3], [1][][][] -> [0][1][2][3]; 0=2 1=8:even
  %2 = nn.conv %x, %d {groups = 8 : i64, strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 1, 1>, pads_end = array<i64: 1, 1>} : tensor<2x8x16x16xf32>, tensor<8x1x3x3xf32>
  return
}
