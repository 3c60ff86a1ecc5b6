// Networks and trainer.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "engine/checkpoint.h"
#include "models/diagnostics.h"
#include "models/features.h"
#include "models/trainer.h"
#include "tests/compare.h"
#include "tests/small_run.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

int64_t count_parameters(const std::function<void(Visitor&)>& visit) {
  int64_t n = 0;
  Visitor v;
  v.parameter = [&](const std::string&, Parameter& p) { n += p.shape.count(); };
  visit(v);
  return n;
}

}  // namespace

TEST_CASE("parameter counts are the paper's", "[models]") {
  auto backbone = [](const char* name, bool imagenet_stem) {
    ResNet net(resnet_config(name, imagenet_stem));
    return count_parameters([&](Visitor& v) { net.visit("", v); });
  };
  CHECK(backbone("resnet18", false) == 11168832);
  CHECK(backbone("resnet50", true) == 23508032);
  CHECK(backbone("resnet18", true) == 11689512 - 513000);  // torchvision's, less its classifier
  CHECK(backbone("resnet34", true) == 21797672 - 513000);
  auto head = [](MlpConfig c) {
    MlpHead mlp(c);
    return count_parameters([&](Visitor& v) { mlp.visit("", v); });
  };
  CHECK(head({{512, 2048, 2048}, true, true, false}) == 5246976);
  CHECK(head({{2048, 2048, 2048, 2048}, true, true, false}) == 12591104);
  CHECK(head({{2048, 512, 2048}, true, false}) == 2100224);
}

TEST_CASE("twenty steps equal seven, a resume, and thirteen more, bit for bit", "[trainer]") {
  struct Case {
    const char *method, *optimizer;
    int threads;
  };
  for (const auto& [method, optimizer, threads] : {Case{"simsiam", "sgd", 1},
                                                   {"simsiam", "lars", 2},
                                                   {"byol", "sgd", 2},
                                                   {"simclr", "sgd", 2},
                                                   {"moco", "sgd", 2}}) {
    Recipe recipe = small_recipe_of(method);
    recipe.optimizer = optimizer;
    recipe.threads = threads;
    const Dataset& set = small_set();
    Folder whole, parts;
    Model a(recipe, {8, 8, 3});
    Trainer(a, set, nullptr, whole.path.string()).run({});

    {
      Model b(recipe, {8, 8, 3});
      Trainer first(b, set, nullptr, parts.path.string());
      TrainerEvents events;
      events.stop = [&] { return first.step() == 7; };
      CHECK(first.run(events) == RunEnd::stopped);
      first.train_step();  // steps after the checkpoint are forgotten
    }
    std::ofstream(parts.path / "metrics.jsonl", std::ios::app) << "{\"step\":7,\"lost\":true}\n";
    Model c(recipe, {8, 8, 3});
    Trainer second(c, set, nullptr, parts.path.string());
    second.resume(latest_checkpoint(parts.path.string()));
    CHECK(second.step() == 7);
    CHECK(second.run({}) == RunEnd::finished);
    CHECK(state_of(a) == state_of(c));
    CHECK(metrics_of(whole.path) == metrics_of(parts.path));
  }
}

TEST_CASE("resume refuses another recipe, another set and a file that is no checkpoint", "[trainer]") {
  Folder folder;
  Recipe recipe = small_recipe();
  recipe.steps = 2;
  Model model(recipe, {8, 8, 3});
  Trainer trainer(model, small_set(), nullptr, folder.path.string());
  trainer.run({});
  const std::string path = latest_checkpoint(folder.path.string());
  Recipe other = recipe;
  other.base_rate = 0.1;
  Model second(other, {8, 8, 3});
  CHECK_THROWS_WITH(Trainer(second, small_set(), nullptr, "").resume(path),
                    Catch::Contains("another recipe"));
  Dataset fewer = small_set();
  fewer.keep_first(32);
  Model third(recipe, {8, 8, 3});
  CHECK_THROWS_WITH(Trainer(third, fewer, nullptr, "").resume(path), Catch::Contains("32"));
  const std::string exported = (folder.path / "weights.safetensors").string();
  export_weights(exported, [&](Visitor& v) { model.method().visit_backbone(v); }, {});
  CHECK_THROWS_WITH(Trainer(third, small_set(), nullptr, "").resume(exported), Catch::Contains("recipe"));
  Recipe wider = recipe;
  wider.widths = {4, 12};
  Model fourth(wider, {8, 8, 3});
  CHECK_THROWS_WITH(load_checkpoint(path, fourth.slab(), true),
                    Catch::Contains("encoder.layer2.0.conv1.weight") && Catch::Contains("[12,4,3,3]"));
}

