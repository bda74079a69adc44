#ifndef MPOPT_SEARCH_CONTESTFORMAT_H
#define MPOPT_SEARCH_CONTESTFORMAT_H

#include "mpopt/Search/Problem.h"

#include <string>

namespace mpopt::search {

/// Reads the JSON of the ASPLOS 2025 contest on intra-operator parallelism; a
/// path that ends in ".gz" is gunzipped. Costs of 10^18 and more become
/// kForbidden; equal matrices are shared. The problem passes check().
Result<Problem> readContestFile(const std::string &path);

/// Writes that format (gzipped when the path ends in ".gz"). Error: a node with
/// more than one usage component, which the format cannot hold.
Status writeContestFile(const Problem &problem, const std::string &path);

} // namespace mpopt::search

#endif // MPOPT_SEARCH_CONTESTFORMAT_H
