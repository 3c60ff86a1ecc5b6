// All that the house knows of oneDNN is here and in onednn_*.
#include "kernels/onednn.h"

#include "kernels/check.h"
#include "kernels/cpu_features.h"
#include "kernels/plans.h"

#ifdef STOPGRAD_ONEDNN

#include "kernels/onednn_plan.h"

namespace stopgrad::cpu {

bool bf16_is_fast_here() {
  const auto needed = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);  // one bit per feature
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & needed) == needed;
}
std::unique_ptr<LibraryPlans> make_library_plans(int threads) {
  return std::make_unique<onednn::Library>(threads);
}

}  // namespace stopgrad::cpu

#else  // without the library

namespace stopgrad::cpu {

bool bf16_is_fast_here() { return false; }
std::unique_ptr<LibraryPlans> make_library_plans(int) { return std::make_unique<LibraryPlans>(); }

namespace onednn {
template <class T>
bool run(const ConvForward<T>&, Context&) {
  return false;
}
template <class T>
bool run(const ConvBackwardInput<T>&, Context&) {
  return false;
}
template <class T>
bool run(const ConvBackwardWeight<T>&, Context&) {
  return false;
}
template <class T, class Out>
bool run(const Gemm<T, Out>&, Context&) {
  return false;
}
template bool run(const ConvForward<float>&, Context&);
template bool run(const ConvForward<bf16>&, Context&);
template bool run(const ConvBackwardInput<float>&, Context&);
template bool run(const ConvBackwardInput<bf16>&, Context&);
template bool run(const ConvBackwardWeight<float>&, Context&);
template bool run(const ConvBackwardWeight<bf16>&, Context&);
template bool run(const Gemm<float, float>&, Context&);
template bool run(const Gemm<bf16, bf16>&, Context&);
template bool run(const Gemm<bf16, float>&, Context&);
}  // namespace onednn

}  // namespace stopgrad::cpu

#endif

namespace stopgrad::cpu {
void require_fast_bf16() {
  if (bf16_is_fast_here()) return;
  fail(Exit::config,
       "bf16: needs a processor with AVX512_BF16 or AMX and a build with oneDNN, use float32 here");
}
}  // namespace stopgrad::cpu