TEST_CASE("bf16 trains as float does, within its rounding", "[trainer]") {
  Recipe recipe = small_recipe();
  std::vector<double> loss[2];
  for (bool half : {false, true}) {
    recipe.precision = half ? "bf16" : "float32";
    Model model(recipe, {8, 8, 3});
    Trainer trainer(model, small_set(), nullptr, "");
    for (int i = 0; i < 20; ++i) loss[half].push_back(trainer.train_step().loss);
    for (const Parameter* p : model.slab().parameters())  // what operations read is the rounded master weight
      if (half) CHECK(float(p->compute.data<bf16>()[0]) == float(bf16(p->value.data<float>()[0])));
  }
  // Each step adds noise of one bf16 spacing (1/128) to a loss that moves by tenths.
  for (size_t i = 0; i < 20; ++i)
    CHECK(std::abs(loss[0][i] - loss[1][i]) < (1 + 0.5 * static_cast<double>(i)) / 128);
  CHECK(loss[1].back() < loss[1].front() - 0.1);
}

TEST_CASE("a torn newest checkpoint is passed over", "[trainer]") {
  Folder folder;
  Recipe recipe = small_recipe();
  recipe.epochs = 3;
  recipe.checkpoint_every = 1;
  recipe.keep_checkpoints = 2;
  Model model(recipe, {8, 8, 3});
  Trainer(model, small_set(), nullptr, folder.path.string()).run({});
  const std::string newest = latest_checkpoint(folder.path.string());
  CHECK_THAT(newest, Catch::EndsWith("checkpoint-000012.safetensors"));
  fs::resize_file(newest, 100);
  CHECK_THAT(latest_checkpoint(folder.path.string()), Catch::EndsWith("checkpoint-000008.safetensors"));
  CHECK_FALSE(fs::exists(folder.path / "checkpoint-000004.safetensors"));
}

TEST_CASE("from the third step on a training step asks the system for no memory", "[trainer]") {
  Model model(small_recipe(), {8, 8, 3});
  Trainer trainer(model, small_set(), nullptr, "");
  for (int i = 0; i < 2; ++i) trainer.train_step();
  const PoolStats step = model.step_memory().stats(), permanent = model.permanent().stats();
  const size_t scratch = model.device().cpu->scratch_bytes();
  for (int i = 0; i < 5; ++i) trainer.train_step();
  CHECK(model.step_memory().stats().system_bytes == step.system_bytes);
  CHECK(model.step_memory().stats().live_bytes == step.live_bytes);
  CHECK(model.permanent().stats().allocations == permanent.allocations);
  CHECK(model.device().cpu->scratch_bytes() == scratch);
}

TEST_CASE("without the wall the representation collapses, with it it does not", "[trainer]") {
  Recipe recipe = small_recipe();
  recipe.widths = {8, 16};
  recipe.projector = {32, 32};
  recipe.predictor_hidden = 8;
  recipe.batch = 32;
  recipe.steps = 150;
  recipe.base_rate = 1.6;
  double spread[2] = {}, rank[2];
  for (bool wall : {false, true}) {
    recipe.stop_gradient = wall;
    Model model(recipe, {8, 8, 3});
    Trainer trainer(model, small_set(), nullptr, "");
    StepReport last;
    for (int i = 0; i < recipe.steps; ++i) {
      last = trainer.train_step();
      if (i >= recipe.steps - 20) spread[wall] += last.spread / 20;
    }
    rank[wall] = *last.rank;
  }
  // Runs drift apart by rounding alone: over 36 of them (docs/decisions.md) 0.82 to 0.98 and 0.22 to 0.38.
  CHECK(spread[1] > 0.75);
  CHECK(spread[0] < 0.5);
  CHECK(rank[0] < rank[1]);
}

TEST_CASE("collapse raises the alarm, and ends the run when asked to", "[trainer]") {
  Recipe recipe = small_recipe();
  recipe.stop_gradient = false;
  recipe.base_rate = 2;
  recipe.steps = 300;
  recipe.fail_on_collapse = true;
  recipe.collapse_spread = 0.8;
  Model model(recipe, {8, 8, 3});
  Trainer trainer(model, small_set(), nullptr, "");
  std::string heard;
  TrainerEvents events;
  events.alarm = [&](const std::string& text) { heard = text; };
  CHECK(trainer.run(events) == RunEnd::collapsed);
  CHECK_THAT(heard, Catch::Contains("collapse") && Catch::Contains("stop_gradient = false"));
}

TEST_CASE("a loss that is not finite ends the run with its own exit code", "[trainer]") {
  Recipe recipe = small_recipe();
  Model model(recipe, {8, 8, 3});
  Trainer trainer(model, small_set(), nullptr, "");
  model.slab().values.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  try {
    trainer.train_step();
    FAIL("went on with NaN");
  } catch (const Error& e) {
    CHECK(e.code() == Exit::diverged);
    CHECK_THAT(e.what(), Catch::Contains("step 0"));
  }
}

TEST_CASE("a checkpoint brings back every value in PyTorch's shapes", "[checkpoint]") {
  Folder folder;
  fs::create_directories(folder.path);
  const std::string path = (folder.path / "c.safetensors").string();
  Model a(small_recipe(), {8, 8, 3}), b(small_recipe(), {8, 8, 3});
  Trainer(a, small_set(), nullptr, "").train_step();
  save_checkpoint(path, a.slab(), {{"key", "value"}});
  CHECK(state_of(a) != state_of(b));
  CHECK(load_checkpoint(path, b.slab(), true).at("key") == "value");
  CHECK(state_of(a) == state_of(b));
}

