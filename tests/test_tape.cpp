#include <optional>

#include "engine/graph/view.h"
#include "tests/gradcheck.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {
/// Takes its input's gradient slot or not, and reports when it dies.
struct Probe : Node {
  bool fill;
  int* alive;
  Probe(bool f, int* a) : fill(f), alive(a) { ++*alive; }
  ~Probe() override { --*alive; }
  const char* name() const override { return "probe"; }
  void backward(const Tensor& dy, Grads& grads) override {
    if (!fill) return;
    const auto dx = grads.slot<double>(0);
    for (int64_t i = 0; i < dy.count(); ++i) dx.data[i] = dy.data<double>()[i];
  }
};

std::vector<double> values(const Tensor& t) { return t.to_vector<double>(); }
}  // namespace

TEST_CASE("a gradient that arrives twice is summed", "[tape]") {
  Bench bench;
  Tape tape;
  const Var x = tape.variable(Tensor::of<double>(bench.pool(), {3}, {1, 2, 3}));
  const Var a = scale(x, 2);
  const Var b = scale(x, 5);
  const Var y = add(a, b);
  const Var loss = weigh(y, 7);
  tape.backward(loss);
  const std::vector<double> w = random<double>(3, 7);
  for (size_t i = 0; i < 3; ++i) CHECK(values(tape.gradient(x))[i] == Approx(7 * w[i]).epsilon(1e-14));
}

TEST_CASE("one parameter is one leaf, however often it is used", "[tape]") {
  Bench bench;
  Parameter& w = bench.parameter("w", {2, 2});
  Tape tape;
  const Var first = tape.leaf(w);
  const Var second = tape.leaf(w);
  CHECK(first.index == second.index);
  CHECK(tape.entries().size() == 1);
}

TEST_CASE("the second backward before clear_gradients adds to the first", "[tape]") {
  Bench bench;
  Parameter& w = bench.parameter("w", {4});
  std::vector<double> once;
  for (int round = 0; round < 2; ++round) {
    Tape tape;
    const Var x = tape.leaf(w);
    const Var loss = weigh(x);
    tape.backward(loss);
    if (round == 0) once = values(w.grad);
  }
  for (size_t i = 0; i < once.size(); ++i) CHECK(values(w.grad)[i] == 2 * once[i]);
}

TEST_CASE("a node that forgets an input is an error that names both", "[tape]") {
  Bench bench;
  int alive = 0;
  Tape tape;
  const Var x = tape.variable(Tensor::of<double>(bench.pool(), {1}, {1}));
  const Var y = tape.record(like(x.value), std::make_unique<Probe>(false, &alive), {x});
  CHECK_THROWS_WITH(tape.backward(y), Catch::Contains("probe") && Catch::Contains("input 0"));
}

TEST_CASE("nodes and their memory go during backward, walls or not", "[tape]") {
  Bench bench;
  int alive = 0;
  Tape tape;
  const Var x = tape.variable(Tensor::of<double>(bench.pool(), {1}, {1}));
  Var y = x;
  for (int i = 0; i < 3; ++i) y = tape.record(like(x.value), std::make_unique<Probe>(true, &alive), {y});
  const Var stopped = tape.record(like(x.value), std::make_unique<Probe>(true, &alive), {y});
  const Var wall = detach(stopped);
  const Var live = tape.record(like(x.value), std::make_unique<Probe>(true, &alive), {y});
  const Var loss = cosine_loss({{reshape(live, {1, 1}), reshape(wall, {1, 1})}});
  CHECK(alive == 5);
  tape.backward(loss);
  CHECK(alive == 0);
}

TEST_CASE("a tape that is off records nothing and gives the same values", "[tape]") {
  Bench bench;
  Parameter& w = bench.parameter("w", {3, 2});
  const Tensor x = Tensor::of(bench.pool(), {4, 3}, random<double>(12, 1));
  Tape on, off(Tape::Mode::off);
  const Var a = linear(on.input(x), w, nullptr);
  const Var b = linear(off.input(x), w, nullptr);
  CHECK(same_bits(values(a.value), values(b.value)));
  CHECK(off.entries().empty());
  CHECK(b.index == -1);
  CHECK_THROWS_AS(off.backward(b), Error);
}

