#ifndef MPOPT_LIB_PLANNING_LAYOUTS_H
#define MPOPT_LIB_PLANNING_LAYOUTS_H

#include "Model.h"

namespace mpopt::planning {

/// Says in the field's words how an option spreads its operator: "column-parallel x4", "batch split x2, heads split x4", "replicated".
/// Options with the same words are the same decision to a person, whatever axes they use.
class Layouts {
public:
  Layouts(mlir::func::FuncOp main, const PlanMesh &mesh, const Prices &prices)
      : roles(main), mesh(mesh), prices(prices) {}

  std::string words(mlir::Operation *op, const Option &option) const;

  /// Whether people care how an operator is spread: it has a matrix of weights, is a matrix product, an attention or a convolution.
  static bool isDecisive(mlir::Operation *op);

private:
  std::string wordOf(mlir::Operation *op, const shd::PartitionRule &rule, const Segments &segments, unsigned factor,
                     int64_t ways) const;

  DimRoles roles;
  const PlanMesh &mesh;
  const Prices &prices;
};

} // namespace mpopt::planning

#endif // MPOPT_LIB_PLANNING_LAYOUTS_H
