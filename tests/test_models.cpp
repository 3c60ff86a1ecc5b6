// Networks, recipe and trainer.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "engine/checkpoint.h"
#include "kernels/cpu_features.h"
#include "models/diagnostics.h"
#include "models/features.h"
#include "models/knn.h"
#include "models/linear_probe.h"
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
  for (int64_t threads : {1, 2}) {
    Recipe recipe = small_recipe();
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

TEST_CASE("kNN votes as the golden vector says", "[knn]") {
  cpu::Context context(1);
  const Pool pool(Device{.cpu = &context});
  std::vector<float> bank;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 4; ++j) bank.push_back(std::cos(2 - .6f * i + .8f * j));
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 4; ++j) bank.push_back(std::cos(.5f + 1.1f * i - .9f * j));
  const Tensor b = Tensor::of(pool, {6, 4}, bank), q = Tensor::of<float>(pool, {1, 4}, {.3f, -.2f, .9f, .1f});
  const std::vector<int32_t> labels = {0, 1, 0, 1, 1, 0};
  const Neighbours near = nearest_neighbours(b, q, 4);
  const float want[] = {.593486f, .296269f, .187622f, -.395399f};
  const int32_t want_labels[] = {1, 0, 1, 0};
  for (size_t i = 0; i < 4; ++i) {
    CHECK(near.similarity[i] == Approx(want[i]).margin(2e-6));
    CHECK(labels[static_cast<size_t>(near.index[i])] == want_labels[i]);
  }
  CHECK(knn_predict(b, labels, q, 4, 0.1) == std::vector<int32_t>{1});
  CHECK(nearest_neighbours(b, q, 100).k == 6);
}

TEST_CASE("features that are not finite have no neighbours, and the search says so", "[knn]") {
  cpu::Context context(1);
  const Pool pool(Device{.cpu = &context});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor good = Tensor::of<float>(pool, {2, 2}, {1, 2, 3, 4}),
               bad = Tensor::of<float>(pool, {2, 2}, {nan, nan, 3, nan});
  const auto refused = [](const Tensor& bank, const Tensor& query) {
    try {
      knn_predict(bank, {0, 1}, query, 2, 0.1);
      FAIL("found neighbours of NaN");
    } catch (const Error& e) {
      CHECK(e.code() == Exit::diverged);
      CHECK_THAT(e.what(), Catch::Contains("3 of 4 features are not finite"));
    }
  };
  refused(good, bad);
  refused(bad, good);
}

TEST_CASE("a bank is the set itself, or a copy of no more than it needs", "[knn]") {
  Dataset room;
  for (int64_t all : {int64_t{0}, small_set().count, small_set().count + 1})
    CHECK(&first_images(small_set(), all, room) == &small_set());
  CHECK(room.images.capacity() == 0);
  const Dataset& few = first_images(small_set(), 5, room);
  CHECK(few.count == 5);
  CHECK(few.images.capacity() == 5 * 8 * 8 * 3);
  CHECK(few.labels.size() == 5);
  CHECK(std::equal(few.images.begin(), few.images.end(), small_set().images.begin()));
}

TEST_CASE("a linear probe separates what is separable and leaves noise at chance", "[probe]") {
  cpu::Context context(1);
  const Pool pool(Device{.cpu = &context});
  std::vector<float> x = random<float>(400 * 8, 2);
  std::vector<int32_t> labels(400), random_labels(400);
  for (size_t i = 0; i < 400; ++i) {
    labels[i] = static_cast<int32_t>(i % 4);
    x[i * 8 + i % 4] += 4;
    random_labels[i] =
        static_cast<int32_t>(philox(1, Purpose::test, static_cast<uint32_t>(i), 9, 0, 0).v[0] % 4);
  }
  const Tensor t = Tensor::of(pool, {400, 8}, x);
  const LinearProbeOptions options{.epochs = 20, .batch = 50};
  CHECK(linear_probe(t.part(0, 300), {labels.begin(), labels.begin() + 300}, t.part(300, 400),
                     {labels.begin() + 300, labels.end()}, 4, options)
            .test_accuracy == 100);
  CHECK(linear_probe(t.part(0, 300), {random_labels.begin(), random_labels.begin() + 300}, t.part(300, 400),
                     {random_labels.begin() + 300, random_labels.end()}, 4, options)
            .test_accuracy < 50);
}

