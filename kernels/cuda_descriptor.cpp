#include "kernels/cuda_descriptor.h"

#include <algorithm>

#include "kernels/check.h"
#include "kernels/cuda_context.h"

namespace stopgrad::cuda {

void Cudnn::check(cudnnStatus_t status, const char* call, const std::string& what) const {
  if (status == CUDNN_STATUS_SUCCESS) return;
  const char* const says = cudnnGetErrorString(status);
  if (is_unsupported(status))
    fail(Exit::device, "{}: cuDNN {} does not support {} ({})", call, cudnnGetVersion(), what, says);
  if (context == nullptr) fail(Exit::device, "{}: cuDNN reports \"{}\"", call, says);
  context->fail_library(call, says, status == CUDNN_STATUS_ALLOC_FAILED);
}

bool Cudnn::usable() const { return context == nullptr || context->usable(); }

bool Cudnn::is_refusal(cudnnStatus_t status, const char* call) const {
  if (status == CUDNN_STATUS_SUCCESS) return false;
  if (!is_unsupported(status) && context != nullptr && !context->survives()) check(status, call);
  return true;
}

Descriptor::Descriptor(const Cudnn& dnn, cudnnBackendDescriptorType_t type) : dnn_(dnn) {
  dnn_.check(dnn_.cudnnBackendCreateDescriptor(type, &at_), "cudnnBackendCreateDescriptor",
             "this kind of descriptor");
}

Descriptor::~Descriptor() {
  if (at_ && dnn_.usable()) dnn_.cudnnBackendDestroyDescriptor(at_);
}

Descriptor& Descriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, size_t count,
                            const void* values) {
  dnn_.check(dnn_.cudnnBackendSetAttribute(at_, name, type, static_cast<int64_t>(count), values),
             "cudnnBackendSetAttribute", fmt::format("attribute {}", static_cast<int>(name)));
  return *this;
}

size_t Descriptor::get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t most,
                       void* values) const {
  int64_t count = 0;
  dnn_.check(dnn_.cudnnBackendGetAttribute(at_, name, type, most, &count, values), "cudnnBackendGetAttribute",
             fmt::format("attribute {}", static_cast<int>(name)));
  return static_cast<size_t>(most == 0 ? count : std::min(count, most));
}

bool Descriptor::finalize() {
  const cudnnStatus_t status = try_to_finalize();
  if (is_unsupported(status)) return false;
  dnn_.check(status, "cudnnBackendFinalize");
  return true;
}

Descriptor Descriptor::finalized(const std::string& what) {
  if (!finalize()) dnn_.check(CUDNN_STATUS_NOT_SUPPORTED, "cudnnBackendFinalize", what);
  return std::move(*this);
}

std::vector<Descriptor> Descriptor::descriptors(cudnnBackendAttributeName_t name,
                                                cudnnBackendDescriptorType_t type, int64_t most) const {
  if (most == 0) most = static_cast<int64_t>(get(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, nullptr));
  std::vector<Descriptor> out;
  std::vector<cudnnBackendDescriptor_t> at;
  for (int64_t i = 0; i < most; ++i) at.push_back(out.emplace_back(dnn_, type).at_);
  const size_t count = most ? get(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, most, at.data()) : 0;
  while (out.size() > count) out.pop_back();
  return out;
}

}  // namespace stopgrad::cuda
