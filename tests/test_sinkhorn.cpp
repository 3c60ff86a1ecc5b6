#include "kernels/sinkhorn.h"

#include "tests/cases.h"
#include "tests/compare.h"
#include "tests/reference/sinkhorn.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

template <class T>
std::vector<T> codes(const Matrix& scores, double epsilon, int iterations, int threads = 1) {
  cpu::Context context(threads);
  const std::vector<T> s = as<T>(scores);
  std::vector<T> log_q(s.size(), T(NAN));
  run(Sinkhorn<T>{scores.rows, scores.channels, iterations, T(epsilon), s.data(), log_q.data()}, context);
  return log_q;
}

}  // namespace

TEMPLATE_TEST_CASE("codes are the golden ones", "[sinkhorn]", float, double) {
  using T = TestType;
  const auto q1 = codes<T>(cosines(golden_z1(), golden_prototypes()), .05, 3),
             q2 = codes<T>(cosines(golden_z2(), golden_prototypes()), .05, 3);
  const double row1[] = {.00077598, .00112061, .24905633, .74893594, .00011114},
               row0[] = {.03213077, .43736887, .43736906, .0931313, 0};
  for (size_t j = 0; j < 5; ++j) {
    CHECK(std::exp(double(q1[5 + j])) == Approx(row1[j]).margin(std::is_same_v<T, double> ? 5.01e-9 : 2e-6));
    CHECK(std::exp(double(q2[j])) == Approx(row0[j]).margin(std::is_same_v<T, double> ? 5.01e-9 : 2e-6));
  }
}

TEMPLATE_TEST_CASE("codes follow the definition over all shapes, with the same bits on any threads",
                   "[sinkhorn]", float, double) {
  using T = TestType;
  for (const MatrixCase& c : matrix_cases()) {
    if (c.real) continue;
    INFO(c.name);
    const Matrix scores = matrix(c.rows, c.channels, random<T>(size_t(c.rows) * c.channels, 3));
    for (const int iterations : {1, 3}) {
      const auto one = codes<T>(scores, .25, iterations), three = codes<T>(scores, .25, iterations, 3);
      Matrix want = sinkhorn(scores, .25, iterations);
      for (double& q : want.at) q = std::log(q);
      // Sums of exponentials to the length of a column, and logarithms of up to 8 + log(rows channels).
      check_close(one, want.at, {double(c.rows + c.channels), 8 + std::log(double(c.rows) * c.channels)});
      CHECK(same_bits(one, three));
    }
  }
}

TEST_CASE("every prototype gets its share when codes are balanced for long, and every row one",
          "[sinkhorn]") {
  Matrix scores = matrix(40, 6, random<double>(240, 4));
  for (int i = 0; i < 40; ++i) scores(i, 2) += 1;  // all would choose prototype 2
  const auto log_q = codes<double>(scores, .1, 100);
  for (int j = 0; j < 6; ++j) {
    double share = 0;
    for (int i = 0; i < 40; ++i) share += std::exp(log_q[size_t(i) * 6 + j]);
    CHECK(share == Approx(40.0 / 6).epsilon(1e-6));
  }
  for (int i = 0; i < 40; ++i) {
    double sum = 0;
    for (int j = 0; j < 6; ++j) sum += std::exp(log_q[size_t(i) * 6 + j]);
    CHECK(sum == Approx(1).epsilon(1e-12));
  }
}

TEST_CASE("codes of large scores stay finite, and NaN is not hidden", "[sinkhorn]") {
  Matrix scores = matrix(8, 5, random<double>(40, 5, -1e4, 1e4));
  for (float q : codes<float>(scores, .05, 3)) CHECK(std::isfinite(q));
  scores(3, 2) = NAN;
  CHECK(std::isnan(codes<float>(scores, .05, 3)[3 * 5 + 2]));
}
