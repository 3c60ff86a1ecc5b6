// All that the house knows of oneDNN, 2.6 to 3.x, in its OpenMP build.
#include "kernels/onednn.h"

#include "kernels/check.h"
#include "kernels/cpu_features.h"
#include "kernels/plans.h"

namespace stopgrad::cpu {
void require_fast_bf16() {
  if (bf16_is_fast_here()) return;
  fail(Exit::config,
       "bf16: needs a processor with AVX512_BF16 or AMX and a build with oneDNN, use float32 here");
}
}  // namespace stopgrad::cpu

#ifdef STOPGRAD_ONEDNN

#include <oneapi/dnnl/dnnl.hpp>

#ifdef _OPENMP
#include <omp.h>
#endif

#include <array>
#include <cstdint>
#include <map>
#include <string_view>
#include <unordered_map>

#include "kernels/plain.h"
#include "kernels/scratch_pieces.h"

namespace stopgrad::cpu {

bool bf16_is_fast_here() {
  const auto needed = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);  // one bit per feature
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & needed) == needed;
}

namespace onednn {
namespace {

using dnnl::memory;
using Type = memory::data_type;
using Layout = memory::format_tag;

template <class T>
constexpr Type type_of = std::is_same_v<T, bf16> ? Type::bf16 : Type::f32;

/// The library takes as many threads as OpenMP would give the calling thread, when a primitive is made and
/// when it runs.
class ThreadsOf {
 public:
#ifdef _OPENMP
  explicit ThreadsOf(const Context& context) : before_(omp_get_max_threads()) {
    omp_set_num_threads(context.threads());
  }
  ~ThreadsOf() { omp_set_num_threads(before_); }

 private:
  int before_;
#else
  explicit ThreadsOf(const Context&) {}
#endif
};

/// A primitive descriptor, empty where the library has none. Version 3 did away with the inner descriptor; a
/// backward primitive also takes that of the forward as a hint.
template <class Primitive, class... Sizes>
auto describe(const dnnl::engine& engine, const dnnl::primitive_attr& attributes, const Sizes&... sizes) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Primitive::primitive_desc(engine, sizes..., attributes, true);
#else
  return typename Primitive::primitive_desc({sizes...}, attributes, engine, true);
#endif
}
template <class Primitive, class Forward, class... Sizes>
auto describe_backward(const dnnl::engine& engine, const dnnl::primitive_attr& attributes,
                       const Forward& hint, const Sizes&... sizes) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Primitive::primitive_desc(engine, sizes..., hint, attributes, true);
#else
  return typename Primitive::primitive_desc({sizes...}, attributes, engine, hint, true);
#endif
}

/// A primitive with its three tensors; `main` is empty where the library has none better than its reference
/// loops. Weights of convolutions are repacked between OHWI and the layout that `main` likes, before or after
/// it.
struct Plan {
  dnnl::primitive main, repack;
  memory x, weights, packed, y, scratchpad;
  std::unordered_map<int, memory> arguments, repack_arguments;
  size_t packed_bytes = 0, scratchpad_bytes = 0;
};

enum class Kind { forward, by_input, by_weight, gemm };
using Key = std::array<int, 12>;  // kind, types, sizes, flags

struct Library : LibraryPlans {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::map<Key, Plan> plans;

  static Library& of(Context& context) { return static_cast<Library&>(context.plans()); }
};

dnnl::primitive_attr attributes(bool add_to_result) {
  dnnl::primitive_attr a;
  a.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops sum;
  if (add_to_result) sum.append_sum(1.0f);
  a.set_post_ops(sum);
  return a;
}

/// The main primitive of a plan and what memory it wants for `role`, the weights.
template <class Descriptor>
memory::desc adopt(Plan& plan, const dnnl::engine& engine, const Descriptor& descriptor, dnnl::query role) {
  if (!descriptor || std::string_view(descriptor.impl_info_str()).starts_with("ref")) return {};
  plan.main = dnnl::primitive(descriptor);
  plan.scratchpad = memory(descriptor.scratchpad_desc(), engine, nullptr);
  plan.scratchpad_bytes = descriptor.scratchpad_desc().get_size();
  plan.arguments[DNNL_ARG_SCRATCHPAD] = plan.scratchpad;
  return descriptor.query_md(role);
}

