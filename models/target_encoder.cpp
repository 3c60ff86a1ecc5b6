#include "models/target_encoder.h"

#include "engine/ops.h"
#include "kernels/elementwise.h"
#include "kernels/sgd.h"

namespace stopgrad {

TargetEncoder::TargetEncoder(const EncoderConfig& config) : encoder_(config) {
  Visitor freeze;
  freeze.parameter = [](const std::string&, Parameter& p) { p.trainable = false; };
  encoder_.visit("", freeze);
}

/// The wall stands behind parameters that nobody trains: no gradient would pass without it either.
std::vector<Var> TargetEncoder::project(Tape& tape, const Tensor& views, ViewForm form) {
  const std::vector<View> seen = per_view(tape, views, form, [&](Pass& pass, const Var& x) {
    Tape::Scope scope(tape, "target");
    const Var z = encoder_.project(pass, encoder_.features(pass, x));
    return View{z, z};
  });
  std::vector<Var> out;
  for (const View& view : seen) out.push_back(detach(view.z));
  return out;
}

namespace {
/// The parameters of an encoder follow one another in the slab: from the first to the end of the last.
struct Extent {
  Parameter *first = nullptr, *last = nullptr;
  explicit Extent(Encoder& encoder) {
    Visitor look;
    look.parameter = [&](const std::string&, Parameter& p) {
      if (!first) first = &p;
      last = &p;
    };
    encoder.visit("", look);
  }
  template <class T>
  int64_t count() const {
    return last->value.data<T>() + last->value.count() - first->value.data<T>();
  }
};
}  // namespace

void TargetEncoder::follow(Encoder& encoder, double momentum) {
  const Extent source(encoder), target(encoder_);
  visit_float(source.first->value.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if constexpr (!std::is_same_v<T, bf16>) {
      const Device device = source.first->value.device();
      T* const to = target.first->value.data<T>();
      launch(device, MovingAverage<T>{.count = source.count<T>(),
                                      .momentum = static_cast<T>(momentum),
                                      .source = source.first->value.data<T>(),
                                      .target = to});
      if constexpr (std::is_same_v<T, float>)
        if (target.first->compute.dtype() == DType::bf16)
          launch(device, Cast<float, bf16>{target.count<T>(), to, target.first->compute.data<bf16>()});
    }
  });
}

}  // namespace stopgrad
