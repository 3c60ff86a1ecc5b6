#pragma once
// cuDNN's backend API: its descriptors as objects, and what becomes of its errors.
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/cuda_functions.h"

namespace stopgrad::cuda {

class Context;

/// cuDNN's functions, and who hears of their failures.
struct Cudnn : CudnnFunctions {
  /// Opens the library. Without a context there is no device: descriptors and plans can be made, none runs.
  explicit Cudnn(Context* context) : context(context) {}

  /// Throws on any status but success, as Context::check does; "not supported" names what was asked for.
  void check(cudnnStatus_t status, const char* call, const std::string& what = {}) const;
  /// False after an error that the device does not recover from.
  bool usable() const;
  /// Whether an engine that failed with this status is only one to leave alone; throws as check() does where
  /// the device has failed with it.
  bool is_refusal(cudnnStatus_t status, const char* call) const;

  Context* const context;
};

/// Not an error of the device: there is no kernel for what was asked.
inline bool is_unsupported(cudnnStatus_t status) {
  return status >= CUDNN_STATUS_NOT_SUPPORTED && status < CUDNN_STATUS_NOT_SUPPORTED + 1000;
}

/// One descriptor. Those that it was made of must live as long as it does.
class Descriptor {
 public:
  Descriptor(const Cudnn& dnn, cudnnBackendDescriptorType_t type);
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : dnn_(other.dnn_), at_(std::exchange(other.at_, nullptr)) {}
  Descriptor& operator=(Descriptor&&) = delete;

  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, const std::vector<T>& values) {
    return set(name, type_of<T>(), values.size(), values.data());
  }
  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, const T& value) {
    return set(name, type_of<T>(), 1, &value);
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& value) {
    return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value.at_);
  }

  Descriptor& set_descriptors(cudnnBackendAttributeName_t name,
                              const std::vector<cudnnBackendDescriptor_t>& values) {
    return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, values.size(), values.data());
  }

  /// False where cuDNN does not support what is described; throws on other errors.
  bool finalize();
  /// Throws on none.
  cudnnStatus_t try_to_finalize() { return dnn_.cudnnBackendFinalize(at_); }
  /// Throws on those too: `what` is what is not supported.
  Descriptor finalized(const std::string& what);

  /// The values of an attribute, at most so many.
  template <class T>
  std::vector<T> values(cudnnBackendAttributeName_t name, int64_t most) const {
    std::vector<T> out(static_cast<size_t>(most));
    out.resize(get(name, type_of<T>(), most, out.data()));
    return out;
  }
  template <class T>
  T value(cudnnBackendAttributeName_t name) const {
    return values<T>(name, 1).at(0);
  }
  /// An attribute that is made of descriptors; 0: as many as there are.
  std::vector<Descriptor> descriptors(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type,
                                      int64_t most = 0) const;

  cudnnBackendDescriptor_t get() const { return at_; }

 private:
  template <class T>
  static constexpr cudnnBackendAttributeType_t type_of() {
    if constexpr (std::is_same_v<T, int64_t>) return CUDNN_TYPE_INT64;
    else if constexpr (std::is_same_v<T, float>) return CUDNN_TYPE_FLOAT;
    else if constexpr (std::is_same_v<T, char>) return CUDNN_TYPE_CHAR;
    else if constexpr (std::is_same_v<T, void*>) return CUDNN_TYPE_VOID_PTR;
    else if constexpr (std::is_same_v<T, cudnnHandle_t>) return CUDNN_TYPE_HANDLE;
    else if constexpr (std::is_same_v<T, cudnnDataType_t>) return CUDNN_TYPE_DATA_TYPE;
    else if constexpr (std::is_same_v<T, cudnnConvolutionMode_t>) return CUDNN_TYPE_CONVOLUTION_MODE;
    else if constexpr (std::is_same_v<T, cudnnGenStatsMode_t>) return CUDNN_TYPE_GENSTATS_MODE;
    else if constexpr (std::is_same_v<T, cudnnBackendHeurMode_t>) return CUDNN_TYPE_HEUR_MODE;
    else if constexpr (std::is_same_v<T, cudnnBackendKnobType_t>) return CUDNN_TYPE_KNOB_TYPE;
    else if constexpr (std::is_same_v<T, cudnnBackendBehaviorNote_t>) return CUDNN_TYPE_BEHAVIOR_NOTE;
    else {
      static_assert(std::is_same_v<T, cudnnBackendNumericalNote_t>, "no attribute has values of this type");
      return CUDNN_TYPE_NUMERICAL_NOTE;
    }
  }
  Descriptor& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, size_t count,
                  const void* values);
  size_t get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t most,
             void* values) const;

  const Cudnn& dnn_;
  cudnnBackendDescriptor_t at_ = nullptr;
};

}  // namespace stopgrad::cuda