TEST_CASE("an automatic precision is decided once and written down", "[recipe]") {
  Recipe recipe = small_recipe();
  recipe.precision = "auto";
  const std::string expected = cpu::bf16_is_fast_here() ? "bf16" : "float32";
  Model model(recipe, {8, 8, 3});
  CHECK(model.recipe().precision == expected);
  CHECK(model.activations() == (expected == "bf16" ? DType::bf16 : DType::f32));
  Folder folder;
  Trainer trainer(model, small_set(), nullptr, folder.path);
  trainer.run({});
  CHECK(read_recipe(folder.path / "recipe.toml").precision == expected);
  CHECK(load_model(latest_checkpoint(folder.path), 1, "cpu")->activations() == DType::f32);
  recipe.projector_output_scale = 0.01;
  CHECK(Model(recipe, {8, 8, 3}).activations() == DType::f32);
}

TEST_CASE("a recipe survives the way to TOML and back", "[recipe]") {
  Recipe r = small_recipe();
  set_key(r, "augment.preset=cifar");
  set_key(r, "augment.scale=[0.3, 0.9]");
  set_key(r, "data.set=folder:a \"quoted\" name");
  set_key(r, "train.base_rate=1e-3");
  const std::string text = to_toml(r);
  CHECK(to_toml(parse_recipe(text, "again")) == text);
  CHECK_THAT(text, Catch::Contains("scale = [0.3, 0.9]") && Catch::Contains("base_rate = 0.001"));
}

TEST_CASE("recipe errors name file, line, key and the nearest known key", "[recipe]") {
  auto refused = [](const std::string& text, const std::string& part) {
    INFO(text);
    try {
      check_recipe(parse_recipe(text, "r.toml"));
      FAIL("accepted");
    } catch (const Error& e) {
      CHECK(e.code() == Exit::config);
      CHECK_THAT(e.what(), Catch::Contains(part));
    }
  };
  refused("[train]\nbatsh = 64", "r.toml:2");
  refused("[train]\nbatsh = 64", "train.batch");
  refused("[trian]\nbatch = 64", "train.batch");
  refused("batch = 64", "batch");
  refused("[train]\nbatch = \"64\"", "whole number");
  refused("[train]\nbatch = 1", "train.batch = 1");
  refused("[train]\nprecision = \"bf17\"", "bf16");
  refused("[train]\nbatch = ", "r.toml:2");
  refused("[net]\nblocks = [1, 1]", "net.blocks");
  refused("[augment]\nscale = [0.9, 0.2]", "augment.scale");
  refused("[augment]\nscale = [0.9]", "2 numbers");
  refused("[augment]\nratio = [1e-4, 1]", "augment.ratio");
  refused("[augment]\nratio = [1, 2000]", "augment.ratio");
  refused("[augment]\nblur_sigma = [1, 200]", "augment.blur_sigma");
  refused("[train]\nsteps = 0", "train.steps");
  refused("[projector]\noutput_scale = -1", "projector.output_scale = -1");
  refused("[projector]\noutput_scale = 0.1\noutput_norm = false", "projector.output_norm");
  refused("[projector]\noutput_scale = 0.1\n[train]\nprecision = \"bf16\"", "choose float32");
  Recipe r;
  CHECK_THROWS_WITH(set_key(r, "train.batch"), Catch::Contains("key=value"));
  CHECK_THROWS_WITH(set_key(r, "nonsense.key=1"), Catch::Contains("nonsense.key"));
}

TEST_CASE("a wrong recipe is told before a device is looked for", "[recipe]") {
  Recipe recipe = small_recipe();
  recipe.batch = 1;
  recipe.device = "cuda:99";
  try {
    Model(recipe, {8, 8, 3});
    FAIL("accepted");
  } catch (const Error& e) {
    CHECK(e.code() == Exit::config);
    CHECK_THAT(e.what(), Catch::Contains("train.batch = 1"));
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
