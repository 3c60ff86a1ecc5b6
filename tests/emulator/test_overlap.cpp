// Which kernels are launched to overlap with the one before them, and which never are.
#include "kernels/gpu.h"  // before CUDA's own headers

#include <catch2/catch.hpp>
#include <functional>
#include <string>

#include "kernels/cuda_graph.h"
#include "kernels/cuda_libraries.h"
#include "tests/emulator/runtime_calls.h"

using namespace stopgrad;

namespace {

__global__ void nothing() { await_previous_kernel(); }

/// For each launch of `work`, in order: o where it overlaps, k where not.
std::string launches_of(const std::function<void()>& work) {
  emulator::take_call_names();
  work();
  std::string out;
  for (const std::string name : emulator::take_call_names())
    if (name.starts_with("cudaLaunchKernel")) out += name.ends_with("overlapping") ? 'o' : 'k';
  return out;
}

}  // namespace

TEST_CASE("a kernel overlaps with a kernel of ours that comes right before it, and with nothing else",
          "[emulator][overlap]") {
  cuda::Context context;
  context.overlap = true;
  const auto kernel = [&] { LAUNCH(context, nothing, 5, 64, 0); };
  const auto together = [&] { LAUNCH_TOGETHER(context, nothing, 2, 64, 0); };
  void* const memory = context.allocate(64);
  void* const pinned = context.allocate_pinned(64);
  CUevent_st* const event = context.make_event();
  char host[64] = {};
  context.libraries().cudnn();  // the handle is there
  CHECK(launches_of([&] { kernel(), kernel(), kernel(); }) == "koo");
  CHECK(launches_of([&] { kernel(), together(), kernel(), kernel(); }) == "okko");
  const std::function<void()> others[] = {
      [&] { context.fill(memory, 0, 64); },
      [&] { context.copy_to_device(memory, host, 64); },
      [&] { context.copy_to_host(host, memory, 64); },
      [&] { context.copy_on_device(memory, memory, 64); },
      [&] { context.copy_from_pinned(memory, pinned, 64); },
      [&] { context.copy_to_pinned(pinned, memory, 64); },
      [&] { context.copy_in_background(memory, pinned, 64), context.await_background(); },
      [&] { context.mark(event); },
      [&] { context.synchronize(); },
      [&] { context.libraries().cudnn(); },
      [&] { cuda::Graph(context, kernel).launch(); }};
  for (const auto& other : others)
    CHECK_THAT(launches_of([&] { kernel(), other(), kernel(), kernel(); }), Catch::EndsWith("ko"));
  context.overlap = false;
  CHECK(launches_of([&] { kernel(), kernel(); }) == "kk");
  context.destroy(event);
  context.free_pinned(pinned);
  context.free(memory);
}
