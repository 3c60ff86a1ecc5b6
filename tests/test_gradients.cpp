// Every differentiable operation against central differences. An operation of ops.h without a case fails.
#include <fstream>
#include <regex>
#include <set>

#include "tests/gradcheck.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

struct GradientCase {
  std::string operation, name;
  std::function<void(Bench&)> check;
};

BatchNormState norm_state(Bench& bench, int channels, bool affine) {
  BatchNormState s;
  if (affine) {
    s.gamma = &bench.parameter("gamma", {channels}, 0.5, 1.5);
    s.beta = &bench.parameter("beta", {channels});
  }
  return s;
}

void check_batch_norm(Bench& bench, int groups, bool affine, bool with_relu, bool with_residual) {
  Parameter& x = bench.parameter("x", {groups * 3, 2, 5});
  Parameter* residual = with_residual ? &bench.parameter("residual", x.shape) : nullptr;
  const BatchNormState s = norm_state(bench, 5, affine);
  check_gradients(bench.parameters(), [&, groups, with_relu](Tape& tape) {
    const Var input = tape.leaf(x);
    const Var r = residual ? tape.leaf(*residual) : Var{};
    const Var y = batch_norm(input, s, groups, false, with_relu, residual ? &r : nullptr);
    return weigh(y);
  });
}

void check_conv(Bench& bench, Shape x_shape, Shape w_shape, int stride, int padding) {
  Parameter& x = bench.parameter("x", x_shape);
  Parameter& w = bench.parameter("w", w_shape);
  check_gradients(bench.parameters(), [&](Tape& tape) {
    const Var input = tape.leaf(x);
    const Var y = conv2d(input, w, stride, padding);
    return weigh(y);
  });
}

/// Both sides of a similarity want their gradient, in one direction and in two.
void check_similarity(Bench& bench, Var (*loss)(const std::vector<Direction>&), int directions) {
  std::vector<Parameter*> p, z;
  for (int i = 0; i < directions; ++i) {
    p.push_back(&bench.parameter(fmt::format("p{}", i), {4, 6}));
    z.push_back(&bench.parameter(fmt::format("z{}", i), {4, 6}));
  }
  check_gradients(bench.parameters(), [&](Tape& tape) {
    std::vector<Direction> pairs;
    for (size_t i = 0; i < p.size(); ++i) {
      Direction d;
      d.p = tape.leaf(*p[i]);
      d.z = tape.leaf(*z[i]);
      pairs.push_back(d);
    }
    const Var y = loss(pairs);
    return y;
  });
}

template <class F>
void check_unary(Bench& bench, Shape shape, F f) {
  Parameter& x = bench.parameter("x", shape);
  check_gradients(bench.parameters(), [&](Tape& tape) {
    const Var input = tape.leaf(x);
    const Var y = f(input);
    return weigh(y);
  });
}

