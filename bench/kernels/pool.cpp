// Pooling: the last image against the naive reference, exactly where nothing is rounded.
#include "kernels/pool.h"

#include "bench/kernels/registry.h"

namespace stopgrad::bench {
namespace {

template <class T>
struct Max {
  test::reference::MaxPool s;

  std::string shape() const {
    return fmt::format("n{}_h{}_w{}_c{}_r{}_s{}_p{}", s.images, s.height, s.width, s.channels, s.kernel,
                       s.stride, s.padding);
  }
  int64_t inputs() const { return int64_t{s.height} * s.width * s.channels; }  // of one image
  int64_t outputs() const { return int64_t{s.out_height()} * s.out_width() * s.channels; }
  test::reference::MaxPool one_image() const {
    auto one = s;
    one.images = 1;
    return one;
  }
  template <class E>
  std::vector<double> last(const E* at, int64_t size) const {
    return test::doubles(std::vector(at + (s.images - 1) * size, at + s.images * size));
  }
};

template <class T>
struct MaxForward : Max<T> {
  std::string op() const { return "max_pool_fwd"; }
  MaxPoolForward<T> make(Arena& a) const {
    const auto& s = this->s;
    return {s.images,
            s.height,
            s.width,
            s.channels,
            s.kernel,
            s.stride,
            s.padding,
            a.random<T>(s.images * this->inputs(), 1),
            a.output<T>(s.images * this->outputs()),
            a.output<uint8_t>(s.images * this->outputs())};
  }
  void check(const MaxPoolForward<T>& before, const MaxPoolForward<T>& after, Comparison& c) const {
    const auto want = this->one_image().forward(this->last(before.x, this->inputs()));
    const int64_t count = this->outputs(), first = (this->s.images - 1) * count;
    c.equal("y", after.y + first, count, [&](int64_t i) { return want.y[i]; });
    c.equal("winner", after.winner + first, count, [&](int64_t i) { return double(want.winner[i]); });
    c.written("y", after.y, first);
  }
};

template <class T>
struct MaxBackward : Max<T> {
  std::string op() const { return "max_pool_bwd"; }
  MaxPoolBackward<T> make(Arena& a) const {
    const auto& s = this->s;
    const T* const x = a.random<T>(s.images * this->inputs(), 1);
    auto* const winner = a.output<uint8_t>(s.images * this->outputs());
    for (int n = 0; a.fills() && n < s.images; ++n) {
      const T* const image = x + n * this->inputs();
      const auto forward =
          this->one_image().forward(test::doubles(std::vector(image, image + this->inputs())));
      std::copy(forward.winner.begin(), forward.winner.end(), winner + n * this->outputs());
    }
    return {s.images,  s.height,
            s.width,   s.channels,
            s.kernel,  s.stride,
            s.padding, a.random<T>(s.images * this->outputs(), 2),
            winner,    a.output<T>(s.images * this->inputs()),
            false};
  }
  void check(const MaxPoolBackward<T>& before, const MaxPoolBackward<T>& after, Comparison& c) const {
    const int64_t from = (this->s.images - 1) * this->outputs(), count = this->inputs();
    const std::vector<uint8_t> winner(before.winner + from, before.winner + from + this->outputs());
    const auto want = this->one_image().backward(this->last(before.dy, this->outputs()), winner);
    c.close(
        "dx", after.dx + (this->s.images - 1) * count, count, [&](int64_t i) { return want[i]; },
        test::Tolerance<T>{double(this->s.kernel) * this->s.kernel, 1});
    c.written("dx", after.dx, (this->s.images - 1) * count);
  }
};

template <class T>
struct AverageForward {
  test::AveragePoolCase s;

  std::string op() const { return "average_pool_fwd"; }
  std::string shape() const { return fmt::format("n{}_p{}_c{}", s.images, s.pixels, s.channels); }
  AveragePoolForward<T> make(Arena& a) const {
    return {s.images, s.pixels, s.channels, a.random<T>(int64_t{s.images} * s.pixels * s.channels, 1),
            a.output<T>(int64_t{s.images} * s.channels)};
  }
  void check(const AveragePoolForward<T>& before, const AveragePoolForward<T>& after, Comparison& c) const {
    const auto want = [&](int64_t i) {
      double sum = 0;
      for (int64_t p = 0; p < s.pixels; ++p)
        sum += test::to_double(before.x[(i / s.channels * s.pixels + p) * s.channels + i % s.channels]);
      return sum / s.pixels;
    };
    c.close("y", after.y, int64_t{s.images} * s.channels, want,
            test::Tolerance<T>{double(s.pixels), 1.0 / s.pixels});
  }
};

template <class T>
struct AverageBackward {
  test::AveragePoolCase s;

  std::string op() const { return "average_pool_bwd"; }
  std::string shape() const { return fmt::format("n{}_p{}_c{}", s.images, s.pixels, s.channels); }
  AveragePoolBackward<T> make(Arena& a) const {
    return {s.images,
            s.pixels,
            s.channels,
            a.random<T>(int64_t{s.images} * s.channels, 1),
            a.output<T>(int64_t{s.images} * s.pixels * s.channels),
            false};
  }
  void check(const AveragePoolBackward<T>& before, const AveragePoolBackward<T>& after, Comparison& c) const {
    const auto want = [&](int64_t i) {
      const int64_t image = i / s.channels / s.pixels;
      return test::to_double(before.dy[image * s.channels + i % s.channels]) / s.pixels;
    };
    c.close("dx", after.dx, int64_t{s.images} * s.pixels * s.channels, want,
            test::Tolerance<T>{1, 1.0 / s.pixels});
  }
};

template <class T>
void add(Registry& registry) {
  for (const test::PoolCase& c : registry.pools) {
    if (c.shape.out_height() < 1 || c.shape.out_width() < 1) continue;
    registry.add<T>(MaxForward<T>{{c.shape}}, c.shape.images == 32);
    registry.add<T>(MaxBackward<T>{{c.shape}}, c.shape.images == 32);
  }
  for (const test::AveragePoolCase& c : registry.average_pools) {
    registry.add<T>(AverageForward<T>{c}, c.images == 512);
    registry.add<T>(AverageBackward<T>{c}, c.images == 512);
  }
}

}  // namespace

void add_pool(Registry& registry) {
  add<float>(registry);
  add<bf16>(registry);
}

}  // namespace stopgrad::bench
