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
    Leading dimensions other than [batch, heads] are reshaped around it.
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

#endif // MPOPT_DIALECT_NN_TRANSFORMS_PASSES
