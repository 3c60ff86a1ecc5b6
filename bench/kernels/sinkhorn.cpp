// Balanced codes against the reference.
#include "kernels/sinkhorn.h"

#include "bench/kernels/pairs.h"
#include "bench/kernels/registry.h"
#include "tests/reference/sinkhorn.h"

namespace stopgrad::bench {
namespace {

/// Scores are cosines, epsilon and the iterations the published ones.
struct Codes {
  int rows, channels;

  std::string op() const { return "sinkhorn"; }
  std::string shape() const { return fmt::format("r{}_c{}", rows, channels); }
  int64_t count() const { return int64_t{rows} * channels; }
  Sinkhorn<float> make(Arena& a) const {
    return {rows, channels, 3, 0.05f, a.random<float>(count(), 1), a.output<float>(count())};
  }
  void check(const Sinkhorn<float>& before, const Sinkhorn<float>& after, Comparison& c) const {
    const test::Matrix q =
        test::sinkhorn(Pairs<float>{1, rows, channels}.matrix(before.scores), before.epsilon, 3);
    c.close(
        "log_q", after.log_q, count(), [&](int64_t i) { return std::log(q.at[i]); },
        test::Tolerance<float>{double(rows + channels), 8 + std::log(double(count()))});
  }
};

}  // namespace

void add_sinkhorn(Registry& registry) {
  for (const test::MatrixCase& c : registry.heads)
    registry.add<float>(Codes{c.rows, c.channels}, c.rows == 512 && c.channels == 2048);
}

}  // namespace stopgrad::bench
