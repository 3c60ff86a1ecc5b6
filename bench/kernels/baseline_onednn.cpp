// oneDNN's batch norm, 2.6 to 3.x, with its ReLU where the call has one.
#include "bench/kernels/baseline.h"

#if defined(STOPGRAD_BENCH_ONEDNN)
#include <oneapi/dnnl/dnnl.hpp>

namespace stopgrad::bench {
namespace {

using dnnl::memory;
using Flags = dnnl::normalization_flags;

template <class T>
constexpr memory::data_type type_of =
    std::is_same_v<T, bf16> ? memory::data_type::bf16 : memory::data_type::f32;

/// A primitive with the memory that its arguments name; the pointers change from run to run.
struct Primitive {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::primitive primitive;
  std::unordered_map<int, memory> arguments;

  void add(int role, const memory::desc& layout) { arguments[role] = memory(layout, engine, nullptr); }
  void point(int role, const void* at) { arguments[role].set_data_handle(const_cast<void*>(at)); }
  void run() { primitive.execute(stream, arguments); }
};

/// Rows as pixels of one long image: the library then divides them among its threads.
memory::desc rows_of(int rows, int channels, memory::data_type type) {
  return {{1, channels, rows, 1}, type, memory::format_tag::nhwc};
}
memory::desc vector_of(int channels) { return {{channels}, memory::data_type::f32, memory::format_tag::a}; }

Flags flags_of(bool relu) {
  Flags flags = Flags::use_scale | Flags::use_shift;
  return relu ? flags | Flags::fuse_norm_relu : flags;
}

dnnl::batch_normalization_forward::primitive_desc forward_of(const dnnl::engine& engine,
                                                             const memory::desc& x, float eps, bool relu) {
  const auto kind = dnnl::prop_kind::forward_training;
#if DNNL_VERSION_MAJOR >= 3
  return {engine, kind, x, x, eps, flags_of(relu), dnnl::primitive_attr(), true};
#else
  return {{kind, x, eps, flags_of(relu)}, dnnl::primitive_attr(), engine, true};
#endif
}

dnnl::batch_normalization_backward::primitive_desc backward_of(
    const dnnl::engine& engine, const memory::desc& x, float eps, bool relu,
    const dnnl::batch_normalization_forward::primitive_desc& forward) {
  const auto kind = dnnl::prop_kind::backward;
#if DNNL_VERSION_MAJOR >= 3
  return {engine, kind, x, x, x, eps, flags_of(relu), forward, dnnl::primitive_attr(), true};
#else
  return {{kind, x, x, eps, flags_of(relu)}, dnnl::primitive_attr(), engine, forward, true};
#endif
}

}  // namespace

template <class T>
Baseline<BatchNormForward<T>> onednn_batch_norm(const BatchNormForward<T>& call, const Device& device) {
  if (!device.is_cpu() || call.groups != 1 || call.residual != nullptr || !call.gamma || !call.beta)
    return {};
  auto p = std::make_shared<Primitive>();
  const memory::desc x = rows_of(call.rows, call.channels, type_of<T>), vector = vector_of(call.channels);
  const auto descriptor = forward_of(p->engine, x, call.eps, call.relu);
  if (!descriptor) return {};
  p->primitive = dnnl::batch_normalization_forward(descriptor);
  for (const int role : {DNNL_ARG_SRC, DNNL_ARG_DST}) p->add(role, x);
  for (const int role : {DNNL_ARG_SCALE, DNNL_ARG_SHIFT, DNNL_ARG_MEAN, DNNL_ARG_VARIANCE})
    p->add(role, vector);
  if (call.relu) p->arguments[DNNL_ARG_WORKSPACE] = memory(descriptor.workspace_desc(), p->engine);
  return {"oneDNN", [p](const BatchNormForward<T>& c) {
            p->point(DNNL_ARG_SRC, c.x);
            p->point(DNNL_ARG_DST, c.y);
            p->point(DNNL_ARG_SCALE, c.gamma);
            p->point(DNNL_ARG_SHIFT, c.beta);
            p->point(DNNL_ARG_MEAN, c.mean);
            p->point(DNNL_ARG_VARIANCE, c.rstd);
            p->run();
          }};
}

template <class T>
Baseline<BatchNormBackward<T>> onednn_batch_norm(const BatchNormBackward<T>& call, const Device& device) {
  if (!device.is_cpu() || call.groups != 1 || call.has_residual) return {};
  auto p = std::make_shared<Primitive>();
  const memory::desc x = rows_of(call.rows, call.channels, type_of<T>), vector = vector_of(call.channels);
  constexpr float eps = 1e-5f;
  const auto forward = forward_of(p->engine, x, eps, call.relu);
  if (!forward) return {};  // bf16 on AVX2; the library throws at such a hint
  const auto descriptor = backward_of(p->engine, x, eps, call.relu, forward);
  if (!descriptor) return {};
  p->primitive = dnnl::batch_normalization_backward(descriptor);
  for (const int role : {DNNL_ARG_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_SRC}) p->add(role, x);
  for (const int role : {DNNL_ARG_SCALE, DNNL_ARG_SHIFT, DNNL_ARG_DIFF_SCALE, DNNL_ARG_DIFF_SHIFT})
    p->add(role, vector);
  // What its forward leaves for its backward: the variance in place of 1 / std, and the ReLU's mask.
  for (const int role : {DNNL_ARG_MEAN, DNNL_ARG_VARIANCE}) p->arguments[role] = memory(vector, p->engine);
  if (call.relu) p->arguments[DNNL_ARG_WORKSPACE] = memory(descriptor.workspace_desc(), p->engine);
  std::unordered_map<int, memory> first = p->arguments;
  first[DNNL_ARG_DST] = memory(x, p->engine);
  first[DNNL_ARG_SRC].set_data_handle(const_cast<T*>(call.x));
  first[DNNL_ARG_SCALE].set_data_handle(const_cast<float*>(call.gamma));
  first[DNNL_ARG_SHIFT].set_data_handle(const_cast<float*>(call.beta));
  dnnl::batch_normalization_forward(forward).execute(p->stream, first);
  p->stream.wait();
  return {"oneDNN", [p](const BatchNormBackward<T>& c) {
            p->point(DNNL_ARG_SRC, c.x);
            p->point(DNNL_ARG_DIFF_DST, c.dy);
            p->point(DNNL_ARG_DIFF_SRC, c.dx);
            p->point(DNNL_ARG_SCALE, c.gamma);
            p->point(DNNL_ARG_SHIFT, c.beta);
            p->point(DNNL_ARG_DIFF_SCALE, c.dgamma);
            p->point(DNNL_ARG_DIFF_SHIFT, c.dbeta);
            p->run();
          }};
}

template Baseline<BatchNormForward<float>> onednn_batch_norm(const BatchNormForward<float>&, const Device&);
template Baseline<BatchNormForward<bf16>> onednn_batch_norm(const BatchNormForward<bf16>&, const Device&);
template Baseline<BatchNormBackward<float>> onednn_batch_norm(const BatchNormBackward<float>&, const Device&);
template Baseline<BatchNormBackward<bf16>> onednn_batch_norm(const BatchNormBackward<bf16>&, const Device&);

}  // namespace stopgrad::bench
#endif
