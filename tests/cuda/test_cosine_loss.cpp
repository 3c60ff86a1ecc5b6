#include "kernels/cosine_loss.h"

#include "tests/cuda/rows.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

template <class T>
using Loss = PairLoss<CosineLossForward, CosineLossBackward, T>;

/// Pairs of rows no shorter than 1/2.
template <class T>
Loss<T> random_loss(int rows, int channels, size_t skip = 0, int pairs = 2) {
  Loss<T> loss{rows, channels, {}, {}, skip};
  for (int seed = 1; seed <= pairs; ++seed) {
    loss.p.push_back(skipping(skip, long_rows<T>(rows, channels, uint64_t(seed))));
    loss.z.push_back(skipping(skip, long_rows<T>(rows, channels, uint64_t(seed + pairs))));
  }
  return loss;
}

}  // namespace

TEMPLATE_TEST_CASE("the cosine loss on CUDA follows the definition, its gradients are the CPU's bit for bit",
                   "[cuda][cosine_loss]", float, bf16) {
  cpu::Context cpu(1);
  for (const MatrixCase& c : row_cases())
    for (const size_t skip : {0, 1}) {
      if (skip > 0 && c.rows >= 1000) continue;
      INFO(c.name << ", " << skip << " elements off");
      auto got = random_loss<TestType>(c.rows, c.channels, skip), want = got;
      got.forward(device());
      want.forward(cpu);
      double loss = 0;
      for (int k = 0; k < 2; ++k)
        loss += negative_cosine(matrix(c.rows, c.channels, after(skip, got.p[k])),
                                matrix(c.rows, c.channels, after(skip, got.z[k]))) /
                2;
      check_close<float>(got.loss, {loss}, {double(c.channels), 1});
      check_close<float>(got.saved, doubles(want.saved), {double(c.channels), 2});

      got.gradient_each();
      want = got;
      got.backward(device());
      want.backward(cpu);
      for (int i = 0; i < 4; ++i) CHECK(same_bits(got.gradients[i], want.gradients[i]));
      got.accumulate(true);
      want.accumulate(true);
      got.backward(device());
      want.backward(cpu);
      for (int i = 0; i < 4; ++i) CHECK(same_bits(got.gradients[i], want.gradients[i]));
    }
}

TEST_CASE("as many pairs as a call has room for are the CPU's on CUDA", "[cuda][cosine_loss]") {
  cpu::Context cpu(1);
  auto got = random_loss<float>(3, 40, 0, kMaxPairs), want = got;
  got.forward(device());
  want.forward(cpu);
  check_close<float>(got.loss, doubles(want.loss), {40, 1});
  check_close<float>(got.saved, doubles(want.saved), {40, 2});
  got.gradient_each();
  want = got;
  got.backward(device());
  want.backward(cpu);
  for (size_t i = 0; i < got.gradients.size(); ++i) CHECK(same_bits(got.gradients[i], want.gradients[i]));
  got.dp.assign(kMaxPairs, -1), got.dz = got.dp;  // nobody wants a gradient
  got.backward(device());
  for (size_t i = 0; i < got.gradients.size(); ++i) CHECK(same_bits(got.gradients[i], want.gradients[i]));
}

TEMPLATE_TEST_CASE("lengths and cosines of whole numbers and of short rows are the CPU's on CUDA",
                   "[cuda][cosine_loss]", float, bf16) {
  cpu::Context cpu(1);
  for (const int channels : {3, 40, 200, 1040}) {
    INFO(channels << " channels");
    const size_t count = 5 * size_t(channels);
    Loss<TestType> got{5, channels, {integers<TestType>(count, 3)}, {integers<TestType>(count, 4)}};
    std::fill_n(got.p[0].begin(), channels, TestType(0.0f));  // row 0: p is zero; row 1: both are
    std::fill_n(got.p[0].begin() + channels, channels, TestType(0.0f));
    std::fill_n(got.z[0].begin() + channels, channels, TestType(0.0f));
    for (int c = 0; c < channels; ++c)  // row 2: p is below the floor, but not by much
      got.p[0][2 * channels + c] = from_double<TestType>(0x1p-45 * (c % 3 - 1));
    auto want = got;
    got.forward(device());
    want.forward(cpu);
    CHECK(same_bits(got.saved, want.saved));
    got.gradient_each();
    want.gradient_each();
    got.backward(device());
    want.backward(cpu);
    CHECK(same_bits(got.gradients[0], want.gradients[0]));
    CHECK(same_bits(got.gradients[1], want.gradients[1]));
  }
}

