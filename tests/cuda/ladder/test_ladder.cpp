// Every version of every ladder against the CPU schedule.
#include "bench/ladder/problems.h"

using namespace stopgrad;
using namespace stopgrad::ladder;

namespace {

template <class Problem>
void check_versions(Problem problem, bool whole) {
  using Call = typename Problem::Call;
  for (const Version<Call>& version : versions<Call>()) {
    INFO("version " << 1 + &version - versions<Call>().data() << ", " << version.name);
    run_version(problem, version);
    const double used = problem.used();
    INFO("uses " << 100 * used << " % of the tolerance");
    CHECK(used <= 1);
    if (whole) CHECK(problem.exact());
  }
}

/// `most_rows`: rows that know nothing of each other only cost time, up to 128 threads each.
template <class Problem>
void check_matrices(int most_rows = 1 << 30) {
  for (const MatrixCase& c : matrix_cases()) {
    const int rows = std::min(c.rows, most_rows);
    if (c.real || !affordable(int64_t{rows} * c.channels)) continue;
    INFO(c.name);
    check_versions(Problem(rows, c.channels, Data::random), false);
  }
}

}  // namespace

TEMPLATE_TEST_CASE("every version of batch norm's forward call is the CPU's", "[cuda][ladder]", float, bf16) {
  check_matrices<BatchNormForwardProblem<TestType>>();
  for (const int channels : {1, 3, 16, 70})
    check_versions(BatchNormForwardProblem<TestType>(64, channels, Data::whole), true);
}

TEMPLATE_TEST_CASE("every version of batch norm's backward call is the CPU's", "[cuda][ladder]", float,
                   bf16) {
  check_matrices<BatchNormBackwardProblem<TestType>>();
  for (const int channels : {1, 3, 16, 70})
    check_versions(BatchNormBackwardProblem<TestType>(64, channels, Data::whole), true);
}

TEMPLATE_TEST_CASE("every version of the cosine loss is the CPU's", "[cuda][ladder]", float, bf16) {
  check_matrices<CosineForwardProblem<TestType>>(257);
  for (const int channels : {3, 40, 200})
    check_versions(CosineForwardProblem<TestType>(37, channels, Data::whole), true);
}

TEMPLATE_TEST_CASE("every version of the cosine loss's gradient is the CPU's", "[cuda][ladder]", float,
                   bf16) {
  check_matrices<CosineBackwardProblem<TestType>>(257);
  for (const int channels : {3, 40, 200})
    check_versions(CosineBackwardProblem<TestType>(37, channels, Data::whole), true);
}

TEMPLATE_TEST_CASE("every version of augmentation makes the CPU's views bit for bit", "[cuda][ladder]", float,
                   bf16) {
  const auto check = [](const Images& images, ViewShape shape) {
    if (!affordable(1000 * images.count)) return;
    INFO(images.height << "x" << images.width << " to " << shape.height << "x" << shape.width);
    check_versions(AugmentProblem<TestType>(images, shape), true);
  };
  check(Images(3, 32, 32, 3), {32, 32, 3});
  check(Images(7, 17, 23, 3), {19, 21, 3});  // both ways, no whole pack
  check(Images(7, 40, 37, 3), {9, 7, 3});    // strong shrinking
  check(Images(7, 9, 11, 3), {8, 8, 8});     // padded channels
  check(Images(7, 2, 1, 3), {3, 5, 3});
  check(Images(7, 6, 5, 3), {1, 1, 4});
}
