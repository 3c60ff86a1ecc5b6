#include "kernels/sinkhorn.h"

#include "tests/cases.h"
#include "tests/compare.h"
#include "tests/cuda/mirror.h"
#include "tests/reference/sinkhorn.h"

using namespace stopgrad;
using namespace stopgrad::test;

TEST_CASE("codes on CUDA follow the definition, at any address", "[cuda][sinkhorn]") {
  for (const MatrixCase& c : matrix_cases()) {
    const size_t n = size_t(c.rows) * c.channels;
    if (c.real || n > 20000 || !affordable(int64_t(n))) continue;
    for (const int late : {0, 1}) {
      INFO(c.name << ", late " << late);
      auto scores = random<float>(n + 1, 3);
      std::vector<float> log_q(n + 1);
      fill_nan(log_q);
      const std::vector<float> begin(scores.begin() + late, scores.begin() + late + long(n));
      Mirror mirror;
      mirror.add(scores, log_q);
      run(Sinkhorn<float>{c.rows, c.channels, 3, .25f, mirror(scores.data() + late),
                          mirror(log_q.data() + late)},
          device());
      mirror.fetch();
      Matrix want = sinkhorn(matrix(c.rows, c.channels, begin), .25f, 3);
      for (double& q : want.at) q = std::log(q);
      check_close(std::vector<float>(log_q.begin() + late, log_q.begin() + late + long(n)), want.at,
                  {double(c.rows + c.channels), 8 + std::log(double(n))});
    }
  }
}

TEST_CASE("codes on CUDA of large scores stay finite, and one iteration is one", "[cuda][sinkhorn]") {
  auto scores = random<float>(8 * 5, 5, -1e4, 1e4);
  std::vector<float> log_q(40);
  Mirror mirror;
  mirror.add(scores, log_q);
  run(Sinkhorn<float>{8, 5, 1, 500, mirror(scores.data()), mirror(log_q.data())}, device());
  mirror.fetch();
  Matrix want = sinkhorn(matrix(8, 5, scores), 500, 1);
  for (double& q : want.at) q = std::log(q);
  check_close(log_q, want.at, {13, 40});
  run(Sinkhorn<float>{8, 5, 3, .05f, mirror(scores.data()), mirror(log_q.data())}, device());
  mirror.fetch();
  for (float q : log_q) CHECK(std::isfinite(q));
}