TEMPLATE_TEST_CASE("gradients that share memory are written in the CPU's order on CUDA",
                   "[cuda][cosine_loss]", float, bf16) {
  cpu::Context cpu(1);
  struct Sharing {
    std::vector<int> dp, dz;
    std::vector<bool> add_p, add_z;
  };
  const Sharing all[] = {
      {{0, 1}, {1, 0}, {false, true}, {false, true}},  // across the pairs
      {{0, 1}, {0, 1}, {false, false}, {true, true}},  // inside of them
      {{0, 0}, {0, 0}, {true, true}, {true, true}},    // all one tensor
      {{0, 0}, {-1, -1}, {false, true}, {true, true}}  // behind a wall
  };
  for (const int channels : {33, 48, 1032})
    for (const Sharing& s : all) {
      if (!affordable(11 * channels)) continue;
      INFO(channels << " channels, case " << &s - all);
      auto got = random_loss<TestType>(11, channels);
      got.forward(device());
      got.gradients.assign(2, random<TestType>(got.p[0].size(), 5));
      got.dp = s.dp, got.dz = s.dz, got.add_p = s.add_p, got.add_z = s.add_z;
      auto want = got;
      got.backward(device());
      want.backward(cpu);
      CHECK(same_bits(got.gradients[0], want.gradients[0]));
      CHECK(same_bits(got.gradients[1], want.gradients[1]));
    }
}

TEST_CASE("the side behind a wall is neither read nor written on CUDA", "[cuda][cosine_loss]") {
  auto loss = random_loss<float>(6, 40);
  loss.forward(device());
  loss.gradient_each();
  auto all = loss;
  all.backward(device());
  for (int kept = 0; kept < 4; ++kept) {
    auto one = loss;
    for (int k = 0; k < 2; ++k) {
      if (kept != 2 * k) one.dp[k] = -1, one.add_p[k] = true;
      if (kept != 2 * k + 1) one.dz[k] = -1, one.add_z[k] = true;
    }
    one.backward(device());
    for (int i = 0; i < 4; ++i)
      CHECK(same_bits(one.gradients[i], i == kept ? all.gradients[i] : loss.gradients[i]));
  }
  auto none = loss;
  none.dp = none.dz = {-1, -1};
  none.backward(device());
  CHECK(same_bits(none.gradients[0], loss.gradients[0]));
}

TEST_CASE("the cosine loss on CUDA does not hide NaN and gives the same bits twice", "[cuda][cosine_loss]") {
  for (const int channels : {40, 300}) {
    auto loss = random_loss<float>(4, channels), again = loss;
    loss.forward(device());
    again.forward(device());
    CHECK(same_bits(loss.loss, again.loss));
    CHECK(same_bits(loss.saved, again.saved));
    for (const float bad : {NAN, INFINITY}) {
      again.p[1][channels + 17] = bad;  // row 1 of pair 1
      again.forward(device());
      CHECK(std::isnan(again.loss[0]));
      for (int i = 0; i < 8; ++i) CHECK(std::isnan(again.saved[3 * i + 2]) == (i == 5));
    }
  }
}

TEST_CASE("the mean over more rows than a block has threads is the CPU's on CUDA", "[cuda][cosine_loss]") {
  cpu::Context cpu(1);
  for (const int rows : {1, 255, 256, 257, 700}) {
    if (!affordable(2 * rows)) continue;
    INFO(rows << " rows");
    Loss<float> got{rows, 1, {integers<float>(rows, 6, 0, 1)}, {std::vector<float>(rows, 1.0f)}}, want = got;
    got.forward(device());
    want.forward(cpu);
    CHECK(got.loss[0] == want.loss[0]);
  }
}
