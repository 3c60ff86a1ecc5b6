#pragma once
// Ten steps of training against PyTorch, on any device: same start values and views, then loss, gradients,
// and ten steps of SGD. tests/golden/make_golden.py made the files.
#include <cstring>

#include "engine/optimizer.h"
#include "engine/safetensors.h"
#include "models/simsiam.h"
#include "tests/compare.h"

namespace stopgrad::test::golden {

inline constexpr int kSteps = 10;

struct Golden {
  SafetensorsFile file;
  explicit Golden(const std::string& name)
      : file(SafetensorsFile::open(STOPGRAD_SOURCE_DIR "/tests/golden/" + name)) {}

  std::vector<double> values(const std::string& name) const {
    const TensorInfo* info = file.find(name);
    INFO(name);
    REQUIRE(info);
    const auto bytes = file.bytes(*info);
    std::vector<double> out(bytes.size() / sizeof(double));
    std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
  }
  Shape shape(const std::string& name) const {
    const auto& s = file.find(name)->shape;
    return {s[0], s[1], s[2], s[3], s[4]};
  }
};

/// PyTorch's layout from ours.
inline std::vector<double> in_disk_order(const Parameter& p, const Tensor& t) {
  std::vector<double> memory;
  visit_float(t.dtype(), [&](auto zero) { memory = doubles(t.to_vector<decltype(zero)>()); });
  if (p.layout == DiskLayout::plain) return memory;
  const bool conv = p.layout == DiskLayout::conv;
  const int64_t out = conv ? p.shape[0] : 1, pixels = conv ? p.shape[1] * p.shape[2] : p.shape[0];
  const int64_t in = conv ? p.shape[3] : p.shape[1];
  std::vector<double> disk(memory.size());
  for (int64_t o = 0; o < out; ++o)
    for (int64_t x = 0; x < pixels; ++x)
      for (int64_t i = 0; i < in; ++i)
        disk[static_cast<size_t>((o * in + i) * pixels + x)] =
            memory[static_cast<size_t>((o * pixels + x) * in + i)];
  return disk;
}

inline void from_disk_order(Parameter& p, const std::vector<double>& disk) {
  const bool conv = p.layout == DiskLayout::conv, plain = p.layout == DiskLayout::plain;
  const int64_t out = conv ? p.shape[0] : 1, pixels = conv ? p.shape[1] * p.shape[2] : plain ? 1 : p.shape[0];
  const int64_t in = conv ? p.shape[3] : plain ? p.shape.count() : p.shape[1];
  visit_float(p.value.dtype(), [&](auto zero) {
    using T = decltype(zero);
    std::vector<T> memory(disk.size());
    for (int64_t o = 0; o < out; ++o)
      for (int64_t x = 0; x < pixels; ++x)
        for (int64_t i = 0; i < in; ++i)
          memory[static_cast<size_t>((o * pixels + x) * in + i)] =
              from_double<T>(disk[static_cast<size_t>((o * in + i) * pixels + x)]);
    p.value.from_host(memory.data());
  });
}

/// |got - want| / max(|want|, floor) over a whole tensor.
inline double relative(const std::vector<double>& got, const std::vector<double>& want, double floor = 0) {
  REQUIRE(got.size() == want.size());
  double difference = 0, size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    difference += (got[i] - want[i]) * (got[i] - want[i]);
    size += want[i] * want[i];
  }
  return std::sqrt(difference) / std::max(std::sqrt(size), floor);
}

inline SimSiamConfig config_of(bool resnet, ViewForm form) {
  SimSiamConfig c;
  c.encoder.mlp_backbone = !resnet;
  c.encoder.mlp_widths = {48, 8};
  c.encoder.resnet.widths = {4, 8};
  c.encoder.resnet.blocks = {1, 1};
  c.encoder.projector = {16, 16};
  c.predictor_hidden = 4;
  c.form = form;
  return c;
}

/// Errors of T's arithmetic, amplified by the depth of the net and the number of steps: 64 eps per step. One
/// step of these nets is a chain of about thirty operations over sums of at most a hundred terms, sqrt(30 *
/// 100) = 55.
template <class T>
double allowed(int steps) {
  return 64 * epsilon_of<T> * steps;
}

template <class T>
void compare_with_pytorch(const char* file, bool resnet, ViewForm form, const Device& device) {
  const Golden golden(file);
  const Pool pool(device);
  SimSiam method(config_of(resnet, form));
  ParameterSlab slab(pool, dtype_of<T>, [&](Visitor& v) { method.visit(v); });
  for (Parameter* p : slab.parameters()) from_disk_order(*p, golden.values("start." + p->name));
  const std::vector<double> pixels = golden.values("views");
  std::vector<T> images(pixels.size());
  std::transform(pixels.begin(), pixels.end(), images.begin(), from_double<T>);
  const Tensor views = Tensor::of(pool, golden.shape("views"), images);

  Sgd sgd(slab, 0.9, 1e-2);
  const CosineSchedule schedule{0.05, kSteps};
  const std::vector<double> losses = golden.values("losses");
  for (int step = 0; step < kSteps; ++step) {
    Tape tape;
    const MethodOutput out = method.loss(tape, views);
    CHECK(std::abs(out.loss.value.item() - losses[static_cast<size_t>(step)]) < allowed<T>(step + 1));
    slab.clear_gradients();
    tape.backward(out.loss);
    // Some gradients are zero by theory (a bias that the next batch norm cancels): rounding of the others'
    // size.
    if (step == 0)
      for (const Parameter* p : slab.parameters()) {
        INFO("gradient of " << p->name);
        CHECK(relative(in_disk_order(*p, p->grad), golden.values("gradient." + p->name), 0.1) <
              4 * allowed<T>(1));
      }
    sgd.step(schedule.at(step), schedule.base);
  }
  for (const Parameter* p : slab.parameters()) {
    INFO("after ten steps: " << p->name);
    CHECK(relative(in_disk_order(*p, p->value), golden.values("end." + p->name), 0.1) <
          4 * allowed<T>(kSteps));
  }
  for (const Buffer* b : slab.buffers()) {
    INFO("after ten steps: " << b->name);
    std::vector<double> got;
    visit_float(b->value.dtype(), [&](auto zero) { got = doubles(b->value.to_vector<decltype(zero)>()); });
    CHECK(relative(got, golden.values("end." + b->name)) < 4 * allowed<T>(kSteps));
  }
}

}  // namespace stopgrad::test::golden
