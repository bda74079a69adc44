#ifndef MPOPT_LIB_PLANNING_TRAINING_TRANSFORMER_H
#define MPOPT_LIB_PLANNING_TRAINING_TRANSFORMER_H

#include "Chain.h"
#include "mpopt/Cost/Training/Transformer.h"
#include "mpopt/Support/Result.h"

namespace mpopt::planning {

/// The shape of a model whose layers are the copies of `layer`. Errors say in a few words what is missing.
Result<cost::TransformerShape> transformerShape(const Chain &chain, const Repeat &layer);

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_TRAINING_TRANSFORMER_H
