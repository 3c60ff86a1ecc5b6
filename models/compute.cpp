#include "models/compute.h"

#include "kernels/check.h"
#if defined(STOPGRAD_CUDA)
#include "kernels/cuda_context.h"
#include "kernels/cuda_plan_book.h"
#endif

namespace stopgrad {

namespace {

/// The number after "cuda:", 0 for "cuda".
int device_number(const std::string& name) {
  if (name == "cuda") return 0;
  const std::string digits = name.starts_with("cuda:") ? name.substr(5) : "";
  if (digits.empty() || digits.size() > 3 || digits.find_first_not_of("0123456789") != std::string::npos)
    fail(Exit::config, "device \"{}\": choose auto, cpu, cuda or cuda:N", name);
  return std::stoi(digits);
}

#if defined(STOPGRAD_CUDA)
/// What "auto" takes. An emulated device is for tests: it must be asked for by name.
bool wants_cuda(const std::string& precision) {
#if defined(STOPGRAD_EMULATE)
  (void)precision;
  return false;
#else
  return precision != "float64" && cuda::available();
#endif
}
#endif

}  // namespace

Compute::Compute(const std::string& name, int threads, const std::string& precision)
    : cpu_(std::make_unique<cpu::Context>(threads)) {
#if defined(STOPGRAD_CUDA)
  if (name != "cpu" && (name != "auto" || wants_cuda(precision))) {
    const int number = name == "auto" ? 0 : device_number(name);
    if (precision == "float64")
      fail(Exit::config, "train.precision = float64 is computed by the CPU only: choose --device cpu");
    cuda_ = std::make_shared<cuda::Context>(number);
    if (precision == "tf32") cuda_->float_math = cuda::FloatMath::tf32;
  }
#else
  if (name != "cpu" && name != "auto") {
    device_number(name);
    fail(Exit::device,
         "device {}: this build has no CUDA; build with cmake --preset cuda, or choose --device cpu", name);
  }
#endif
  if (!cuda_ && precision == "tf32")
    fail(Exit::config, "train.precision = tf32 is CUDA's: choose float32 on the CPU");
}

Compute::~Compute() = default;

Device Compute::device() const {
  if (cuda_) return {.cuda = cuda_.get()};
  return {.cpu = cpu_.get()};
}

std::string Compute::name() const {
#if defined(STOPGRAD_CUDA)
  if (cuda_) return cuda_->info().name;
#endif
  return "cpu";
}

std::string Compute::describe() const { return cuda_ ? name() : fmt::format("{} threads", threads()); }

size_t Compute::free_bytes() const {
#if defined(STOPGRAD_CUDA)
  if (cuda_) return cuda_->free_bytes();
#endif
  return 0;
}

std::string Compute::library_plans() const {
#if defined(STOPGRAD_CUDA)
  if (cuda_) return cuda::library_plans(*cuda_);
#endif
  return {};
}

std::string Compute::pin_library_plans([[maybe_unused]] const std::string& text) const {
#if defined(STOPGRAD_CUDA)
  if (cuda_ && !text.empty()) return cuda::pin_library_plans(*cuda_, text);
#endif
  return {};
}

std::string list_devices() {
#if defined(STOPGRAD_CUDA)
  std::string why;
  if (!cuda::available(&why)) return "cuda: none (" + why + ")\n";
  const cuda::DeviceInfo info = cuda::Context(0).info();
  return fmt::format("cuda: {}, compute capability {}.{}, {} processors, {:.1f} GiB\n", info.name, info.major,
                     info.minor, info.processors, static_cast<double>(info.memory) / (1 << 30));
#else
  return "cuda: not in this build\n";
#endif
}

}  // namespace stopgrad
