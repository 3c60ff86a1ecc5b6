#include "kernels/cuda_libraries.h"

#include <cuda_runtime_api.h>

#include <cstdlib>

#include "kernels/check.h"

namespace stopgrad::cuda {

namespace {
bool wants_search() {
  const char* const wish = std::getenv("STOPGRAD_PLAN_SEARCH");
#if defined(STOPGRAD_EMULATE)
  const std::string word = wish ? wish : "off";
#else
  const std::string word = wish ? wish : "auto";
#endif
  if (word != "auto" && word != "off")
    fail(Exit::config, "STOPGRAD_PLAN_SEARCH is \"{}\": choose auto or off", word);
  return word == "auto";
}
}  // namespace

Libraries::Libraries(Context& context) : context(context), searches_(wants_search()) {}

Libraries::~Libraries() {
  conv_plans.clear();
  gemm_plans.clear();
  if (!context.usable()) return;  // no further call on a broken device
  if (cudnn_) dnn_->cudnnDestroy(cudnn_);
  if (cublaslt_) blas_->cublasLtDestroy(cublaslt_);
}

const Cudnn& Libraries::dnn() {
  if (!dnn_) dnn_ = std::make_unique<Cudnn>(&context);
  return *dnn_;
}

const CublasLtFunctions& Libraries::blas() {
  if (!blas_) blas_ = std::make_unique<CublasLtFunctions>();
  return *blas_;
}

cudnnHandle_t Libraries::cudnn() {
  if (!cudnn_) {
    check(dnn().cudnnCreate(&cudnn_), "cudnnCreate");
    check(dnn().cudnnSetStream(cudnn_, context.stream()), "cudnnSetStream");
  }
  context.stream();  // whoever asks for the handle launches on it
  return cudnn_;
}

cublasLtHandle_t Libraries::cublaslt() {
  if (!cublaslt_) check(blas().cublasLtCreate(&cublaslt_), "cublasLtCreate");
  return cublaslt_;
}

PlanBook& Libraries::book() {
  if (!book_) {
    const DeviceInfo& info = context.info();
    const std::string origin =
        fmt::format("{}, compute capability {}.{}, cuDNN {}, cuBLASLt {}", info.name, info.major, info.minor,
                    dnn().cudnnGetVersion(), blas().cublasLtGetVersion());
    book_ = std::make_unique<PlanBook>(origin, searches_ ? plan_file(origin) : "");
  }
  return *book_;
}

bool Libraries::take_kept(const std::string& key, const std::function<bool(const std::string&)>& find) {
  const std::string kept = book().find(key);
  if (kept.empty()) return false;
  const bool found = find(kept);
  if (found) book().take(key, kept, false);
  else PlanBook::warn_on_stderr(key + ": the algorithm kept for it is not offered any more");
  return found;
}

size_t Libraries::choose(const std::string& key, const std::vector<std::string>& offered,
                         const std::function<int()>& search) {
  bool timed = searches_;
  size_t taken = 0;
  if (timed) try {
      if (offered.size() > 1) taken = static_cast<size_t>(search());
    } catch (const Error& error) {
      if (error.code() != Exit::memory) throw;
      PlanBook::warn_on_stderr(
          fmt::format("{}: not searched for, what the library ranks first is taken ({})", key, error.what()));
      timed = false;
    }
  book().take(key, offered[taken], timed);
  return taken;
}

std::string library_plans(Context& context) { return context.libraries().book().text(); }

std::string pin_library_plans(Context& context, const std::string& text) {
  Libraries& libraries = context.libraries();
  const std::string why = libraries.book().pin(text);
  if (!why.empty()) return why;
  libraries.conv_plans.clear();  // those that are there may have chosen otherwise
  libraries.gemm_plans.clear();
  return {};
}

void Libraries::check(cudnnStatus_t status, const char* call, const char* what) {
  dnn().check(status, call, what);
}

void Libraries::check(cublasStatus_t status, const char* call, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const char* const says = blas().cublasLtGetStatusString(status);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED)
    fail(Exit::device, "{}: cuBLASLt {} does not support {} ({})", call, blas().cublasLtGetVersion(), what,
         says);
  context.fail_library(call, says, status == CUBLAS_STATUS_ALLOC_FAILED);
}

}  // namespace stopgrad::cuda
