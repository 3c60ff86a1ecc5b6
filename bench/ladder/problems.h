#pragma once
// The ladders' problems: data, the call on a device, and whether what came back is what the CPU schedule
// gives. Tests and the benchmark both judge by these.
#include "bench/ladder/ladder.h"
#include "kernels/cosine_loss.h"
#include "tests/augment_images.h"
#include "tests/batch_norm_layer.h"
#include "tests/cuda/mirror.h"
#include "tests/reference/rows.h"

namespace stopgrad::ladder {

using namespace test;
using namespace test::norm;

/// Random numbers are compared within a tolerance, by used(); whole ones have exact sums, and exact() says
/// whether the CPU's bits came back.
enum class Data { random, whole };

template <class T>
std::vector<float> floats(const std::vector<T>& x) {
  std::vector<float> out(x.size());
  std::transform(x.begin(), x.end(), out.begin(), [](T v) { return static_cast<float>(v); });
  return out;
}

/// Largest share of the tolerance that an element of `got` uses; above 1, or NaN as infinity, it is wrong.
template <class T>
double share(const std::vector<T>& got, const std::vector<float>& want, const Tolerance<T>& tolerance) {
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double one = std::abs(to_double(got[i]) - want[i]) / tolerance.at(want[i]);
    worst = std::isnan(one) ? INFINITY : std::max(worst, one);
  }
  return worst;
}

/// Runs a version on memory of its own, whose outputs start as NaN, and brings them back.
template <class Problem, class Call>
void run_version(Problem& problem, const Version<Call>& version) {
  Mirror mirror;
  const Call call = problem.place(mirror);
  version.run(call, device());
  mirror.fetch();
}

/// A layer of one group with scale, shift and ReLU. Bits are compared with the CPU on T; the tolerance is
/// round the CPU on float, which rounds no result to bf16.
template <class T>
struct BatchNormData {
  Layer<T> layer;
  Layer<float> want;
  cpu::Context cpu{1};

  BatchNormData(int rows, int channels, Data data)
      : layer(1, rows, channels, Affine::yes, Relu::yes), want(1, rows, channels, Affine::yes, Relu::yes) {
    if (data == Data::whole) {
      layer.x = integers<T>(layer.x.size(), 7, -3, 5);
      layer.dy = integers<T>(layer.x.size(), 8);
      // The lower half of the rows mirrors the upper: the mean is whole, and so every way to sum squares is
      // exact.
      const size_t half = layer.x.size() / 2;
      for (size_t i = 0; i < half; ++i) {
        const int twice = 2 * static_cast<int>(i % size_t(channels) % 3);
        layer.x[half + i] = T(static_cast<float>(twice) - static_cast<float>(layer.x[i]));
      }
    }
    want.x = floats(layer.x);
    want.dy = floats(layer.dy);
    want.forward(cpu);
  }
  int64_t elements() const { return int64_t{layer.rows} * layer.channels; }
  double rows() const { return layer.rows; }
  double spread() const { return largest(layer.x) * largest(want.rstd); }  // of |x|, in standard deviations
};

template <class T>
class BatchNormForwardProblem {
 public:
  using Call = BatchNormForward<T>;

  BatchNormForwardProblem(int rows, int channels, Data data) : data_(rows, channels, data) {}
  int64_t elements() const { return data_.elements(); }

  Call place(Mirror& mirror) {
    Layer<T>& l = data_.layer;
    for (auto* output : {&l.mean, &l.rstd}) fill_nan(*output);
    fill_nan(l.y);
    mirror.add(l.x, l.gamma, l.beta, l.y, l.mean, l.rstd);
    Call call = l.forward_call();
    call.running_mean = call.running_var = nullptr;
    mirror.move(call.x, call.gamma, call.beta, call.y, call.mean, call.rstd);
    return call;
  }
  double used() const {  // the tolerances of tests/batch_norm_layer.h
    const Layer<T>& l = data_.layer;
    const Layer<float>& want = data_.want;
    const double n = data_.rows(), scale = largest(l.gamma) * data_.spread() + largest(l.beta);
    return std::max({share(l.mean, want.mean, Tolerance<float>{n, largest(l.x)}),
                     share(l.rstd, want.rstd, Tolerance<float>{n, largest(want.rstd)}),
                     share(l.y, want.y, Tolerance<T>{n, scale})});
  }
  bool exact() {
    Layer<T> l = data_.layer;
    l.forward(data_.cpu);
    const Layer<T>& got = data_.layer;
    return same_bits(got.mean, l.mean) && same_bits(got.rstd, l.rstd) && same_bits(got.y, l.y);
  }