TEST_CASE("gradients of parts land in the whole, zero where nobody asked", "[tape]") {
  Bench bench;
  Tape tape;
  const Var x = tape.variable(Tensor::of(bench.pool(), {5, 2}, random<double>(10, 3)));
  const Var part = rows(x, 1, 3);
  const Var inner = rows(part, 1, 2);  // row 2 of x
  const Var loss = weigh(inner, 5);
  tape.backward(loss);
  const std::vector<double> g = values(tape.gradient(x)), w = random<double>(2, 5);
  for (size_t i = 0; i < 10; ++i) CHECK(g[i] == (i == 4 ? w[0] : i == 5 ? w[1] : 0));
}

TEST_CASE("a part used together with the whole is summed", "[tape]") {
  Bench bench;
  Tape tape;
  const Var x = tape.variable(Tensor::of(bench.pool(), {4}, random<double>(4, 3)));
  const Var a = scale(x, 3);
  const Var part = rows(x, 2, 4);
  const Var b = scale(part, 10);
  const Var c = rows(a, 0, 2);
  const Var y = add(b, c);
  const Var loss = weigh(y, 5);
  tape.backward(loss);
  const std::vector<double> g = values(tape.gradient(x)), w = random<double>(2, 5);
  const std::vector<double> want = {3 * w[0], 3 * w[1], 10 * w[0], 10 * w[1]};
  for (size_t i = 0; i < 4; ++i) CHECK(g[i] == Approx(want[i]).epsilon(1e-14));
}

TEST_CASE("backward refuses what is not one number on this tape, and a second run", "[tape]") {
  Bench bench;
  Tape tape, other;
  const Var x = tape.variable(Tensor::of(bench.pool(), {2}, random<double>(2, 3)));
  CHECK_THROWS_WITH(tape.backward(x), Catch::Contains("[2]"));
  CHECK_THROWS_AS(other.backward(x), Error);
  const Var constant = tape.input(Tensor::of<double>(bench.pool(), {}, {1}));
  CHECK_THROWS_WITH(tape.backward(constant), Catch::Contains("no parameter"));
  const Var loss = weigh(x);
  tape.backward(loss);
  CHECK_THROWS_WITH(tape.backward(loss), Catch::Contains("once"));
  CHECK_THROWS_WITH(scale(x, 1), Catch::Contains("new tape"));
}

TEST_CASE("a Var of another tape is an error that names the operation", "[tape]") {
  Bench bench;
  const Tensor ones = Tensor::of<double>(bench.pool(), {2}, {1, 1});
  Tape tape, other, off(Tape::Mode::off);
  const Var x = tape.variable(ones), y = other.variable(ones);  // the same memory and place
  CHECK_THROWS_WITH(add(x, y), Catch::Contains("add") && Catch::Contains("another tape"));
  CHECK_THROWS_WITH(other.record_wall(x), Catch::Contains("detach"));
  CHECK_THROWS_WITH(other.record_alias(x, x.value, "rows"), Catch::Contains("rows"));
  CHECK_THROWS_WITH(add(off.input(ones), x), Catch::Contains("another tape"));
  CHECK(add(x, off.input(ones)).index == 1);  // never recorded: a constant
}

TEST_CASE("a Var of a tape that is gone is an error, although the next tape has its address", "[tape]") {
  Bench bench;
  const Tensor ones = Tensor::of<double>(bench.pool(), {2}, {1, 1});
  std::optional<Tape> tape(std::in_place);
  const Var before = scale(tape->variable(ones), 1);
  tape.emplace();
  const Var now = scale(tape->variable(ones), 1);
  CHECK(before.tape == now.tape);
  CHECK_THROWS_WITH(add(now, before), Catch::Contains("another tape"));
  CHECK_THROWS_WITH(tape->backward(before), Catch::Contains("another tape"));
  CHECK_THROWS_WITH(tape->gradient(before), Catch::Contains("another tape"));
}

TEST_CASE("a node has at most 64 inputs", "[tape]") {
  Bench bench;
  int alive = 0;
  Tape tape;
  const Var x = tape.variable(Tensor::of<double>(bench.pool(), {1}, {1}));
  const auto record = [&](size_t count) {
    return tape.record(like(x.value), std::make_unique<Probe>(true, &alive), std::vector<Var>(count, x));
  };
  CHECK(record(64).index == 1);
  CHECK_THROWS_WITH(record(65), Catch::Contains("probe") && Catch::Contains("65 inputs"));
}

