// Captured work: what a replay sees of the world, and what must not happen during capture.
#include "kernels/augment_call.h"
#include "kernels/cuda_graph.h"
#include "kernels/elementwise.h"
#include "kernels/gemm.h"
#include "kernels/sgd.h"
#include "tests/augment_images.h"
#include "tests/compare.h"
#include "tests/cuda/mirror.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

/// Views of three images in epochs 4 and 5, by two launches of one graph.
std::vector<std::vector<float>> views_of_two_epochs(bool through_memory) {
  Images images(3, 9, 11, 3);
  auto index = first(3);
  std::vector<int64_t> epoch = {4};
  std::vector<float> y(2 * 3 * 8 * 8 * 3);
  Mirror mirror;
  mirror.add(images.bytes, index, epoch, y);
  Augment<float> call = random_views(images.all(), index, AugmentRecipe{}, 9, 4, 2, {8, 8, 3}, y.data());
  if (through_memory) call.current_epoch = epoch.data();
  call.images = mirror(images.bytes.data());
  mirror.move(call.index, call.current_epoch, call.y);
  cuda::Graph graph(device(), [&] { run(call, device()); });
  std::vector<std::vector<float>> out;
  for (const int64_t now : {4, 5}) {
    call.epoch = static_cast<uint32_t>(now);  // which no graph can see any more
    device().copy_to_device(mirror(epoch.data()), &now, sizeof now);
    graph.launch();
    mirror.fetch();
    out.push_back(y);
  }
  return out;
}

/// What the work throws during capture; afterwards the device must be as before.
template <class F>
std::string refusal(F work) {
  std::string said = "nothing";
  try {
    cuda::Graph(device(), work);
  } catch (const Error& error) {
    said = error.what();
  }
  std::vector<float> x = {1, 2, 3};
  Mirror mirror;
  mirror.add(x);
  cuda::Graph(device(), [&] { run(Fill<float>{3, 7, mirror(x.data())}, device()); }).launch();
  mirror.fetch();
  CHECK(x == std::vector<float>{7, 7, 7});
  return said;
}

}  // namespace

TEST_CASE("a replay draws the views of the epoch that lies in memory, not of one passed by value",
          "[cuda][graph]") {
  const auto frozen = views_of_two_epochs(false), moving = views_of_two_epochs(true);
  CHECK(same_bits(moving[0], frozen[0]));
  CHECK(same_bits(frozen[1], frozen[0]));  // the trap
  CHECK_FALSE(same_bits(moving[1], moving[0]));
  Images images(3, 9, 11, 3);
  const auto index = first(3);
  std::vector<float> want(moving[1].size());
  cpu::Context context(1);
  run(random_views(images.all(), index, AugmentRecipe{}, 9, 5, 2, {8, 8, 3}, want.data()), context);
  CHECK(same_bits(moving[1], want));
}

TEST_CASE("the CPU reads the epoch from memory too", "[cuda][graph]") {
  Images images(3, 9, 11, 3);
  const auto index = first(3);
  const int64_t epoch = 5;
  std::vector<float> want(2 * 3 * 8 * 8 * 3), got = want;
  cpu::Context context(1);
  run(random_views(images.all(), index, AugmentRecipe{}, 9, 5, 2, {8, 8, 3}, want.data()), context);
  auto call = random_views(images.all(), index, AugmentRecipe{}, 9, 0, 2, {8, 8, 3}, got.data());
  call.current_epoch = &epoch;
  run(call, context);
  CHECK(same_bits(got, want));
}

TEST_CASE("what would ask for memory, make a plan or wait is refused during capture", "[cuda][graph]") {
  CHECK_THAT(refusal([] { device().allocate(1000); }), Catch::Contains("during capture"));
  CHECK_THAT(refusal([] { device().scratch(size_t{100} << 20); }),
             Catch::Contains("scratch memory would grow") && Catch::Contains("during capture"));
  std::vector<float> a(5 * 3), b(3 * 61), c(5 * 61);  // sizes that no other test has
  Mirror mirror;
  mirror.add(a, b, c);
  const Gemm<float> product{
      5, 61, 3, false, false, mirror(a.data()), mirror(b.data()), mirror(c.data()), false, nullptr};
  device().scratch(size_t{32} << 20);  // the libraries' workspace
  CHECK_THAT(refusal([&] { run(product, device()); }),
             Catch::Contains("a plan of a matrix product") && Catch::Contains("during capture"));
  run(product, device());
  CHECK(refusal([&] { run(product, device()); }) == "nothing");
  CHECK_THAT(refusal([] { device().synchronize(); }), Catch::Contains("cudaStreamSynchronize"));
  float here = 0;
  CHECK_THAT(refusal([&] { device().copy_to_host(&here, mirror(a.data()), sizeof here); }),
             Catch::Contains("cudaMemcpyAsync") || Catch::Contains("cudaStreamSynchronize"));
}
