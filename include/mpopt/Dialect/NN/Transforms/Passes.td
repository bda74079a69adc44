#ifndef MPOPT_DIALECT_NN_TRANSFORMS_PASSES
#define MPOPT_DIALECT_NN_TRANSFORMS_PASSES

include "mlir/Pass/PassBase.td"

def SimplifyShapes : Pass<"mpopt-simplify-shapes", "::mlir::func::FuncOp"> {
  let summary = "Turns gathers by constant index grids into reshapes, and round trips of shape, order and type into nothing";
  let description = [{
    ```mlir
    %i = nn.constant dense<...> : tensor<2x1x1x8x2xi64>   // [b, 0, 0, s] -> (b, s)
    %y = nn.gather_nd %x[%i] : tensor<2x8xf32>, tensor<2x1x1x8x2xi64>
    ```
    becomes
    ```mlir
    %y = nn.reshape %x : tensor<2x8xf32> -> tensor<2x1x1x8xf32>
    ```
  }];
}

def RecognizeNorms : Pass<"mpopt-recognize-norms", "::mlir::func::FuncOp"> {
  let summary = "Turns layer norms and RMS norms written as mean, difference, square and root into nn.layer_norm";
  let description = [{
    ```mlir
    %m = mean(%x); %d = nn.sub %x, %m; %v = mean(%d * %d)
    %y = nn.div %d, sqrt(%v + epsilon); %z = %y * scale + bias
    ```
    becomes
    ```mlir
    %z = nn.layer_norm %x scale %scale bias %bias {axis, epsilon}
    ```
  }];
}

def RecognizeActivations : Pass<"mpopt-recognize-activations", "::mlir::func::FuncOp"> {
  let summary = "Turns GELU written by erf or tanh, and x * sigmoid(x), into nn.gelu and nn.silu";
  let description = [{
    ```mlir
    %y = 0.5 * %x * (1 + erf(%x / sqrt(2)))
    ```
    becomes
    ```mlir
    %y = nn.gelu %x
    ```
  }];
}

def RecognizeRotary : Pass<"mpopt-recognize-rotary", "::mlir::func::FuncOp"> {
  let summary = "Turns rotary embeddings of halves or neighbours, also with doubled angles or of some elements, into nn.rotary";
  let description = [{
    ```mlir
    %r = nn.concat -second half of %x, first half of %x; %y = %x * cos(concat(%a, %a)) + %r * sin(concat(%a, %a))
    ```
    becomes
    ```mlir
    %y = nn.rotary %x, first half of cos, first half of sin
    ```
  }];
}

def RecognizeAttention : Pass<"mpopt-recognize-attention", "::mlir::func::FuncOp"> {
  let summary = "Turns softmax(q k^T * scale + mask) v, also in its safe form, into nn.attention";
  let description = [{
    ```mlir
    %s = nn.matmul %q, transpose(%k); %p = nn.softmax(%s * c + %mask)
    %safe = nn.select isnan(%p), 0, %p
    %y = nn.matmul %safe, %v
    ```
    becomes
    ```mlir
    %y = nn.attention %q, %k, %v mask %mask {scale = c, safe}
    ```
    Leading dimensions other than [batch, heads] are reshaped around it, also where they change on the way from scores to weights. One more
    score per row whose weight is dropped (a sink) becomes a key of zeros with that score in the mask.
  }];
}

def FoldIntoConvs : Pass<"mpopt-fold-into-convs", "::mlir::func::FuncOp"> {
  let summary = "Moves multiplication and addition by per-channel constants, and relu, into the convolution before them";
  let description = [{
    ```mlir
    %c = nn.conv %x, %w; %y = nn.relu(%c * %scale + %shift)
    ```
    becomes
    ```mlir
    %y = nn.conv %x, %w * %scale bias %shift {relu}
    ```
    where the products are computed when the plan is made.
  }];
}

def RecognizeExperts : Pass<"mpopt-recognize-experts", "::mlir::func::FuncOp"> {
  let summary = "Turns products by matrices that are looked up row by row into nn.expert_matmul, and perceptrons of these into nn.experts";
  let description = [{
    ```mlir
    %w = nn.gather_nd %up[%i] : tensor<8x1024x256xf32>, tensor<64x1xi64>
    %0 = nn.matmul %w, %x : tensor<64x1024x256xf32>, tensor<64x256x1xf32>
    ..
    %5 = nn.mul %4, %shares : tensor<64x256xf32>, tensor<64x1xf32>
    %6 = nn.reduce sum %5 [1] : tensor<32x2x256xf32>
    ```
    becomes
    ```mlir
    %6 = nn.experts silu %tokens[%chosen] %shares up %up down %down gate %gate
    ```
    The copies of the matrices, one for each row, are gone, and experts can be split over devices.
  }];
}

def SinkReshapes : Pass<"mpopt-sink-reshapes", "::mlir::func::FuncOp"> {
  let summary = "Moves reshapes that merge leading dimensions behind the operators that do not care";
  let description = [{
    ```mlir
    %0 = nn.reshape %x : tensor<2x16x768xf32> -> tensor<32x768xf32>
    %1 = nn.matmul %0, %w : tensor<32x768xf32>, tensor<768x3072xf32>
    %2 = nn.reshape %1 : tensor<32x3072xf32> -> tensor<2x16x3072xf32>
    ```
    becomes
    ```mlir
    %2 = nn.matmul %x, %w : tensor<2x16x768xf32>, tensor<768x3072xf32>
    ```
    A dimension in which batch and sequence are merged can be split by batch only; apart they can be split each on its own.
  }];
}

def SplitProducts : Pass<"mpopt-split-products", "::mlir::func::FuncOp"> {
  let summary = "Makes each slice of a fused projection a product of its own";
  let description = [{
    ```mlir
    %0 = nn.matmul %x, %w : tensor<2x16x768xf32>, tensor<768x2304xf32>
    %q = nn.slice %0 [0, 0, 0] [2, 16, 768] [1, 1, 1] : tensor<2x16x2304xf32>
    %k = nn.slice %0 [0, 0, 768] [2, 16, 768] [1, 1, 1] : tensor<2x16x2304xf32>
    ```
    becomes
    ```mlir
    %wq = nn.slice %w [0, 0] [768, 768] [1, 1] : tensor<768x2304xf32>
    %q = nn.matmul %x, %wq : tensor<2x16x768xf32>, tensor<768x768xf32>
    ```
    and so on. Split over devices, the columns of the fused product would have to be gathered before they are sliced; those of its parts are
    split by heads. Between the product and its slices may stand additions of constants, reshapes and transposes.
  }];
}

#endif // MPOPT_DIALECT_NN_TRANSFORMS_PASSES
