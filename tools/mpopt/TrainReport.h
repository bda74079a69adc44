#ifndef MPOPT_TOOLS_MPOPT_TRAINREPORT_H
#define MPOPT_TOOLS_MPOPT_TRAINREPORT_H

#include "mpopt/Planning/Training.h"
#include "mpopt/Search/TrainingPlanner.h"
#include "llvm/Support/raw_ostream.h"

namespace mpopt {

/// The account of a training plan for people.
void printTraining(const planning::TrainingModel &model, const search::TrainingQuery &query,
                   const search::TrainingAnswer &answer, llvm::raw_ostream &os);

/// The same of a graph whose blocks have ways of their own; `why` says why it is no transformer.
void printTraining(const planning::TrainingGraph &graph, const std::string &why, const search::GraphQuery &query,
                   const search::GraphAnswer &answer, llvm::raw_ostream &os);

} // namespace mpopt

#endif // MPOPT_TOOLS_MPOPT_TRAINREPORT_H
