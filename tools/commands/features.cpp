// simsiam features: a folder's embeddings, and nearest neighbours as a page of pictures.
#include <algorithm>
#include <filesystem>

#include "data/image_file.h"
#include "data/open.h"
#include "engine/file.h"
#include "engine/safetensors.h"
#include "kernels/philox.h"
#include "models/features.h"
#include "models/knn.h"
#include "models/run_folder.h"
#include "tools/commands/commands.h"
#include "tools/progress.h"
#include "tools/view/page.h"

namespace stopgrad::tools {

namespace {

struct FeaturesOptions {
  std::string checkpoint, data, split = "all", out = "features.safetensors", csv, page = "neighbours.html";
  int queries = 12, neighbours = 9;
  int64_t threads = 0;
  std::string device = "auto";
  uint64_t seed = 0;
};

std::string name_of_image(const Dataset& set, int64_t i) {
  const auto k = static_cast<size_t>(i);
  if (k < set.files.size()) return set.files[k];
  if (k < set.labels.size() && static_cast<size_t>(set.labels[k]) < set.classes.size())
    return fmt::format("{} ({})", i, set.classes[static_cast<size_t>(set.labels[k])]);
  return fmt::format("{}", i);
}

void write_features(const std::string& path, const Tensor& features, const Dataset& set) {
  SafetensorsWriter writer;
  writer.metadata("format", "pt");
  const std::vector<float> values = features.to_vector<float>();
  writer.add("features", "F32", {features.shape()[0], features.shape()[1]}, std::as_bytes(std::span(values)));
  if (!set.labels.empty()) writer.add("labels", "I32", {set.count}, std::as_bytes(std::span(set.labels)));
  // No name of a file holds a zero byte.
  const std::string names = fmt::format("{}", fmt::join(set.files, std::string_view("\0", 1)));
  if (!names.empty()) writer.add("names", "U8", {std::ssize(names)}, std::as_bytes(std::span(names)));
  writer.write(path);
}

/// Text as a field of RFC 4180.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

void write_csv(const std::string& path, const Tensor& features, const Dataset& set) {
  const int64_t width = features.shape()[1];
  const std::vector<float> values = features.to_vector<float>();
  AtomicFile file(path);
  std::string line = "name,label";
  for (int64_t k = 0; k < width; ++k) line += fmt::format(",f{}", k);
  file.write(line + "\n");
  for (int64_t i = 0; i < set.count; ++i) {
    line = quoted(name_of_image(set, i)) + ",";
    if (!set.labels.empty()) line += fmt::format("{}", set.labels[static_cast<size_t>(i)]);
    for (int64_t k = 0; k < width; ++k)
      line += fmt::format(",{}", values[static_cast<size_t>(i * width + k)]);
    file.write(line + "\n");
  }
  file.commit();
}

/// Images side by side, enlarged, with a gap.
std::vector<uint8_t> strip(const Dataset& set, const std::vector<int64_t>& images) {
  const int scale = std::max(1, 72 / set.width), step = (set.width + 1) * scale;
  const int height = set.height * scale, width = step * static_cast<int>(images.size());
  std::vector<uint8_t> pixels(static_cast<size_t>(height) * static_cast<size_t>(width) * 3, 255);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const int column = x % step / scale;
      if (column >= set.width) continue;
      const uint8_t* image = set.image(images[static_cast<size_t>(x / step)]);
      for (int c = 0; c < 3; ++c)
        pixels[(static_cast<size_t>(y) * static_cast<size_t>(width) + static_cast<size_t>(x)) * 3 +
               static_cast<size_t>(c)] =
            image[(y / scale * set.width + column) * set.channels + std::min(c, set.channels - 1)];
    }
  return encode_png(pixels.data(), height, width, 3);
}

/// Query images drawn by the seed, each with its nearest other images.
void write_page(const FeaturesOptions& o, const Tensor& features, const Dataset& set) {
  view::Page page("Nearest neighbours in " + set.name);
  page.paragraph("Each row: an image, then the images whose features have the largest cosine to its own.");
  const int queries = static_cast<int>(std::min<int64_t>(o.queries, set.count));
  for (int q = 0; q < queries; ++q) {
    const Philox draw = philox(o.seed, Purpose::evaluate, static_cast<uint32_t>(q), 0, 0, 0);
    const auto i =
        static_cast<int64_t>((uint64_t{draw.v[0]} << 32 | draw.v[1]) % static_cast<uint64_t>(set.count));
    const Neighbours near = nearest_neighbours(features, features.part(i, i + 1), o.neighbours + 1);
    std::vector<int64_t> images = {i};
    std::string caption = name_of_image(set, i);
    for (size_t k = 0; k < near.index.size() && static_cast<int>(images.size()) <= o.neighbours; ++k) {
      if (near.index[k] == i) continue;
      images.push_back(near.index[k]);
      caption += fmt::format(" | {:.3f} {}", near.similarity[k], name_of_image(set, near.index[k]));
    }
    page.image(strip(set, images), caption, fmt::format("{} and its neighbours", name_of_image(set, i)));
  }
  write_file(o.page, page.html());
}

int run_features(const FeaturesOptions& o) {
  const auto model = load_model(find_checkpoint(o.checkpoint), o.threads, o.device);
  const Split split = o.split == "all" ? Split::all : o.split == "test" ? Split::test : Split::train;
  OpenOptions open{.image_size = model->images().height,
                   .seed = static_cast<uint64_t>(model->recipe().seed),
                   .max_bad = INT64_MAX,  // the names tell which images are there
                   .progress = count_images("reading images")};
  const Dataset set = open_dataset(o.data.empty() ? model->recipe().data : o.data, split, open);
  const Tensor features = extract_features(*model, set, EvalView::clean, count_images("features"));
  write_features(o.out, features, set);
  say(fmt::format("wrote {}: features [{}, {}]", o.out, features.shape()[0], features.shape()[1]));
  if (!o.csv.empty()) {
    write_csv(o.csv, features, set);
    say("wrote " + o.csv);
  }
  write_page(o, features, set);
  say("wrote " + o.page);
  return 0;
}

}  // namespace

void add_features(CommandLine& program) {
  auto o = std::make_shared<FeaturesOptions>();
  CommandLine c =
      program.command("features", "embed a folder of images; nearest neighbours as a page of pictures",
                      [o] { return run_features(*o); });
  c.option("checkpoint", &o->checkpoint, "checkpoint, or the folder of a run: its newest one",
           {.required = true});
  c.option("--data", &o->data, "data set, e.g. folder:photos; default: the recipe's");
  c.option("--split", &o->split, "which images: to train on, to test on, or all, the former first",
           {.choices = {"train", "test", "all"}});
  c.option("--out", &o->out,
           "safetensors file with features [n, d], labels [n] and, of a folder, the names of its files, one "
           "per row with a zero byte between them");
  c.option("--csv", &o->csv, "the same as a table: name, label and features of an image per line");
  c.option("--page", &o->page, "HTML page to write");
  c.option("--queries", &o->queries, "rows of the page", {.least = 1, .most = 1000});
  c.option("--neighbours", &o->neighbours, "per row", {.least = 1, .most = 50});
  c.option("--seed", &o->seed, "which images are the queries");
  c.option("--device", &o->device, "auto, cpu, cuda or cuda:N");
  c.option("--threads", &o->threads, "0: all processors");
}

}  // namespace stopgrad::tools