const std::vector<GradientCase>& cases() {
  static const std::vector<GradientCase> all = {
      {"add", "two inputs",
       [](Bench& b) {
         Parameter &x = b.parameter("a", {3, 4}), &y = b.parameter("b", {3, 4});
         check_gradients(b.parameters(), [&](Tape& tape) {
           const Var u = tape.leaf(x), v = tape.leaf(y);
           const Var s = add(u, v);
           return weigh(s);
         });
       }},
      {"add", "the same input twice",
       [](Bench& b) {
         check_unary(b, {3, 4}, [](const Var& x) { return add(x, x); });
       }},
      {"scale", "by -2.5",
       [](Bench& b) { check_unary(b, {7}, [](const Var& x) { return scale(x, -2.5); }); }},
      {"relu", "away from the kink",
       [](Bench& b) {
         check_unary(b, {5, 7}, [](const Var& x) { return relu(x); });
       }},
      {"rows", "parts that overlap, and a part nobody reads",
       [](Bench& b) {
         check_unary(b, {6, 3}, [](const Var& x) {
           const Var first = rows(x, 0, 3), second = rows(x, 1, 4);
           return add(first, second);
         });
       }},
      {"join_rows", "two matrices, one of them twice",
       [](Bench& b) {
         Parameter &x = b.parameter("a", {2, 3}), &y = b.parameter("b", {4, 3});
         check_gradients(b.parameters(), [&](Tape& tape) {
           const Var u = tape.leaf(x), v = tape.leaf(y);
           const Var joined = join_rows({u, v, u});
           return weigh(joined);
         });
       }},
      {"reshape", "through another operation",
       [](Bench& b) {
         check_unary(b, {2, 6}, [](const Var& x) {
           const Var y = reshape(x, {3, 4});
           return relu(y);
         });
       }},
      {"linear", "with bias",
       [](Bench& b) {
         Parameter &x = b.parameter("x", {3, 4}), &w = b.parameter("w", {4, 5}),
                   &bias = b.parameter("bias", {5});
         check_gradients(b.parameters(), [&](Tape& tape) {
           const Var input = tape.leaf(x);
           const Var y = linear(input, w, &bias);
           return weigh(y);
         });
       }},
      {"linear", "one weight used twice",
       [](Bench& b) {
         Parameter &x = b.parameter("x", {3, 4}), &w = b.parameter("w", {4, 4});
         check_gradients(b.parameters(), [&](Tape& tape) {
           const Var input = tape.leaf(x);
           const Var h = linear(input, w, nullptr);
           const Var y = linear(h, w, nullptr);
           return weigh(y);
         });
       }},
      {"matmul_transposed", "two factors",
       [](Bench& b) {
         Parameter &x = b.parameter("a", {3, 4}), &y = b.parameter("b", {5, 4});
         check_gradients(b.parameters(), [&](Tape& tape) {
           const Var u = tape.leaf(x), v = tape.leaf(y);
           const Var s = matmul_transposed(u, v);
           return weigh(s);
         });
       }},
      {"matmul_transposed", "a matrix and itself",
       [](Bench& b) {
         check_unary(b, {3, 4}, [](const Var& x) { return matmul_transposed(x, x); });
       }},
      {"conv2d", "3x3",
       [](Bench& b) {
         check_conv(b, {2, 4, 5, 3}, {2, 3, 3, 3}, 1, 1);
       }},
      {"conv2d", "3x3 stride 2",
       [](Bench& b) {
         check_conv(b, {2, 5, 5, 2}, {3, 3, 3, 2}, 2, 1);
       }},
      {"conv2d", "1x1 stride 2",
       [](Bench& b) {
         check_conv(b, {2, 4, 4, 3}, {4, 1, 1, 3}, 2, 0);
       }},
      {"conv2d", "7x7 stride 2",
       [](Bench& b) {
         check_conv(b, {1, 8, 8, 1}, {2, 7, 7, 1}, 2, 3);
       }},
      {"batch_norm", "plain", [](Bench& b) { check_batch_norm(b, 1, false, false, false); }},
      {"batch_norm", "affine", [](Bench& b) { check_batch_norm(b, 1, true, false, false); }},
      {"batch_norm", "affine relu", [](Bench& b) { check_batch_norm(b, 1, true, true, false); }},
      {"batch_norm", "residual", [](Bench& b) { check_batch_norm(b, 1, true, false, true); }},
      {"batch_norm", "residual relu", [](Bench& b) { check_batch_norm(b, 1, true, true, true); }},
      {"batch_norm", "two groups, residual relu", [](Bench& b) { check_batch_norm(b, 2, true, true, true); }},
      {"max_pool", "3x3/2",
       [](Bench& b) {
         check_unary(b, {2, 5, 6, 3}, [](const Var& x) { return max_pool(x, 3, 2, 1); });
       }},
      {"global_average_pool", "",
       [](Bench& b) {
         check_unary(b, {3, 4, 5, 2}, [](const Var& x) { return global_average_pool(x); });
       }},
      {"l2_normalize", "",
       [](Bench& b) {
         check_unary(b, {4, 6}, [](const Var& x) { return l2_normalize(x); });
       }},
      {"cosine_loss", "one direction", [](Bench& b) { check_similarity(b, cosine_loss, 1); }},
      {"cosine_loss", "two directions", [](Bench& b) { check_similarity(b, cosine_loss, 2); }},
      {"softmax_similarity", "one direction", [](Bench& b) { check_similarity(b, softmax_similarity, 1); }},
      {"softmax_similarity", "two directions", [](Bench& b) { check_similarity(b, softmax_similarity, 2); }},
      {"cross_entropy", "",
       [](Bench& b) {
         Parameter& x = b.parameter("logits", {4, 3});
         const Tensor labels = Tensor::of<int32_t>(b.pool(), {4}, {0, 2, 1, 2});
         check_gradients(b.parameters(), [&](Tape& tape) {
           const Var logits = tape.leaf(x);
           const Var loss = cross_entropy(logits, labels);
           return loss;
         });
       }},
      {"cross_entropy", "with classes left out",
       [](Bench& b) {
         Parameter& x = b.parameter("logits", {3, 5});
         const Tensor labels = Tensor::of<int32_t>(b.pool(), {3}, {0, 2, 4}),
                      left_out = Tensor::of<int32_t>(b.pool(), {3, 2}, {0, 3, 1, 2, 2, 2});
         check_gradients(b.parameters(), [&](Tape& tape) {
           const Var logits = tape.leaf(x);
           const Var loss = cross_entropy(logits, labels, left_out);
           return loss;
         });
       }},
  };
  return all;
}

}  // namespace

