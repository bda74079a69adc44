#include "device/cpu/WindowLibrary.h"

#include <algorithm>
#include <cmath>
#include <dlfcn.h>
#include <dnnl.hpp>
#include <new>

namespace mpopt::runtime {
namespace {

using dnnl::memory;
using Dims = memory::dims;

/// Uninitialised memory aligned for oneDNN.
struct FreeAligned {
  void operator()(void *memory) const { ::operator delete(memory, std::align_val_t(64)); }
};
using Block = std::unique_ptr<void, FreeAligned>;
Block allocate(size_t bytes) { return Block(::operator new(std::max<size_t>(bytes, 64), std::align_val_t(64))); }

memory::desc plain(std::span<const int64_t> shape) {
  Dims dims(shape.begin(), shape.end()), strides(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0; stride *= shape[i])
    strides[i] = stride;
  return {dims, memory::data_type::f32, strides};
}

memory::desc anyLayout(const Dims &dims) { return {dims, memory::data_type::f32, memory::format_tag::any}; }

/// oneDNN counts a dense window as dilation 0.
Dims lessOne(const std::vector<int64_t> &values) {
  Dims out(values);
  for (auto &value : out)
    --value;
  return out;
}

/// Weights [o, i, k...] as oneDNN's grouped [g, o / g, i, k...].
Dims groupedDims(std::span<const int64_t> shape, int64_t groups) {
  Dims dims(shape.begin(), shape.end());
  if (groups > 1) {
    dims[0] /= groups;
    dims.insert(dims.begin(), groups);
  }
  return dims;
}

/// A list of primitives with their arguments. oneDNN's C interface is called, which takes arguments as a plain array.
class Sequence : public Launch {
public:
  Sequence(dnnl::engine engine, dnnl::stream stream) : engine(std::move(engine)), stream(std::move(stream)) {}

  memory wrap(const memory::desc &desc, void *data) { return memory(desc, engine, data); }
  memory own(const memory::desc &desc) {
    blocks.push_back(allocate(desc.get_size()));
    return memory(desc, engine, blocks.back().get());
  }

  void add(const dnnl::primitive &primitive, std::vector<std::pair<int, memory>> args) {
    Step step{primitive, {}, {}};
    for (auto &[name, value] : args) {
      step.args.push_back({name, value.get()});
      step.kept.push_back(value);
    }
    steps.push_back(std::move(step));
  }

  /// The contents of `from` in layout `to`, from now on refreshed at every run.
  memory reordered(const memory &from, const memory::desc &to) {
    if (from.get_desc() == to)
      return from;
    memory out = own(to);
    addReorder(from, out);
    return out;
  }
  void addReorder(const memory &from, const memory &to) {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    dnnl::reorder::primitive_desc desc(from, to, attr);
    add(dnnl::reorder(desc),
        {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}, {DNNL_ARG_SCRATCHPAD, own(desc.scratchpad_desc())}});
  }
  /// The same, once and for all.
  memory reorderedNow(const memory &from, const memory::desc &to) {
    if (from.get_desc() == to)
      return from;
    memory out = own(to), source = from;
    dnnl::reorder(source, out).execute(stream, source, out);
    return out;
  }

  Status submit() override {
    for (Step &step : steps)
      if (auto status = dnnl_primitive_execute(step.primitive.get(), stream.get(), static_cast<int>(step.args.size()),
                                               step.args.data());
          status != dnnl_success)
        return error("oneDNN failed: " + std::string(dnnl_status2str(status)));
    return {};
  }

private:
  static const char *dnnl_status2str(dnnl_status_t status) {
    return status == dnnl_out_of_memory ? "out of memory" : "internal error";
  }
  struct Step {
    dnnl::primitive primitive;
    std::vector<dnnl_exec_arg_t> args;
    std::vector<memory> kept;
  };
  dnnl::engine engine;
  dnnl::stream stream;
  std::vector<Block> blocks;
  std::vector<Step> steps;
};

/// A convolution over the few channels of an image: oneDNN reads it plain, and computes many times faster when it may write
/// blocks of channels.
bool readsImage(const WindowParams &params, std::span<const int64_t> x, std::span<const int64_t> w) {
  return params.groups == 1 && x[1] <= 4 && w[0] >= 8;
}

/// Whether reordering x and y pays: when enough is computed for each of their elements, and always with groups, whose plain
/// form oneDNN computes by its reference loops.
bool wantsBlocked(const WindowParams &params, std::span<const int64_t> x, std::span<const int64_t> w) {
  constexpr double kFlopsPerElement = 16;
  double perInput = 2.0 * static_cast<double>(w[0]) / params.groups, perOutput = 2.0 * static_cast<double>(w[1]);
  for (size_t i = 2; i < w.size(); ++i) {
    perInput *= static_cast<double>(w[i]) / params.strides[i - 2];
    perOutput *= static_cast<double>(w[i]);
  }
  return x[1] >= 8 && (params.groups > 1 || std::min(perInput, perOutput) >= kFlopsPerElement);
}

dnnl::primitive_attr attributes(bool relu) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (relu) {
    dnnl::post_ops ops;
    ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
    attr.set_post_ops(ops);
  }
  return attr;
}

