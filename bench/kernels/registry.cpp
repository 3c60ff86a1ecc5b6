#include "bench/kernels/registry.h"

#include <regex>

#include "kernels/check.h"

namespace stopgrad::bench {
namespace {

template <class C>
std::vector<C> joined(std::vector<C> a, const std::vector<C>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

constexpr const char* kFamilies =
    "rows,channels (batch norm, losses, rows, columns); m,n,k (products); count (maps, sums, updates); "
    "images,height,width,channels,out_channels,kernel,stride,padding (convolutions); the same without "
    "out_channels (max pooling); images,pixels,channels (average pooling); rows,count,k (top k); "
    "views,count,height,width,channels (augmentation, views of the images' size)";

/// CIFAR ResNet-18's stages in a step of 512 pairs: both views together.
const std::vector<test::ConvCase> kStepConvolutions = {
    {"layer1 of 512 pairs", {1024, 32, 32, 64, 64, 3, 1, 1}, true},
    {"layer2 of 512 pairs", {1024, 16, 16, 128, 128, 3, 1, 1}, true},
    {"layer3 of 512 pairs", {1024, 8, 8, 256, 256, 3, 1, 1}, true},
    {"layer4 of 512 pairs", {1024, 4, 4, 512, 512, 3, 1, 1}, true},
};

}  // namespace

bool of_a_large_step(const Entry& entry) {
  static const std::regex large(  // batch norms that no chip holds, and the heads', which are read once
      "batch_norm_(fwd|bwd)/(f32|bf16)/r(401408_c64|100352_c256)_relu|"
      "batch_norm_(fwd|bwd)/bf16/g2_r(524288_c64|512_c2048)_relu|"
      "augment/bf16/v2_n512_h32_w32_c3_h32_w32_s8|"
      "conv2d_(fwd|bwd_input|bwd_weight)/bf16/n1024_.*");
  return std::regex_match(fmt::format("{}/{}/{}", entry.op, entry.type, entry.shape), large);
}

Registry::Registry()
    : matrices(joined(test::matrix_cases(), test::resnet50_matrix_cases())),
      convolutions(joined(joined(test::conv_cases(), test::resnet50_conv_cases()), kStepConvolutions)),
      gemms(test::gemm_cases()),
      flat(test::flat_cases()),
      augmentations(test::augment_cases()),
      pools(joined(test::pool_cases(), {test::kResnetStem})),
      average_pools(test::average_pool_cases()),
      topk(test::topk_cases()) {
  for (const test::MatrixCase& c : matrices)
    if (c.rows <= 4096) heads.push_back(c);
  view_pairs = {{"layer1 of 512 pairs", 524288, 64}, {"head of 512 pairs", 512, 2048}};
  for (const test::MatrixCase& c : matrices)
    if (c.real) view_pairs.push_back({c.name, c.rows / 2, c.channels});
  add_all();
}

Registry::Registry(const Sizes& sizes) {
  const auto names = [&sizes](std::initializer_list<const char*> wanted) {
    if (sizes.size() != wanted.size()) return false;
    for (const char* name : wanted)
      if (!sizes.count(name)) return false;
    return true;
  };
  const auto at = [&sizes](const char* name) { return sizes.at(name); };
  if (names({"rows", "channels"})) {
    ENSURE(at("rows") > 1, "--shape: a batch norm wants at least 2 rows");
    matrices = heads = {{"own", at("rows"), at("channels")}};
  } else if (names({"m", "n", "k"})) {
    gemms = {{"own", at("m"), at("n"), at("k")}};
  } else if (names({"count"})) {
    flat = {{"own", at("count")}};
  } else if (names(
                 {"images", "height", "width", "channels", "out_channels", "kernel", "stride", "padding"})) {
    convolutions = {{"own",
                     {at("images"), at("height"), at("width"), at("channels"), at("out_channels"),
                      at("kernel"), at("stride"), at("padding")}}};
    const ConvShape& s = convolutions[0].shape;
    if (s.height + 2 * s.padding < s.kernel || s.width + 2 * s.padding < s.kernel)
      fail(Exit::usage, "--shape: a kernel of {} does not fit into the image", s.kernel);
  } else if (names({"images", "height", "width", "channels", "kernel", "stride", "padding"})) {
    pools = {{"own",
              {at("images"), at("height"), at("width"), at("channels"), at("kernel"), at("stride"),
               at("padding")}}};
    if (pools[0].shape.out_height() < 1 || pools[0].shape.out_width() < 1)
      fail(Exit::usage, "--shape: a kernel of {} does not fit into the image", at("kernel"));
  } else if (names({"images", "pixels", "channels"})) {
    average_pools = {{"own", at("images"), at("pixels"), at("channels")}};
  } else if (names({"rows", "count", "k"})) {
    topk = {{"own", at("rows"), at("count"), at("k")}};
  } else if (names({"views", "count", "height", "width", "channels"})) {
    const int channels = at("channels");
    if (channels != 1 && channels != 3)
      fail(Exit::usage, "--shape: images have 1 channel or 3, not {}", channels);
    augmentations = {{"own", at("views"), at("count"), at("height"), at("width"), channels, at("height"),
                      at("width"), channels, channels == 1 ? "grey" : "cifar"}};
  } else {
    fail(Exit::usage, "--shape: no call has these sizes. Give all of one line: {}", kFamilies);
  }
  add_all();
}

void Registry::add_all() {
  add_batch_norm(*this);
  add_cosine_loss(*this);
  add_augment(*this);
  add_sgd(*this);
  add_lars(*this);
  add_sinkhorn(*this);
  add_conv2d(*this);
  add_gemm(*this);
  add_pool(*this);
  add_elementwise(*this);
  add_normalize(*this);
  add_softmax_loss(*this);
  add_topk(*this);
  add_reduce(*this);
}

}  // namespace stopgrad::bench