 private:
  BatchNormData<T> data_;
};

template <class T>
class BatchNormBackwardProblem {
 public:
  using Call = BatchNormBackward<T>;

  BatchNormBackwardProblem(int rows, int channels, Data data) : data_(rows, channels, data) {
    Layer<T>& l = data_.layer;
    l.forward(data_.cpu);
    data_.want.mean = l.mean;  // the same numbers, so the same mask
    data_.want.rstd = l.rstd;
    data_.want.backward(data_.cpu);
    xhat_ = largest(data_.want.reference().normalized());
  }
  int64_t elements() const { return data_.elements(); }

  Call place(Mirror& mirror) {
    Layer<T>& l = data_.layer;
    for (auto* output : {&l.dgamma, &l.dbeta}) fill_nan(*output);
    fill_nan(l.dx);
    mirror.add(l.x, l.y, l.dy, l.gamma, l.beta, l.mean, l.rstd, l.dx, l.dgamma, l.dbeta);
    Call call = l.backward_call();
    call.y = l.y.data();  // for versions that take the mask from there
    mirror.move(call.x, call.y, call.dy, call.gamma, call.beta, call.mean, call.rstd, call.dx, call.dgamma,
                call.dbeta);
    return call;
  }
  double used() const {
    const Layer<T>& l = data_.layer;
    const Layer<float>& want = data_.want;
    const double n = data_.rows(), dy = largest(l.dy), spread = data_.spread();
    const double scale = largest(l.gamma) * largest(l.rstd) * dy * (1 + xhat_ * spread);
    return std::max({share(l.dx, want.dx, Tolerance<T>{n, scale}),
                     share(l.dgamma, want.dgamma, Tolerance<float>{n, dy * spread}),
                     share(l.dbeta, want.dbeta, Tolerance<float>{n, dy})});
  }
  bool exact() {
    Layer<T> l = data_.layer;
    l.backward(data_.cpu);
    const Layer<T>& got = data_.layer;
    return same_bits(got.dx, l.dx) && same_bits(got.dgamma, l.dgamma) && same_bits(got.dbeta, l.dbeta);
  }

 private:
  BatchNormData<T> data_;
  double xhat_;
};

/// Both directions of SimSiam's loss: two pairs of rows, none of them short.
template <class T>
struct CosineData {
  int rows, channels;
  std::vector<T> p[2], z[2];
  std::vector<float> loss, saved;

  CosineData(int rows, int channels, Data data) : rows(rows), channels(channels), loss(1) {
    for (const uint64_t k : {0, 1}) {
      p[k] = rows_of(data, 1 + k);
      z[k] = rows_of(data, 3 + k);
    }
    saved.resize(6 * size_t(rows));
    cpu::Context cpu{1};
    cpu::run(forward_call(), cpu);
  }
  std::vector<T> rows_of(Data data, uint64_t seed) const {
    if (data == Data::random) return long_rows<T>(rows, channels, seed);
    auto whole = integers<T>(size_t(rows) * channels, seed);
    for (size_t i = 0; i < whole.size(); i += channels) whole[i] = T(3.0f);
    return whole;
  }
  int64_t elements() const { return 2 * int64_t{rows} * channels; }
  CosineLossForward<T> forward_call() {
    return {2,           rows,        channels, {p[0].data(), p[1].data()}, {z[0].data(), z[1].data()},
            loss.data(), saved.data()};
  }
};

template <class T>
class CosineForwardProblem {
 public:
  using Call = CosineLossForward<T>;

  CosineForwardProblem(int rows, int channels, Data data) : want_(rows, channels, data), got_(want_) {}
  int64_t elements() const { return want_.elements(); }

  Call place(Mirror& mirror) {
    fill_nan(got_.loss);
    fill_nan(got_.saved);
    mirror.add(got_.p[0], got_.p[1], got_.z[0], got_.z[1], got_.loss, got_.saved);
    Call call = got_.forward_call();
    mirror.move(call.p[0], call.p[1], call.z[0], call.z[1], call.loss, call.saved);
    return call;
  }
  double used() const {  // no length is below 1/2, no cosine above 1
    const double n = want_.channels;
    return std::max(share(got_.loss, want_.loss, Tolerance<float>{n, 1}),
                    share(got_.saved, want_.saved, Tolerance<float>{n, 2}));
  }
  bool exact() const { return same_bits(got_.saved, want_.saved) && used() <= 1; }