double spread_of(const Tensor& z) {
  const Tensor deviations(z.pool(), {z.channels()}, DType::f64);
  unit_row_deviations(z, deviations.data<double>());
  return spread_of_deviations(deviations.to_vector<double>());
}

TEST_CASE("meters tell health, collapse and collapse onto few directions apart", "[diagnostics]") {
  cpu::Context context(1);
  const Pool pool(Device{.cpu = &context});
  constexpr int n = 256, d = 64;
  std::vector<float> noise = random<float>(n * d, 3), same(n * d), code(n * d);
  for (size_t i = 0; i < same.size(); ++i) {
    same[i] = 1 + 1e-4f * noise[i];
    code[i] = noise[i / d * d] > 0 ? 1.0f : -1.0f;  // one bit per row, the same in all channels
  }
  const Tensor healthy = Tensor::of(pool, {n, d}, noise), collapsed = Tensor::of(pool, {n, d}, same);
  const Tensor one_bit = Tensor::of(pool, {n, d}, code);
  CHECK(spread_of(healthy) > 0.98);
  CHECK(effective_rank(healthy) > 55);
  CHECK(spread_of(collapsed) < 0.01);
  CHECK(spread_of(one_bit) > 0.95);      // the spread is fooled
  CHECK(effective_rank(one_bit) < 1.1);  // the rank is not
}

TEST_CASE("the rank of rows with one value each is their number less the one that centring takes",
          "[diagnostics]") {
  cpu::Context context(1);
  const Pool pool(Device{.cpu = &context});
  for (const int rows : {8, 24})  // less than channels, and more
    for (const int channels : {8, 12}) {
      std::vector<float> z(size_t(rows) * size_t(channels));
      for (int i = 0; i < rows; ++i) z[size_t(i) * size_t(channels) + size_t(i % 8)] = 3;
      INFO(rows << " x " << channels);
      CHECK(effective_rank(Tensor::of(pool, {rows, channels}, z)) == Approx(7).margin(1e-4));
    }
}

TEST_CASE("a batch too small for batch norm says what to do", "[models]") {
  Recipe recipe = small_recipe();
  recipe.backbone = "mlp";
  recipe.widths = {8};
  Model model(recipe, {8, 8, 3});
  Tape tape;
  const Tensor views(model.step_memory(), {2, 1, 8, 8, 3}, DType::f32);
  CHECK_THROWS_WITH(model.method().loss(tape, views), Catch::Contains("batch of at least 2"));
}

TEST_CASE("the cosine schedule starts at the base, ends near zero, and warms up first", "[optimizer]") {
  const CosineSchedule plain{0.06, 100};
  CHECK(plain.at(0) == 0.06);
  CHECK(plain.at(50) == Approx(0.03));
  CHECK(plain.at(99) / 0.06 == Approx(2.467e-4).epsilon(1e-3));
  const CosineSchedule warm{1.0, 110, 10};
  CHECK(warm.at(0) == 0);
  CHECK(warm.at(5) == Approx(0.5));
  CHECK(warm.at(10) == 1);
  const CosineSchedule by_epochs{.base = 0.06, .total = 400, .hold = 4}, of_epochs{0.06, 100};
  for (int64_t step : {0, 3, 4, 7, 200, 399}) CHECK(by_epochs.at(step) == of_epochs.at(step / 4));  // bits
  CHECK(scaled_rate(0.03, 512) == Approx(0.06));
}

TEST_CASE("the warm-up climbs with every step, also where the cosine moves by epochs", "[trainer]") {
  Recipe recipe = small_recipe();  // four steps an epoch
  recipe.schedule = "epoch";
  recipe.warmup_epochs = 1.5;
  Model model(recipe, {8, 8, 3});
  Trainer trainer(model, small_set(), nullptr, "");
  const double base = scaled_rate(recipe.base_rate, recipe.batch);
  std::vector<double> rate;
  for (int i = 0; i < 20; ++i) rate.push_back(trainer.train_step().rate);
  for (size_t i = 0; i < 6; ++i) CHECK(rate[i] == Approx(base * static_cast<double>(i) / 6));
  for (size_t i : {6, 7}) CHECK(rate[i] == base);
  for (size_t i = 8; i < 20; ++i) CHECK(rate[i] == rate[i / 4 * 4]);
  CHECK(rate[8] == Approx(base * 0.5 * (1 + std::cos(M_PI * 2 / 14))));
}

TEST_CASE("the predictor's rate does not decay, the others' does", "[trainer]") {
  Recipe recipe = small_recipe();
  Model model(recipe, {8, 8, 3});
  Trainer trainer(model, small_set(), nullptr, "");
  StepReport last;
  for (int i = 0; i < 20; ++i) last = trainer.train_step();
  CHECK(last.predictor_rate == Approx(scaled_rate(recipe.base_rate, recipe.batch)));
  CHECK(last.rate < 0.01 * last.predictor_rate);
  for (const Parameter* p : model.slab().parameters())
    CHECK(p->fixed_rate == p->name.starts_with("predictor."));
}
