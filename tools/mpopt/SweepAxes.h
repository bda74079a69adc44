#ifndef MPOPT_TOOLS_MPOPT_SWEEPAXES_H
#define MPOPT_TOOLS_MPOPT_SWEEPAXES_H

#include "mpopt/Support/Result.h"
#include <map>
#include <string>
#include <vector>

namespace mpopt {

/// What a sweep varies: "devices", "machine", "global-batch" of training, or a dimension of the model, and its values; numbers ascend.
struct Axis {
  std::string name;
  std::vector<std::string> values;
};

/// Reads "devices=1,2,4" and the like, one axis each. Devices come first, being what charts go by. Errors name the flag.
Result<std::vector<Axis>> parseAxes(const std::vector<std::string> &texts);

/// Price of a device for an hour, by machine; the entry "" is for all others.
using PriceList = std::map<std::string, double>;

/// Reads "2.5", "h100=2.5". Errors name the flag.
Result<PriceList> parsePrices(const std::vector<std::string> &texts);

} // namespace mpopt

#endif // MPOPT_TOOLS_MPOPT_SWEEPAXES_H
