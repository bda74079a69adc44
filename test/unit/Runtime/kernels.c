// Kernels of the runtime's tests, on tensors of 64 floats.
enum { kCount = 64 };
typedef float AnywhereFloat __attribute__((aligned(1))); // a source buffer may begin at any byte

void add_one(void *const *args) {
  const AnywhereFloat *from = args[0];
  float *to = args[1];
  for (int i = 0; i < kCount; ++i)
    to[i] = from[i] + 1;
}

void add(void *const *args) {
  const float *a = args[0], *b = args[1];
  float *to = args[2];
  for (int i = 0; i < kCount; ++i)
    to[i] = a[i] + b[i];
}