/// 2.6.3 gives wrong weight gradients of strided 1x1 layers whose channels do not fill its blocks of 16.
bool wrong_in_library(Kind kind, const ConvShape& s) {
  return kind == Kind::by_weight && s.kernel == 1 && s.stride > 1 && (s.channels % 16 || s.out_channels % 16);
}

/// Tensors x and y of `type`, the result of `kind` as float when `wide`; by weight it is always float.
Plan convolution(Library& library, Kind kind, const ConvShape& s, Type type, bool wide) {
  using dnnl::algorithm, dnnl::query;
  if (wrong_in_library(kind, s)) return {};
  const memory::dims x_dims = {s.images, s.channels, s.height, s.width};
  const memory::dims w_dims = {s.out_channels, s.channels, s.kernel, s.kernel};
  const memory::dims y_dims = {s.images, s.out_channels, s.out_height(), s.out_width()};
  const memory::dims strides = {s.stride, s.stride}, padding = {s.padding, s.padding};
  const memory::desc x(x_dims, type, Layout::nhwc), y(y_dims, type, Layout::nhwc);
  const memory::desc result(x_dims, wide ? Type::f32 : type, Layout::nhwc), w(w_dims, type, Layout::any);
  const Type w_type = kind == Kind::by_weight ? Type::f32 : type;
  const memory::desc dw(w_dims, w_type, Layout::any), ohwi(w_dims, w_type, Layout::ohwi);
  const dnnl::engine& engine = library.engine;
  const dnnl::primitive_attr attr = attributes(false);
  const algorithm direct = algorithm::convolution_direct;

  Plan plan;
  memory::desc packed;
  int x_role = DNNL_ARG_SRC, w_role = DNNL_ARG_WEIGHTS, y_role = DNNL_ARG_DST;
  const auto forward = describe<dnnl::convolution_forward>(engine, attr, dnnl::prop_kind::forward_training,
                                                           direct, x, w, y, strides, padding, padding);
  if (!forward) return plan;
  if (kind == Kind::forward) {
    packed = adopt(plan, engine, forward, query::weights_md);
  } else if (kind == Kind::by_input) {
    packed = adopt(plan, engine,
                   describe_backward<dnnl::convolution_backward_data>(engine, attr, forward, direct, result,
                                                                      w, y, strides, padding, padding),
                   query::weights_md);
    x_role = DNNL_ARG_DIFF_SRC, y_role = DNNL_ARG_DIFF_DST;
  } else {
    packed = adopt(plan, engine,
                   describe_backward<dnnl::convolution_backward_weights>(engine, attr, forward, direct, x, dw,
                                                                         y, strides, padding, padding),
                   query::diff_weights_md);
    w_role = DNNL_ARG_DIFF_WEIGHTS, y_role = DNNL_ARG_DIFF_DST;
  }
  if (!plan.main) return plan;
  plan.x = memory(kind == Kind::by_input ? result : x, engine, nullptr);
  plan.y = memory(y, engine, nullptr);
  plan.weights = memory(ohwi, engine, nullptr);
  if (packed != ohwi) {
    plan.packed = memory(packed, engine, nullptr);
    plan.packed_bytes = packed.get_size();
    const bool after = kind == Kind::by_weight;
    const memory &from = after ? plan.packed : plan.weights, &to = after ? plan.weights : plan.packed;
    plan.repack = dnnl::reorder(from, to, attributes(false));
    plan.repack_arguments = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
  }
  plan.arguments[x_role] = plan.x;
  plan.arguments[w_role] = plan.repack ? plan.packed : plan.weights;
  plan.arguments[y_role] = plan.y;
  return plan;
}

/// The plan of a key, made by `make` when it is asked for first.
template <class Make>
Plan& plan_of(Library& library, const Key& key, Make make) {
  const auto found = library.plans.find(key);
  return found != library.plans.end() ? found->second : library.plans.emplace(key, make()).first->second;
}