 private:
  CosineData<T> want_, got_;
};

/// The gradients of the predictions; those of the targets are stopped.
template <class T>
class CosineBackwardProblem {
 public:
  using Call = CosineLossBackward<T>;

  CosineBackwardProblem(int rows, int channels, Data data) : data_(rows, channels, data) {
    for (auto& gradient : dp_) gradient.resize(data_.p[0].size());
  }
  int64_t elements() const { return data_.elements(); }

  Call place(Mirror& mirror) {
    for (auto& gradient : dp_) fill_nan(gradient);
    mirror.add(data_.p[0], data_.p[1], data_.z[0], data_.z[1], data_.saved, dloss_, dp_[0], dp_[1]);
    Call call = call_of<T>(data_.p, data_.z, dp_);
    mirror.move(call.p[0], call.p[1], call.z[0], call.z[1], call.saved, call.dloss, call.dp[0], call.dp[1]);
    return call;
  }
  double used() {
    std::vector<float> p[2], z[2], want[2];
    for (int k : {0, 1}) {
      p[k] = floats(data_.p[k]);
      z[k] = floats(data_.z[k]);
      want[k].resize(p[k].size());
    }
    cpu::run(call_of<float>(p, z, want), cpu_);
    float most = 0;  // 1 / |p|
    for (size_t i = 0; i < data_.saved.size(); i += 3) most = std::max(most, data_.saved[i]);
    const double scale = 2.0 * most * dloss_[0] / (2.0 * data_.rows);
    const Tolerance<T> tolerance{double(data_.channels), scale};
    return std::max(share(dp_[0], want[0], tolerance), share(dp_[1], want[1], tolerance));
  }
  bool exact() {
    std::vector<T> want[2] = {dp_[0], dp_[1]};
    cpu::run(call_of<T>(data_.p, data_.z, want), cpu_);
    return same_bits(dp_[0], want[0]) && same_bits(dp_[1], want[1]);
  }

 private:
  template <class U>
  CosineLossBackward<U> call_of(std::vector<U>* p, std::vector<U>* z, std::vector<U>* dp) {
    CosineLossBackward<U> call{
        2, data_.rows, data_.channels, {}, {}, data_.saved.data(), dloss_.data(), {}, {}, {}, {}};
    for (int k : {0, 1}) {
      call.p[k] = p[k].data();
      call.z[k] = z[k].data();
      call.dp[k] = dp[k].data();
    }
    return call;
  }

  CosineData<T> data_;
  std::vector<float> dloss_ = {0.5f};
  std::vector<T> dp_[2];
  cpu::Context cpu_{1};
};

/// Two views of each image by the recipe for CIFAR, which has no blur: bits agree.
template <class T>
class AugmentProblem {
 public:
  using Call = Augment<T>;

  AugmentProblem(const Images& images, ViewShape shape)
      : images_(images), index_(first(images.count)), shape_(shape) {
    std::reverse(index_.begin(), index_.end());
    got_.resize(static_cast<size_t>(elements()));
    want_ = got_;
    Call call = call_of(want_);
    cpu::Context cpu{1};
    cpu::run(call, cpu);
  }
  int64_t elements() const {
    return int64_t{2} * images_.count * shape_.height * shape_.width * shape_.stored_channels;
  }
  Call place(Mirror& mirror) {
    fill_nan(got_);
    mirror.add(images_.bytes, index_, got_);
    Call call = call_of(got_);
    call.images = mirror(images_.bytes.data());
    mirror.move(call.index, call.y);
    return call;
  }
  bool exact() const { return same_bits(got_, want_); }
  double used() const { return exact() ? 0 : INFINITY; }

 private:
  Call call_of(std::vector<T>& y) const {
    return random_views(images_.all(), index_, cifar_recipe(), 9, 4, 2, shape_, y.data());
  }

  Images images_;
  std::vector<int64_t> index_;
  ViewShape shape_;
  std::vector<T> want_, got_;
};

}  // namespace stopgrad::ladder