TEST_CASE("a gradient that is not finite is reported with its node", "[tape]") {
  Bench bench;
  Tape tape;
  tape.check_finite(true);
  Tape::Scope scope(tape, "encoder");
  const Var x = tape.variable(Tensor::of<double>(bench.pool(), {2}, {1, 2}));
  const Var a = scale(x, 1e300);
  const Var b = scale(a, 1e300);
  const Var loss = weigh(b);
  CHECK_THROWS_WITH(tape.backward(loss), Catch::Contains("variable") && Catch::Contains("encoder"));
}

TEST_CASE("the text of a tape shows walls, inputs, sizes and where gradients went", "[tape]") {
  Bench bench;
  Tape tape;
  tape.measure_gradients(true);
  const Var x = tape.variable(Tensor::of<double>(bench.pool(), {1, 2}, {3, 4}), "x");
  const Var behind = scale(x, 2);
  const Var wall = detach(behind);
  const Var loss = cosine_loss({{x, wall}});
  tape.backward(loss);
  const std::string text = to_text(tape);
  CHECK_THAT(text, Catch::Matches(" +● +#0 x +\\[1,2\\] +\\|∇\\| [0-9.e-]+\n"
                                  " +○ +#1 scale 2 +\\[1,2\\] +<- #0\n"
                                  " +⊣ +#2 detach +\\[1,2\\] +<- #1   no gradient passes\n"
                                  " +● +#3 cosine_loss +\\[\\] +<- #0 #2   \\|∇\\| 1\n"
                                  "● a gradient arrived   ○ none   ⊣ a wall\n"));
}

TEST_CASE("an observer hears of every entry, and of the backward of every node a gradient reaches",
          "[tape]") {
  struct Listener : TapeObserver {
    std::string heard;
    void mark(Mark mark, int index) override {
      heard += fmt::format("{}{} ",
                           mark == Mark::recorded          ? ""
                           : mark == Mark::backward_begins ? "("
                                                           : ")",
                           index);
    }
  } listener;
  Bench bench;
  Tape tape;
  tape.set_observer(&listener);
  const Var x = tape.variable(Tensor::of<double>(bench.pool(), {1, 2}, {3, 4}), "x");
  const Var twice = scale(x, 2);
  const Var behind = scale(x, 3);
  const Var wall = detach(behind);
  const Var loss = cosine_loss({{twice, wall}});
  CHECK(listener.heard == "0 1 2 3 4 ");
  tape.backward(loss);
  CHECK(listener.heard == "0 1 2 3 4 (4 )4 (1 )1 ");
}

TEST_CASE("the pool reuses memory, merges neighbours and counts", "[pool]") {
  cpu::Context context(1);
  Pool pool(Device{.cpu = &context}, 1 << 20);
  const size_t before = pool.stats().live_bytes;
  for (int round = 0; round < 50; ++round) {
    std::vector<std::shared_ptr<Storage>> blocks;
    for (size_t i = 1; i < 40; ++i) blocks.push_back(pool.allocate(i * 1000));
    for (size_t i = 0; i < blocks.size(); i += 2) blocks[i].reset();
    const auto large = pool.allocate(100000);
    CHECK(reinterpret_cast<uintptr_t>(large->data()) % 256 == 0);
  }
  CHECK(pool.stats().live_bytes == before);
  CHECK(pool.stats().system_requests == 1);
  CHECK(pool.stats().allocations == 50 * 40);
  CHECK(pool.allocate((size_t{2} << 20) - 256)->data() != nullptr);  // all free blocks have become one again
  CHECK(pool.stats().system_requests == 1);
}

TEST_CASE("memory that the system refuses is an error with the right code", "[pool]") {
  cpu::Context context(1);
  Pool pool(Device{.cpu = &context});
  try {
    pool.allocate(size_t{1} << 60);
    FAIL("allocated an exbibyte");
  } catch (const Error& e) {
    CHECK(e.code() == Exit::memory);
  }
}
