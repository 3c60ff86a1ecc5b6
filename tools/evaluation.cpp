#include "tools/evaluation.h"

#include <algorithm>

#include "data/open.h"
#include "kernels/hash.h"
#include "models/trainer.h"
#include "tools/progress.h"

namespace stopgrad::tools {

Dataset open_split(const Recipe& r, Split split, const std::string& spec, int64_t limit, bool quiet) {
  OpenOptions open{.limit = split == Split::test ? 0
                            : limit > 0          ? limit
                                                 : r.limit,
                   .seed = static_cast<uint64_t>(r.seed),
                   .max_bad = r.max_bad,
                   .progress = quiet ? nullptr : count_images("reading images")};
  if (r.image_size > 0) open.image_size = static_cast<int>(r.image_size);
  return open_dataset(spec.empty() ? r.data : spec, split, open);
}

DataPair open_pair(const Recipe& r, const std::string& spec, int64_t limit, bool quiet) {
  DataPair out{open_split(r, Split::train, spec, limit, quiet), open_split(r, Split::test, spec, 0, quiet)};
  for (const Dataset* set : {&out.train, &out.test})
    if (set->labels.empty())
      fail(Exit::data,
           "{} has no labels, so there is nothing to measure accuracy with; sort the images into one folder "
           "per class",
           set->name);
  return out;
}

int class_count(const Dataset& set) { return *std::max_element(set.labels.begin(), set.labels.end()) + 1; }

uint64_t backbone_hash(Model& model) {
  uint64_t h = fnv1a("");
  auto mix = [&](const Tensor& t) {
    std::string bytes(t.bytes(), '\0');
    t.to_host(bytes.data());
    h = fnv1a(bytes, h);
  };
  Visitor v;
  v.parameter = [&](const std::string&, Parameter& p) { mix(p.value); };
  v.buffer = [&](const std::string&, Buffer& b) { mix(b.value); };
  model.method().visit_backbone(v);
  return h;
}

double knn_of_pixels(Model& model, const DataPair& data, EvalView view) {
  const Tensor bank = pixel_features(model, data.train, view),
               queries = pixel_features(model, data.test, view);
  return knn_of_features(model.recipe(), bank, data.train, queries, data.test);
}

namespace {
/// Running statistics of batch norm for weights that were never trained; without them the net would be judged
/// by activations of the wrong scale.
void gather_statistics(Model& model, const Dataset& train) {
  constexpr int kBatches = 30;
  Trainer trainer(model, train, nullptr, "");
  for (int i = 0; i < kBatches; ++i) {
    Tape off(Tape::Mode::off);
    trainer.forward(off, i);
  }
}
}  // namespace

double knn_of_untrained(Model& model, const DataPair& data, EvalView view) {
  Recipe recipe = model.recipe();
  recipe.batch = std::min(recipe.batch, data.train.count);
  Model fresh(recipe, model.images());
  gather_statistics(fresh, data.train);
  const Tensor bank = extract_features(fresh, data.train, view),
               queries = extract_features(fresh, data.test, view);
  return knn_of_features(model.recipe(), bank, data.train, queries, data.test);
}

}  // namespace stopgrad::tools
