#ifndef MPOPT_RUNTIME_LAUNCH_CORES_H
#define MPOPT_RUNTIME_LAUNCH_CORES_H

#include <cstddef>
#include <vector>

namespace mpopt::runtime {

/// A core of its own for each rank, of those that this process may use; none when there are fewer cores than ranks, and none when
/// the ranks take half of them or less: other runs may then share the host, and would choose the same ones.
std::vector<int> coresFor(size_t ranks);

/// Keeps the calling thread on a core. Without the right to do so it runs where it may.
void stayOn(int core);

} // namespace mpopt::runtime

#endif // MPOPT_RUNTIME_LAUNCH_CORES_H
