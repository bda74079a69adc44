#ifndef MPOPT_TEST_SUPPORT_CUDA_FAKEDRIVER_H
#define MPOPT_TEST_SUPPORT_CUDA_FAKEDRIVER_H

/// What the fake libraries share. Time is simulated: work takes what a simple model says, and nothing is computed. The
/// variable MPOPT_FAKE_CUDA chooses a defect, by name: no-device, full-memory, broken-kernel, broken-blas; or
/// two-gpus.
namespace mpopt::fake {

constexpr int kUnits = 100;
constexpr double kMemoryBandwidth = 1e12;
constexpr double kCacheBandwidth = 4e12;
constexpr double kLaunchSeconds = 2e-6;
constexpr double kPeerLatency = 5e-6;
constexpr double kPeerBandwidth = 5e10;

/// Whether MPOPT_FAKE_CUDA is `name`.
bool chosen(const char *name);

} // namespace mpopt::fake

/// Work on the GPU, of so many seconds; exported by the fake driver to the fake cuBLASLt.
extern "C" void fakeCudaWork(double seconds);

#endif // MPOPT_TEST_SUPPORT_CUDA_FAKEDRIVER_H
