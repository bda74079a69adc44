#ifndef MPOPT_TEST_UNIT_RUNTIME_PLANMAKER_H
#define MPOPT_TEST_UNIT_RUNTIME_PLANMAKER_H

#include "core/Npy.h"

#include <gtest/gtest.h>

namespace mpopt::runtime {

/// Sanitizers have a heap of their own and take all of the address space.
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

/// Builds small plans by hand. Programs share nothing; buffers and instructions go to the program that was begun last.
class PlanMaker {
public:
  explicit PlanMaker(unsigned ranks);

  plan::PlanT plan;

  /// All ranks run program 0 unless told otherwise.
  void beginProgram() { plan.programs.push_back(std::make_unique<plan::ProgramT>()); }
  plan::ProgramT &program() { return *plan.programs.back(); }

  uint32_t work(std::vector<int64_t> shape, plan::DType dtype = plan::DType::f32);
  /// The same bytes under another shape.
  uint32_t view(uint32_t buffer, std::vector<int64_t> shape);
  /// A weight that all ranks share, in the weights file.
  uint32_t weights(std::vector<int64_t> shape, const std::vector<float> &values);
  uint32_t groups(const std::vector<std::vector<uint32_t>> &ranks);

  void kernel(const std::string &symbol, std::vector<uint32_t> reads, std::vector<uint32_t> writes);
  void copy(uint32_t from, uint32_t to);
  plan::CollectiveT &collective(plan::CollectiveKind kind, uint32_t groupSet, uint32_t from, uint32_t to);
  /// A dispatch or a combine.
  plan::CollectiveT &route(plan::CollectiveKind kind, uint32_t groupSet, uint32_t from, uint32_t indices, uint32_t to,
                           int64_t experts);
  void send(int32_t distance, uint32_t tag, uint32_t buffer);
  void recv(int32_t distance, uint32_t tag, uint32_t buffer);
  /// From payloads of that shape.
  uint32_t transfer(std::vector<int64_t> shape, const std::vector<plan::PieceT> &pieces);
  void sendBy(uint32_t transfer, uint32_t tag, uint32_t buffer);
  void recvBy(uint32_t transfer, uint32_t tag, uint32_t buffer);

  /// Ports of shape [ranks, local...]: rank r's buffer, of shape [1, local...], holds row r. `buffers` per rank, or one for all.
  void input(const std::string &name, std::vector<int32_t> buffers) { port(plan.inputs, name, std::move(buffers)); }
  void output(const std::string &name, std::vector<int32_t> buffers) { port(plan.outputs, name, std::move(buffers)); }

  /// Takes the test kernels into the plan, writes it and its weights into the test's folder, and returns the plan's path.
  std::string write(const std::string &name = "test");

private:
  template <typename OpT> plan::InstructionT &add(OpT op, std::vector<uint32_t> reads, std::vector<uint32_t> writes);
  void port(std::vector<std::unique_ptr<plan::PortT>> &ports, const std::string &name, std::vector<int32_t> buffers);

  std::vector<std::byte> weightBytes;
  uint32_t numCollectives = 0;
};

/// A folder of the running test, empty at its start.
std::string testFolder();

/// Tensors of small whole numbers, exact in every type.
Tensor makeTensor(plan::DType dtype, std::vector<int64_t> shape, const std::vector<double> &values);
std::vector<double> valuesOf(const Tensor &tensor);

/// Runs the plan at `path` on `inputs`; the outputs, or the error.
Result<std::vector<Tensor>> runPlan(const std::string &path, const std::vector<Tensor> &inputs, bool processes = false,
                                    uint64_t steps = 1, double timeoutSeconds = 20);

} // namespace mpopt::runtime

#endif // MPOPT_TEST_UNIT_RUNTIME_PLANMAKER_H