Plan& convolution_plan(Library& library, Kind kind, const ConvShape& s, Type type, bool wide) {
  const Key key = {int(kind),  int(type) * 2 + wide, s.images, s.height, s.width,
                   s.channels, s.out_channels,       s.kernel, s.stride, s.padding};
  return plan_of(library, key, [&] { return convolution(library, kind, s, type, wide); });
}

void execute(Library& library, Plan& plan, const void* x, const void* w, const void* y, char* packed,
             char* scratchpad, bool repack_first = true) {
  plan.x.set_data_handle(const_cast<void*>(x));
  plan.weights.set_data_handle(const_cast<void*>(w));
  plan.y.set_data_handle(const_cast<void*>(y));
  plan.scratchpad.set_data_handle(scratchpad);
  if (plan.repack) plan.packed.set_data_handle(packed);
  if (plan.repack && repack_first) plan.repack.execute(library.stream, plan.repack_arguments);
  plan.main.execute(library.stream, plan.arguments);
  if (plan.repack && !repack_first) plan.repack.execute(library.stream, plan.repack_arguments);
}

}  // namespace

template <class T>
bool run(const ConvForward<T>& call, Context& context) {
  const ThreadsOf threads(context);
  Library& library = Library::of(context);
  Plan& plan = convolution_plan(library, Kind::forward, call.shape, type_of<T>, false);
  if (!plan.main) return false;
  const auto [packed, scratchpad] = scratch_pieces(context, {plan.packed_bytes, plan.scratchpad_bytes});
  execute(library, plan, call.x, call.w, call.y, packed, scratchpad);
  return true;
}

template <class T>
bool run(const ConvBackwardInput<T>& call, Context& context) {
  const ThreadsOf threads(context);
  const ConvShape& s = call.shape;
  Library& library = Library::of(context);
  Plan& plan = convolution_plan(library, Kind::by_input, s, type_of<T>, call.accumulate);
  if (!plan.main) return false;
  const int64_t pixels = int64_t{s.images} * s.height * s.width;
  const size_t sum_bytes = call.accumulate ? sizeof(float) * pixels * s.channels : 0;
  const auto [packed, scratchpad, sum] =
      scratch_pieces(context, {plan.packed_bytes, plan.scratchpad_bytes, sum_bytes});
  execute(library, plan, call.accumulate ? static_cast<void*>(sum) : call.dx, call.w, call.dy, packed,
          scratchpad);
  if (call.accumulate) {
    plain::finish<T>(reinterpret_cast<float*>(sum), pixels, s.channels, call.dx, nullptr, true,
                     context.threads());
  }
  return true;
}

template <class T>
bool run(const ConvBackwardWeight<T>& call, Context& context) {
  const ThreadsOf threads(context);
  Library& library = Library::of(context);
  const ConvShape& s = call.shape;
  Plan& plan = convolution_plan(library, Kind::by_weight, s, type_of<T>, false);
  if (!plan.main) return false;
  const int64_t row = int64_t{s.kernel} * s.kernel * s.channels;
  const size_t sum_bytes = call.accumulate ? sizeof(float) * s.out_channels * row : 0;
  const auto [packed, scratchpad, sum] =
      scratch_pieces(context, {plan.packed_bytes, plan.scratchpad_bytes, sum_bytes});
  execute(library, plan, call.x, call.accumulate ? static_cast<void*>(sum) : call.dw, call.dy, packed,
          scratchpad, false);
  if (call.accumulate)
    plain::finish<float>(reinterpret_cast<float*>(sum), s.out_channels, row, call.dw, nullptr, true,
                         context.threads());
  return true;
}

template <class T, class Out>
bool by_sgemm(const Gemm<T, Out>& g) {
  if constexpr (std::is_same_v<T, float>) {
    if (g.bias != nullptr) plain::start_with_bias(g.m, g.n, g.bias, g.c, g.accumulate);
    const float add = g.accumulate || g.bias != nullptr ? 1.0f : 0.0f;
    const dnnl_status_t status =
        dnnl_sgemm(g.transpose_a ? 'T' : 'N', g.transpose_b ? 'T' : 'N', g.m, g.n, g.k, 1, g.a,
                   g.transpose_a ? g.m : g.k, g.b, g.transpose_b ? g.k : g.n, add, g.c, g.n);
    ENSURE(status == dnnl_success, "gemm: oneDNN refuses {} x {} x {}, error {}", g.m, g.n, g.k, int(status));
  }
  return true;
}

