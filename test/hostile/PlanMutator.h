#ifndef MPOPT_TEST_HOSTILE_PLANMUTATOR_H
#define MPOPT_TEST_HOSTILE_PLANMUTATOR_H

#include <cstddef>
#include <cstdint>
#include <string>

namespace mpopt::hostile {

/// Changes the FlatBuffer of a plan in place as an object: numbers of its tables set, entries of its lists copied, dropped and swapped.
/// What is no plan stays as it is. Returns the new size, at most `maxSize`.
size_t mutatePlan(uint8_t *data, size_t size, size_t maxSize, unsigned seed);

/// What the file `weights.bin` of the seeds holds.
std::string seedWeights();

} // namespace mpopt::hostile

#endif // MPOPT_TEST_HOSTILE_PLANMUTATOR_H
