#include "bench/kernels/registry.h"

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
    "out_channels (max pooling); images,pixels,channels (average pooling); rows,count,k (top k)";

}  // namespace

Registry::Registry()
    : matrices(joined(test::matrix_cases(), test::resnet50_matrix_cases())),
      convolutions(joined(test::conv_cases(), test::resnet50_conv_cases())),
      gemms(test::gemm_cases()),
      flat(test::flat_cases()),
      augmentations(test::augment_cases()),
      pools(joined(test::pool_cases(), {test::kResnetStem})),
      average_pools(test::average_pool_cases()),
      topk(test::topk_cases()) {
  for (const test::MatrixCase& c : matrices)
    if (c.rows <= 4096) heads.push_back(c);
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