void addConvolution(Sequence &sequence, const dnnl::engine &engine, const WindowParams &params,
                    const Operands &operands) {
  const BufferView &x = operands.reads[0], &w = operands.reads[1], &y = operands.writes[0];
  bool hasBias = operands.reads.size() > 2, blocked = wantsBlocked(params, x.shape, w.shape);
  memory::desc plainX = plain(x.shape), plainY = plain(y.shape),
               bias = plain(hasBias ? operands.reads[2].shape : w.shape.first(0));
  Dims weightDims = groupedDims(w.shape, params.groups);
  memory::desc askedX = blocked ? anyLayout(plainX.dims()) : plainX,
               askedY = blocked || readsImage(params, x.shape, w.shape) ? anyLayout(plainY.dims()) : plainY;
  auto algorithm = dnnl::algorithm::convolution_direct;
  auto kind = dnnl::prop_kind::forward_inference;
  Dims dilations = lessOne(params.dilations);
  auto desc = hasBias ? dnnl::convolution_forward::desc(kind, algorithm, askedX, anyLayout(weightDims), bias, askedY,
                                                        params.strides, dilations, params.padsBegin, params.padsEnd)
                      : dnnl::convolution_forward::desc(kind, algorithm, askedX, anyLayout(weightDims), askedY,
                                                        params.strides, dilations, params.padsBegin, params.padsEnd);
  dnnl::convolution_forward::primitive_desc chosen(desc, attributes(params.relu), engine);

  memory source = sequence.reordered(sequence.wrap(plainX, x.data), chosen.src_desc());
  memory plainWeights = sequence.wrap(plain(weightDims), w.data);
  memory weights = w.constant ? sequence.reorderedNow(plainWeights, chosen.weights_desc())
                              : sequence.reordered(plainWeights, chosen.weights_desc());
  memory target = sequence.wrap(plainY, y.data);
  memory result = chosen.dst_desc() == plainY ? target : sequence.own(chosen.dst_desc());
  std::vector<std::pair<int, memory>> args = {{DNNL_ARG_SRC, source},
                                              {DNNL_ARG_WEIGHTS, weights},
                                              {DNNL_ARG_DST, result},
                                              {DNNL_ARG_SCRATCHPAD, sequence.own(chosen.scratchpad_desc())}};
  if (hasBias)
    args.emplace_back(DNNL_ARG_BIAS, sequence.wrap(bias, operands.reads[2].data));
  sequence.add(dnnl::convolution_forward(chosen), std::move(args));
  if (result != target)
    sequence.addReorder(result, target);
}

template <typename Pooling, typename Desc>
void addPooling(Sequence &sequence, const dnnl::engine &engine, const Desc &desc, const Operands &operands) {
  typename Pooling::primitive_desc chosen(desc, attributes(false), engine);
  sequence.add(Pooling(chosen),
               {{DNNL_ARG_SRC, sequence.wrap(plain(operands.reads[0].shape), operands.reads[0].data)},
                {DNNL_ARG_DST, sequence.wrap(plain(operands.writes[0].shape), operands.writes[0].data)},
                {DNNL_ARG_SCRATCHPAD, sequence.own(chosen.scratchpad_desc())}});
}

void addPooling(Sequence &sequence, const dnnl::engine &engine, const WindowParams &params, const Operands &operands) {
  memory::desc x = plain(operands.reads[0].shape), y = plain(operands.writes[0].shape);
  auto algorithm = params.kind == WindowParams::Kind::maxPool ? dnnl::algorithm::pooling_max
                   : params.countIncludePad                   ? dnnl::algorithm::pooling_avg_include_padding
                                                              : dnnl::algorithm::pooling_avg_exclude_padding;
  auto kind = dnnl::prop_kind::forward_inference;
  bool dense = std::ranges::all_of(params.dilations, [](int64_t dilation) { return dilation == 1; });
  if (dense)
    addPooling<dnnl::pooling_forward>(sequence, engine,
                                      dnnl::pooling_forward::desc(kind, algorithm, x, y, params.strides, params.kernel,
                                                                  params.padsBegin, params.padsEnd),
                                      operands);
  else
    addPooling<dnnl::pooling_v2_forward>(sequence, engine,
                                         dnnl::pooling_v2_forward::desc(kind, algorithm, x, y, params.strides,
                                                                        params.kernel, lessOne(params.dilations),
                                                                        params.padsBegin, params.padsEnd),
                                         operands);
}

/// Ranks are the parallelism: oneDNN asks OpenMP how many threads the calling thread may have.
void useOneThread() {
  if (auto *setThreads = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads")))
    setThreads(1);
}

} // namespace

struct WindowLibrary::State {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
};

WindowLibrary::WindowLibrary() {
  useOneThread();
  state = std::make_unique<State>();
}
WindowLibrary::~WindowLibrary() = default;

Result<LaunchPtr> WindowLibrary::prepare(const plan::LibraryCall &call, const Operands &operands) {
  auto params = WindowParams::parse(call, operands);
  if (!params)
    return tl::unexpected(params.error());
  try {
    auto sequence = std::make_unique<Sequence>(state->engine, state->stream);
    if (params->kind == WindowParams::Kind::conv)
      addConvolution(*sequence, state->engine, *params, operands);
    else
      addPooling(*sequence, state->engine, *params, operands);
    return sequence;
  } catch (const dnnl::error &failure) {
    return error("oneDNN refuses '" + call.kind()->str() + "': " + failure.what());
  } catch (const std::bad_alloc &) {
    return error("not enough memory to prepare '" + call.kind()->str() + "'");
  }
}

} // namespace mpopt::runtime