template <class T, class Out>
bool run(const Gemm<T, Out>& g, Context& context) {
  const ThreadsOf threads(context);
  // The plain call is slow where b is transposed: 0.3 to 0.8 of the primitive's rate.
  if (std::is_same_v<T, float> && !g.transpose_b) return by_sgemm(g);
  const bool direct = g.bias == nullptr && !g.accumulate;  // else sums in float, rounded once at the end
  const Type type = type_of<T>, out = direct ? type_of<Out> : Type::f32;
  Library& library = Library::of(context);
  const Key key = {int(Kind::gemm), int(type), int(out), g.m, g.n, g.k, g.transpose_a, g.transpose_b};
  Plan& plan = plan_of(library, key, [&] {
    const memory::desc a({g.m, g.k}, type, g.transpose_a ? Layout::ba : Layout::ab);
    const memory::desc b({g.k, g.n}, type, g.transpose_b ? Layout::ba : Layout::ab);
    const memory::desc c({g.m, g.n}, out, Layout::ab);
    Plan made;
    adopt(made, library.engine, describe<dnnl::matmul>(library.engine, attributes(false), a, b, c),
          dnnl::query::weights_md);
    if (!made.main) return made;
    made.x = memory(a, library.engine, nullptr);
    made.weights = memory(b, library.engine, nullptr);
    made.y = memory(c, library.engine, nullptr);
    made.arguments[DNNL_ARG_SRC] = made.x;
    made.arguments[DNNL_ARG_WEIGHTS] = made.weights;
    made.arguments[DNNL_ARG_DST] = made.y;
    return made;
  });
  if (!plan.main) return false;
  const size_t sum_bytes = direct ? 0 : sizeof(float) * g.m * g.n;
  const auto [scratchpad, sum] = scratch_pieces(context, {plan.scratchpad_bytes, sum_bytes});
  execute(library, plan, g.a, g.b, direct ? static_cast<void*>(g.c) : sum, nullptr, scratchpad);
  if (!direct) {
    plain::finish<Out>(reinterpret_cast<float*>(sum), g.m, g.n, g.c, g.bias, g.accumulate, context.threads());
  }
  return true;
}

}  // namespace onednn

std::unique_ptr<LibraryPlans> make_library_plans() { return std::make_unique<onednn::Library>(); }

}  // namespace stopgrad::cpu

#else  // without the library

namespace stopgrad::cpu {

bool bf16_is_fast_here() { return false; }
std::unique_ptr<LibraryPlans> make_library_plans() { return std::make_unique<LibraryPlans>(); }

namespace onednn {
template <class T>
bool run(const ConvForward<T>&, Context&) {
  return false;
}
template <class T>
bool run(const ConvBackwardInput<T>&, Context&) {
  return false;
}
template <class T>
bool run(const ConvBackwardWeight<T>&, Context&) {
  return false;
}
template <class T, class Out>
bool run(const Gemm<T, Out>&, Context&) {
  return false;
}
}  // namespace onednn
}  // namespace stopgrad::cpu

#endif

namespace stopgrad::cpu::onednn {
template bool run(const ConvForward<float>&, Context&);
template bool run(const ConvForward<bf16>&, Context&);
template bool run(const ConvBackwardInput<float>&, Context&);
template bool run(const ConvBackwardInput<bf16>&, Context&);
template bool run(const ConvBackwardWeight<float>&, Context&);
template bool run(const ConvBackwardWeight<bf16>&, Context&);
template bool run(const Gemm<float, float>&, Context&);
template bool run(const Gemm<bf16, bf16>&, Context&);
template bool run(const Gemm<bf16, float>&, Context&);
}  // namespace stopgrad::cpu::onednn
