#ifndef MPOPT_LIB_PIPELINES_ANNOTATIONS_H
#define MPOPT_LIB_PIPELINES_ANNOTATIONS_H

#include "mpopt/Pipelines/Compile.h"

namespace mpopt {

struct AnnotationPins {
  std::vector<planning::NodePin> pins;
  std::vector<planning::StagePin> stages;
  /// The pipeline that the stages are of, where the options have none.
  std::optional<planning::Strategy> strategy;
  std::string warning; ///< What of the annotations cannot be taken over; empty where all is.
};

/// What the annotations of a model's file ask of a plan with these options; nothing where it has none, or none for that number of devices.
Result<AnnotationPins> annotationPins(const std::string &model, const planning::PlanOptions &plan);

} // namespace mpopt

#endif // MPOPT_LIB_PIPELINES_ANNOTATIONS_H