TEST_CASE("the gradient of every operation matches central differences", "[gradient]") {
  for (const GradientCase& c : cases()) {
    DYNAMIC_SECTION(c.operation << " " << c.name) {
      Bench bench;
      c.check(bench);
    }
  }
}

TEST_CASE("every operation of ops.h has a gradient case", "[gradient]") {
  // detach is the wall (tests/test_wall.cpp), and sinkhorn stands behind one (tests/test_swav.cpp); the
  // evaluation form of batch norm records nothing.
  std::set<std::string> covered = {"detach", "sinkhorn", "batch_norm_inference"};
  for (const GradientCase& c : cases()) covered.insert(c.operation);
  std::ifstream in(STOPGRAD_SOURCE_DIR "/engine/ops.h");
  REQUIRE(in);
  const std::regex declaration("^Var ([a-z0-9_]+)\\(");
  int found = 0;
  for (std::string line; std::getline(in, line);) {
    std::smatch match;
    if (!std::regex_search(line, match, declaration)) continue;
    ++found;
    INFO(match[1] << " has no gradient case");
    CHECK(covered.contains(match[1]));
  }
  CHECK(found >= 14);
}

TEST_CASE("a wrong gradient does not pass the check", "[gradient]") {
  struct WrongNode : Node {
    const char* name() const override { return "wrong"; }
    void backward(const Tensor& dy, Grads& grads) override {
      const auto dx = grads.slot<double>(0);
      for (int64_t i = 0; i < dy.count(); ++i) dx.data[i] = dy.data<double>()[i] * 1.00001;
    }
  };
  Bench bench;
  Parameter& x = bench.parameter("x", {5});
  const Loss loss = [&](Tape& tape) {
    const Var v = tape.leaf(x);
    const Var y = scale(v, 1);
    const Var wrong = tape.record(y.value, std::make_unique<WrongNode>(), {y});
    return weigh(wrong);
  };
  Tape tape;
  x.has_grad = false;
  const Var value = loss(tape);
  // The node inherits scale's output, so its own gradient is off by 1e-5: an order above what is allowed.
  tape.backward(value);
  CHECK(distance(x.grad.to_vector<double>(), numeric_gradient(x, loss)) > 5e-6);
}
