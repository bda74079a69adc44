#ifndef MPOPT_TOOLS_PRICE_CASES_H
#define MPOPT_TOOLS_PRICE_CASES_H

#include "mpopt/Cost/Training/Calibrate.h"

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

/// One line of input: a step to price, and to calibrate by if it says so.
struct Case {
  nlohmann::ordered_json id;
  std::string family; ///< Groups of one family are one program on several machines: their constants are alike.
  std::string group;  ///< Cases of one group share a stack.
  mpopt::machine::Stack stack;
  mpopt::cost::MeasuredStep step;
  bool calibrate = false;
  int64_t devices = 0; ///< Where above 0, the layout over so many devices is asked for, not a price.
  bool recomputeStated = true;
  bool interleaveStated = true;
};

/// Machines by name or path, each read once.
class Machines {
public:
  mpopt::Result<const mpopt::machine::Machine *> get(const std::string &name);

private:
  std::map<std::string, std::unique_ptr<mpopt::machine::Machine>> machines;
};

/// Reads one JSON object (the keys are in --help). Errors name the key.
mpopt::Result<Case> readCase(const nlohmann::ordered_json &line, Machines &machines);

#endif // MPOPT_TOOLS_PRICE_CASES_H
