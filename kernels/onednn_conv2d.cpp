// Convolutions by oneDNN, in runs of images that the threads share.
#ifdef STOPGRAD_ONEDNN

#include <algorithm>
#include <cstdint>

#include "kernels/loops.h"
#include "kernels/onednn.h"
#include "kernels/onednn_plan.h"
#include "kernels/plain.h"
#include "kernels/scratch_pieces.h"

namespace stopgrad::cpu::onednn {

namespace {

/// 2.6.3 gives wrong weight gradients of strided 1x1 layers whose channels do not fill its blocks of 16.
bool wrong_in_library(Kind kind, const ConvShape& s) {
  return kind == Kind::by_weight && s.kernel == 1 && s.stride > 1 && (s.channels % 16 || s.out_channels % 16);
}

/// The reorders between OHWI and a plan's weights of [out, in, ...], `after` from these to OHWI: for runs of
/// output channels, which the threads share, where the library can cut the layout so.
void add_repack(Plan& plan, const Library& library, const memory::desc& ohwi, bool after) {
  if (plan.weights == ohwi) return;
  const auto add = [&](const memory::desc& plain, const memory::desc& liked) {
    const memory from(after ? liked : plain, library.engine, nullptr),
        to(after ? plain : liked, library.engine, nullptr);
    plan.repack.push_back(
        {dnnl::reorder(from, to, attributes()), from, to, {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}}});
  };
  const memory::dims all = ohwi.dims();
  for (memory::dim first = 0; first < all[0]; first += 64) {
    const memory::dims some = {std::min<memory::dim>(64, all[0] - first), all[1], all[2], all[3]};
    const memory::desc liked = plan.weights.submemory_desc(some, {first, 0, 0, 0}, true);
    if (liked == memory::desc()) {
      plan.repack.clear();
      return add(ohwi, plan.weights);
    }
    add(ohwi.submemory_desc(some, {first, 0, 0, 0}), liked);
  }
}

/// Tensors x and y of `type`, the result of `kind` as float when `wide`; by weight it is always float.
/// `weights` is their layout, or empty: the library chooses.
Plan convolution(Library& library, Kind kind, const ConvShape& s, Type type, bool wide,
                 const memory::desc& weights) {
  using dnnl::algorithm, dnnl::query;
  if (wrong_in_library(kind, s)) return {};
  const memory::dims x_dims = {s.images, s.channels, s.height, s.width};
  const memory::dims w_dims = {s.out_channels, s.channels, s.kernel, s.kernel};
  const memory::dims y_dims = {s.images, s.out_channels, s.out_height(), s.out_width()};
  const memory::dims strides = {s.stride, s.stride}, padding = {s.padding, s.padding};
  const Type w_type = kind == Kind::by_weight ? Type::f32 : type;
  const memory::desc x(x_dims, type, Layout::nhwc), y(y_dims, type, Layout::nhwc);
  const memory::desc result(x_dims, wide ? Type::f32 : type, Layout::nhwc), any(w_dims, type, Layout::any);
  const memory::desc ohwi(w_dims, w_type, Layout::ohwi);
  const memory::desc w = weights == memory::desc() ? memory::desc(w_dims, w_type, Layout::any) : weights;
  const dnnl::primitive_attr attr = attributes();
  const algorithm direct = algorithm::convolution_direct;

  Plan plan;
  Roles roles;
  const auto forward =
      describe<dnnl::convolution_forward>(library.engine, attr, dnnl::prop_kind::forward_training, direct, x,
                                          kind == Kind::forward ? w : any, y, strides, padding, padding);
  if (!forward) return plan;
  if (kind == Kind::forward) {
    if (!adopt(plan, forward)) return plan;
    bind(plan, library, roles, x, forward.weights_desc(), y, forward.scratchpad_desc());
  } else if (kind == Kind::by_input) {
    const auto backward = describe_backward<dnnl::convolution_backward_data>(
        library.engine, attr, forward, direct, result, w, y, strides, padding, padding);
    if (!adopt(plan, backward)) return plan;
    roles.x = DNNL_ARG_DIFF_SRC, roles.y = DNNL_ARG_DIFF_DST;
    bind(plan, library, roles, result, backward.weights_desc(), y, backward.scratchpad_desc());
  } else {
    const auto backward = describe_backward<dnnl::convolution_backward_weights>(
        library.engine, attr, forward, direct, x, w, y, strides, padding, padding);
    if (!adopt(plan, backward)) return plan;
    roles.weights = DNNL_ARG_DIFF_WEIGHTS, roles.y = DNNL_ARG_DIFF_DST;
    bind(plan, library, roles, x, backward.diff_weights_desc(), y, backward.scratchpad_desc());
  }
  add_repack(plan, library, ohwi, kind == Kind::by_weight);
  return plan;
}

/// How a convolution is cut into runs of images, by sizes alone. The last run may be shorter.
struct Runs {
  int each, count, last;

