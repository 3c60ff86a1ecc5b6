#include "bench/versions.h"

#include <fmt/format.h>

#if defined(STOPGRAD_BENCH_ONEDNN)
#include <oneapi/dnnl/dnnl.h>
#endif
#if defined(STOPGRAD_CUDA)
#include <cuda_runtime_api.h>

#include "kernels/cuda_libraries.h"
#endif

namespace stopgrad::bench {
namespace {

#if defined(STOPGRAD_CUDA)
std::string of_cuda(cuda::Context& context) {
  int runtime = 0, driver = 0;
  context.check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
  context.check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  std::string out = fmt::format(", CUDA {}.{}, driver for {}.{}", runtime / 1000, runtime % 1000 / 10,
                                driver / 1000, driver % 1000 / 10);
  try {
    cuda::Libraries& libraries = context.libraries();
    out += fmt::format(", cuDNN {}", libraries.dnn().cudnnGetVersion());
    out += fmt::format(", cuBLASLt {}", libraries.blas().cublasLtGetVersion());
  } catch (const Error& e) {  // the kernels are measured without them
    if (!context.usable()) throw;
    out += fmt::format(", {}", e.what());
  }
  return out;
}
#endif

}  // namespace

std::string versions([[maybe_unused]] const Device& device) {
  std::string out = fmt::format("commit {}, {} {}", STOPGRAD_COMMIT, STOPGRAD_COMPILER, __VERSION__);
#if defined(STOPGRAD_CUDA)
  if (device.cuda) return out + of_cuda(*device.cuda);
#endif
#if defined(STOPGRAD_BENCH_ONEDNN)
  const dnnl_version_t* const onednn = dnnl_version();
  out += fmt::format(", oneDNN {}.{}.{}", onednn->major, onednn->minor, onednn->patch);
#endif
  return out;
}

}  // namespace stopgrad::bench
