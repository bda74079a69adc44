#ifndef MPOPT_TEST_HOSTILE_MODELMUTATOR_H
#define MPOPT_TEST_HOSTILE_MODELMUTATOR_H

#include <cstddef>
#include <cstdint>

namespace mpopt::hostile {

/// Changes an ONNX model in place as a tree of messages, by protobuf's reflection: fields set, cleared, copied from elsewhere in the model,
/// entries of lists added, dropped and swapped; operators renamed to any that ONNX knows. What is no model becomes a small one. Returns the new
/// size, at most `maxSize`.
size_t mutateModel(uint8_t *data, size_t size, size_t maxSize, unsigned seed);

} // namespace mpopt::hostile

#endif // MPOPT_TEST_HOSTILE_MODELMUTATOR_H
