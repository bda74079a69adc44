#ifndef MPOPT_PLANNING_OPTIONS_H
#define MPOPT_PLANNING_OPTIONS_H

#include "mpopt/Machine/Machine.h"
#include "mpopt/Support/Result.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mpopt::planning {

/// What a group of mesh axes does in a classic layout, in the order in which axes are dealt: data parallelism crosses the
/// slowest links, tensor parallelism the fastest.
///  Data      splits the batch, wherever an operator has one.
///  Expert    splits experts; between them, the batch where that pays.
///  Sequence  splits positions.
///  Tensor    splits what is neither batch nor sequence, in every operator with a matrix of weights and over attention heads. Between
///            such operators it may also split positions.
enum class Role : uint8_t { Data, Expert, Sequence, Tensor };
inline constexpr std::array<Role, 4> kRoles = {Role::Data, Role::Expert, Role::Sequence, Role::Tensor};

/// "dp", "ep", "sp", "tp".
std::string_view name(Role role);

/// A classic layout that the plan must have: the number of devices per role, and of pipeline stages and microbatches.
struct Strategy {
  std::array<int64_t, kRoles.size()> ways = {1, 1, 1, 1};
  int64_t stages = 1; ///< Each on as many devices as the roles need; one after the other on the slowest links.
  /// Devices of each stage where these are given ("pp=4+3"); else empty, and stages are equal where the devices divide evenly.
  std::vector<int64_t> stageDevices;
  /// By role: the number in each stage where stages differ in it ("tp=4+3"); else empty, and `ways` holds for all.
  std::array<std::vector<int64_t>, kRoles.size()> stageWays;
  int64_t microbatches = 1; ///< Equal parts of the batch that go through the stages one after the other.
  /// Whether the roles say how a stage is laid out. Where they do not the planner chooses.
  bool hasRoles = true;

  int64_t &operator[](Role role) { return ways[static_cast<size_t>(role)]; }
  int64_t operator[](Role role) const { return ways[static_cast<size_t>(role)]; }
  /// Devices that the roles of one stage make.
  int64_t devices() const;
  /// Devices of each stage; empty where neither the stages' sizes nor roles say them.
  std::vector<int64_t> sizes() const;
  /// The roles in one stage, as a strategy without stages.
  Strategy ofStage(size_t stage) const;
  /// Whether stages differ in size or roles on that many devices, so that each has a mesh of its own.
  bool isUneven(int64_t devices) const;
  /// "pp=2,mb=4,dp=2,tp=4" or "pp=4+3,tp=4+3", without what is 1.
  std::string text() const;
};

/// Reads "pp=2,mb=4,dp=2,tp=4" or "pp=4+3,mb=4,tp=4+3". Errors: an unknown or repeated key, a number below 1, a product past 2^31, a list of
/// other than one number per stage.
Result<Strategy> parseStrategy(std::string_view text);

/// How one dimension of a pinned value is split: over these axes, major to minor, or over any axes of that product.
struct DimPin {
  std::vector<std::string> axes;
  std::optional<int64_t> ways;
};

/// The sharding that a value must have: the results of the node, the input, the output or the weight (wherever it is used) of that
/// name. `pattern` may hold the wildcards * and ?.
struct Pin {
  std::string pattern;
  std::vector<DimPin> dims;
};

/// Reads a pin file, TOML where `file` ends in ".toml" and JSON otherwise; `file` names it in errors.
///   {"pin": [{"name": "/encoder/layer.0/MatMul", "sharding": [["x0"], [], 2]}]}
///   [[pin]]
///   name = "input_ids"
///   sharding = [2, 1]
Result<std::vector<Pin>> parsePins(const std::string &text, const std::string &file);

/// A sharding that a model's own annotations ask of a node's result or operand. One that no way to spread the operator gives is ignored, with a
/// warning.
struct NodePin {
  std::string node;
  std::string tensor; ///< Its ONNX name, for messages.
  /// The number of the result, of the node's last operator; or else the operand that comes from `source`.
  std::optional<unsigned> result;
  std::string source; ///< A weight, an input, or a node.
  struct Dim {
    int64_t dim = 0; ///< Negative: from the back.
    DimPin split;
    /// Blocks that are dealt out, where the annotation says it.
    std::optional<int64_t> blocks;
  };
  std::vector<Dim> dims; ///< Dimensions that are not listed are whole.
  /// The pipeline stage whose axes these are, where stages have meshes of their own.
  std::optional<int64_t> stage;
};

/// The pipeline stage that a model's own annotations ask for, of all operators of a node.
struct StagePin {
  std::string node;
  int64_t stage = 0;
};

/// A whole plan that is to be made again, as an account (--json) has it. Shardings are texts of shardingText().
struct FixedPlan {
  struct Operator {
    std::string node, op;
    std::vector<std::string> in, out;
  };
  std::string file; ///< For messages.
  int64_t devices = 1;
  std::string machine;
  std::string objective; ///< Which the cuts of a pipeline depend on.
  std::string mesh;      ///< "x0=2,x1=2"
  std::optional<Strategy> strategy;
  std::vector<std::string> dims; ///< As for --dim.
  std::vector<Operator> operators;
  std::vector<std::string> inputs, outputs;
};

/// Reads the JSON of an account; `file` names it in errors.
Result<FixedPlan> parseFixedPlan(const std::string &text, const std::string &file);

struct PlanOptions {
  /// The machine as loaded, before machine::forDevices.
  const machine::Machine *machine = nullptr;
  int64_t devices = 1;
  /// "latency": least time of a step. "throughput": least time from step to step, where each stage begins the next step as soon as it
  /// can; without stages that is the same. "memory": least memory per device, then least time.
  std::string objective = "latency";
  std::optional<Strategy> strategy;
  std::vector<Pin> pins;
  std::vector<NodePin> nodePins;
  /// Where the strategy has stages. Those that do not make runs of operators, or too large ones, are ignored, with a warning.
  std::vector<StagePin> stagePins;
  /// The plan to make again; what it does not hold any more is an error.
  std::optional<FixedPlan> fixed;
  /// Bytes that a plan may use per device; the machine's when not given.
  std::optional<int64_t> memoryLimit;
  /// Of that, the share that planning may fill: what padding of weights and gaps between buffers take beside what it counts is known only when all is
  /// laid out.
  double memoryShare = 1;
  /// Whether to find out what the next best decisions would cost.
  bool explain = false;
};

} // namespace mpopt::planning

#endif // MPOPT_PLANNING_OPTIONS_H