  /// Runs of at least a million products, at most 16. Each reads or writes all weights: where they do not fit
  /// a cache, a run has `pixels` for each of them at least, or there are two.
  Runs(const ConvShape& s, int pixels) {
    const int64_t weights = int64_t{s.out_channels} * s.kernel * s.kernel * s.channels,
                  per_image = int64_t{s.out_height()} * s.out_width();
    const int64_t most = weights < 65536 ? 16 : std::clamp<int64_t>(s.images * per_image / pixels, 2, 16);
    const int64_t least = (1 << 20) / (per_image * weights) + 1;
    each = static_cast<int>(std::min<int64_t>(s.images, std::max((s.images + most - 1) / most, least)));
    count = (s.images + each - 1) / each;
    last = s.images - (count - 1) * each;
  }
};

/// A convolution's runs, their plans and what they need. All plans want the same layout of weights.
struct RunPlans {
  Plan *usual, *of_last;
  Runs runs;
  int64_t x_run, y_run;  // elements of a run
  size_t weight_bytes, scratchpad_bytes;

  RunPlans(Library& library, Kind kind, const ConvShape& s, Type type, bool wide, int pixels)
      : runs(s, pixels),
        x_run(int64_t{runs.each} * s.height * s.width * s.channels),
        y_run(int64_t{runs.each} * s.out_height() * s.out_width() * s.out_channels) {
    const auto plan_for = [&](int images, const memory::desc& weights) {
      ConvShape run = s;
      run.images = images;
      // The layout of the last run's weights is that of the usual ones.
      const Key key = {int(kind),  int(type) * 2 + wide, images,   s.height, s.width,
                       s.channels, s.out_channels,       s.kernel, s.stride, s.padding,
                       runs.each};
      return &plan_of(library, key, [&] { return convolution(library, kind, run, type, wide, weights); });
    };
    usual = plan_for(runs.each, {});
    of_last = runs.last == runs.each || !usual->main ? usual : plan_for(runs.last, usual->weights);
    weight_bytes = (usual->weights.get_size() + 63) / 64 * 64;
    scratchpad_bytes = (std::max(usual->scratchpad_bytes, of_last->scratchpad_bytes) + 63) / 64 * 64;
  }
  bool exist() const { return usual->main && of_last->main; }
  Plan& of(int64_t run) const { return run == runs.count - 1 ? *of_last : *usual; }
};

void repack(Library& library, Plan& plan, const void* from, void* to, Context& context) {
  context.share(static_cast<int64_t>(plan.repack.size()), [&](int64_t i, int thread) {
    const OneThread here;
    Repack& some = plan.repack[i];
    some.from.set_data_handle(const_cast<void*>(from));
    some.to.set_data_handle(to);
    some.primitive.execute(library.streams[thread], some.arguments);
  });
}

/// Forward and by input: runs of images, which need nothing of each other.
template <class X, class W, class Y>
void convolve(Library& library, const RunPlans& plans, X* x, const W* w, Y* y, char* packed,
              char* scratchpads, Context& context) {
  const void* weights = w;
  if (!plans.usual->repack.empty()) {
    repack(library, *plans.usual, w, packed, context);
    weights = packed;
  }
  for (int thread = 0; thread < library.threads; ++thread) {
    const OneThread one;
    for (Plan* plan : {plans.usual, plans.of_last}) use_weights(*plan, thread, weights);
  }
  context.share(plans.runs.count, [&](int64_t run, int thread) {
    const OneThread here;
    execute(library, plans.of(run), thread, x + run * plans.x_run, y + run * plans.y_run,
            scratchpads + thread * plans.scratchpad_bytes);
  });
}

}  // namespace

