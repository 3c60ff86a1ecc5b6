#pragma once
// Primitives of oneDNN, 2.6 to 3.x, as plans that several threads run at once, each on tensors of its own.
#ifdef _OPENMP
#include <omp.h>
#endif

#include <array>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kernels/context.h"
#include "kernels/dtype.h"
#include "kernels/plans.h"

namespace stopgrad::cpu::onednn {

using dnnl::memory;
using Type = memory::data_type;
using Layout = memory::format_tag;

template <class T>
constexpr Type type_of = std::is_same_v<T, bf16> ? Type::bf16 : Type::f32;

/// The library takes as many threads as OpenMP would give the calling thread, when a primitive is made and
/// when it runs: one. What it computes is cut by sizes alone, and the team shares the pieces.
class OneThread {
 public:
#ifdef _OPENMP
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }

 private:
  int before_;
#else
  OneThread() {}
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

/// What one thread hands to a plan's primitive.
struct Tensors {
  memory x, weights, y, scratchpad;
  std::unordered_map<int, memory> arguments;
};

/// Some output channels of weights, brought from one layout into another.
struct Repack {
  dnnl::primitive primitive;
  memory from, to;
  std::unordered_map<int, memory> arguments;
};

/// A primitive with its three tensors; `main` is empty where the library has none better than its reference
/// loops. Its weights have the layout that it likes; `repack` brings them there from OHWI, or their gradient
/// back, and is empty where that is OHWI.
struct Plan {
  dnnl::primitive main;
  memory::desc weights;
  std::vector<Tensors> of_thread;
  std::vector<Repack> repack;
  size_t scratchpad_bytes = 0;  // of a thread
};

enum class Kind { forward, by_input, by_weight, gemm };
using Key = std::array<int, 13>;  // kind, types, sizes, flags

struct Library : LibraryPlans {
  explicit Library(int threads) : threads(threads) {
    for (int t = 0; t < threads; ++t) streams.emplace_back(engine);
  }
  int threads;
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  std::vector<dnnl::stream> streams;  // one per thread
  std::map<Key, Plan> plans;

  static Library& of(Context& context) { return static_cast<Library&>(context.plans()); }
};

inline dnnl::primitive_attr attributes() {
  dnnl::primitive_attr a;
  a.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return a;
}

/// Makes the main primitive of a plan; whether the library has one.
template <class Descriptor>
bool adopt(Plan& plan, const Descriptor& descriptor) {
  if (!descriptor || std::string_view(descriptor.impl_info_str()).starts_with("ref")) return false;
  plan.main = dnnl::primitive(descriptor);
  plan.scratchpad_bytes = descriptor.scratchpad_desc().get_size();
  return true;
}

/// Where the tensors of a plan go, and what they look like.
struct Roles {
  int x = DNNL_ARG_SRC, weights = DNNL_ARG_WEIGHTS, y = DNNL_ARG_DST;
};

/// Tensors for each thread.
inline void bind(Plan& plan, const Library& library, const Roles& roles, const memory::desc& x,
                 const memory::desc& weights, const memory::desc& y, const memory::desc& scratchpad) {
  const dnnl::engine& engine = library.engine;
  plan.weights = weights;
  for (int t = 0; t < library.threads; ++t) {
    Tensors of = {memory(x, engine, nullptr),
                  memory(weights, engine, nullptr),
                  memory(y, engine, nullptr),
                  memory(scratchpad, engine, nullptr),
                  {}};
    of.arguments = {
        {roles.x, of.x}, {roles.weights, of.weights}, {roles.y, of.y}, {DNNL_ARG_SCRATCHPAD, of.scratchpad}};
    plan.of_thread.push_back(std::move(of));
  }
}

/// The plan of a key, made by `make` when it is asked for first.
template <class Make>
Plan& plan_of(Library& library, const Key& key, Make make) {
  const OneThread one;
  const auto found = library.plans.find(key);
  return found != library.plans.end() ? found->second : library.plans.emplace(key, make()).first->second;
}

/// Weights for one thread's next runs of the plan. The library writes zeros where their layout is padded.
inline void use_weights(Plan& plan, int thread, const void* weights) {
  plan.of_thread[thread].weights.set_data_handle(const_cast<void*>(weights));
}

inline void execute(Library& library, Plan& plan, int thread, const void* x, const void* y,
                    char* scratchpad) {
  Tensors& of = plan.of_thread[thread];
  of.x.set_data_handle(const_cast<void*>(x));
  of.y.set_data_handle(const_cast<void*>(y));
  of.scratchpad.set_data_handle(scratchpad);
  plan.main.execute(library.streams[thread], of.arguments);
}

}  // namespace stopgrad::cpu::onednn
