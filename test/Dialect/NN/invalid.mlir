// RUN: mpopt-opt %s -split-input-file -verify-diagnostics

func.func @broadcast(%x: tensor<2x3xf32>, %y: tensor<2xf32>) {
  // expected-error @+1 {{shapes of 'tensor<2x3xf32>' and 'tensor<2xf32>' do not broadcast}}
  %a = nn.add %x, %y : tensor<2x3xf32>, tensor<2xf32>
  return
}

// -----

func.func @types(%x: tensor<2xf32>, %y: tensor<2xf64>) {
  // expected-error @+1 {{element types differ}}
  %a = nn.add %x, %y : tensor<2xf32>, tensor<2xf64>
  return
}

// -----

func.func @dynamic(%x: tensor<?xf32>) {
  // expected-error @+1 {{operands must be tensors of static shape}}
  %a = nn.exp %x : tensor<?xf32>
  return
}

// -----

func.func @weight_size() {
  // expected-error @+1 {{needs 1536 bytes for 'tensor<384xf32>', source has 1535}}
  %w = nn.weight "w" <"model.safetensors", 0, 1535> : tensor<384xf32>
  return
}

// -----

func.func @permutation(%x: tensor<2x3xf32>) {
  // expected-error @+1 {{permutation is not one of the dimensions}}
  %a = nn.transpose %x [0, 0] : tensor<2x3xf32>
  return
}

// -----

func.func @slice_leaves(%x: tensor<4xf32>) {
  // expected-error @+1 {{slice of dimension 0 (start 2, size 3, step 1) leaves}}
  %a = nn.slice %x [2] [3] [1] : tensor<4xf32>
  return
}

// -----

func.func @reshape(%x: tensor<4xf32>) {
  // expected-error @+1 {{cannot make 'tensor<5xf32>' of 'tensor<4xf32>'}}
  %a = nn.reshape %x : tensor<4xf32> -> tensor<5xf32>
  return
}

// -----

func.func @missing_axis(%x: tensor<4xf32>) {
  // expected-error @+1 {{requires attribute 'axis'}}
  %a = nn.softmax %x : tensor<4xf32>
  return
}

// -----

func.func @axis(%x: tensor<4xf32>) {
  // expected-error @+1 {{axis 1 is not in [0, 1)}}
  %a = nn.softmax %x {axis = 1 : i64} : tensor<4xf32>
  return
}

// -----

func.func @matmul(%x: tensor<4x3xf32>, %y: tensor<4x3xf32>) {
  // expected-error @+1 {{cannot multiply}}
  %a = nn.matmul %x, %y : tensor<4x3xf32>, tensor<4x3xf32>
  return
}

// -----

func.func @heads(%q: tensor<1x6x8x16xf32>, %k: tensor<1x4x8x16xf32>) {
  // expected-error @+1 {{4 key heads do not divide 6 query heads}}
  %a = nn.attention %q, %k, %k {scale = 1.0} : tensor<1x6x8x16xf32>, tensor<1x4x8x16xf32>, tensor<1x4x8x16xf32>
  return
}

// -----

func.func @window(%x: tensor<1x3x2x2xf32>, %w: tensor<8x3x3x3xf32>) {
  // expected-error @+1 {{a window of 3 elements does not fit in dimension 2}}
  %c = nn.conv %x, %w {strides = array<i64: 1, 1>, dilations = array<i64: 1, 1>, pads_begin = array<i64: 0, 0>, pads_end = array<i64: 0, 0>} : tensor<1x3x2x2xf32>, tensor<8x3x3x3xf32>
  return
}