template <class T>
bool run(const ConvForward<T>& call, Context& context) {
  Library& library = Library::of(context);
  const RunPlans plans(library, Kind::forward, call.shape, type_of<T>, false, 128);
  if (!plans.exist()) return false;
  const auto [packed, scratchpads] =
      scratch_pieces(context, {plans.weight_bytes, plans.scratchpad_bytes * context.threads()});
  convolve(library, plans, call.x, call.w, call.y, packed, scratchpads, context);
  return true;
}

template <class T>
bool run(const ConvBackwardInput<T>& call, Context& context) {
  const ConvShape& s = call.shape;
  Library& library = Library::of(context);
  const RunPlans plans(library, Kind::by_input, s, type_of<T>, call.accumulate, 128);
  if (!plans.exist()) return false;
  const int64_t pixels = int64_t{s.images} * s.height * s.width;
  const size_t sum_bytes = call.accumulate ? sizeof(float) * pixels * s.channels : 0;
  const auto [packed, scratchpads, sums] =
      scratch_pieces(context, {plans.weight_bytes, plans.scratchpad_bytes * context.threads(), sum_bytes});
  if (call.accumulate) {
    float* const sum = reinterpret_cast<float*>(sums);
    convolve(library, plans, sum, call.w, call.dy, packed, scratchpads, context);
    plain::finish<T>(sum, pixels, s.channels, call.dx, nullptr, true, context);
  } else {
    convolve(library, plans, call.dx, call.w, call.dy, packed, scratchpads, context);
  }
  return true;
}

/// Each run of images gives a gradient; they are added in order and brought to OHWI.
template <class T>
bool run(const ConvBackwardWeight<T>& call, Context& context) {
  Library& library = Library::of(context);
  const ConvShape& s = call.shape;
  const RunPlans plans(library, Kind::by_weight, s, type_of<T>, false, 512);
  if (!plans.exist()) return false;
  const int64_t row = int64_t{s.kernel} * s.kernel * s.channels,
                part = static_cast<int64_t>(plans.weight_bytes / sizeof(float));
  const int runs = plans.runs.count;
  const size_t sum_bytes = call.accumulate ? sizeof(float) * s.out_channels * row : 0;
  const auto [parts, scratchpads, sum] = scratch_pieces(
      context, {plans.weight_bytes * runs, plans.scratchpad_bytes * context.threads(), sum_bytes});
  float *const gradients = reinterpret_cast<float*>(parts), *in_ohwi = gradients;
  context.share(runs, [&, scratchpads = scratchpads](int64_t run, int thread) {
    const OneThread here;
    use_weights(plans.of(run), thread, gradients + run * part);
    execute(library, plans.of(run), thread, call.x + run * plans.x_run, call.dy + run * plans.y_run,
            scratchpads + thread * plans.scratchpad_bytes);
  });
  each_run(runs > 1 ? part : 0, kTaskElements, context, [=](int64_t begin, int64_t end) {
    for (int run = 1; run < runs; ++run) {
      const float* more = gradients + run * part;
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) gradients[i] += more[i];
    }
  });
  if (!plans.usual->repack.empty()) {
    in_ohwi = call.accumulate ? reinterpret_cast<float*>(sum) : call.dw;
    repack(library, *plans.usual, gradients, in_ohwi, context);
  }
  if (in_ohwi != call.dw)
    plain::finish<float>(in_ohwi, s.out_channels, row, call.dw, nullptr, call.accumulate, context);
  return true;
}

template bool run(const ConvForward<float>&, Context&);
template bool run(const ConvForward<bf16>&, Context&);
template bool run(const ConvBackwardInput<float>&, Context&);
template bool run(const ConvBackwardInput<bf16>&, Context&);
template bool run(const ConvBackwardWeight<float>&, Context&);
template bool run(const ConvBackwardWeight<bf16>&, Context&);

}  // namespace stopgrad::cpu::onednn

#endif
