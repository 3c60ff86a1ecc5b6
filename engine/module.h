#pragma once
// Parameters and buffers, and how a module names what is inside. A module is a struct of these with a
// `forward` and a `visit(prefix, visitor)`.
#include <functional>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace stopgrad {

/// How a value is laid out in weight files, which hold PyTorch's shapes.
enum class DiskLayout {
  plain,   // as in memory
  conv,    // memory [out, kernel, kernel, in], disk [out, in, kernel, kernel]
  linear,  // memory [in, out], disk [out, in]
};

/// Start value: constant, uniform in [-scale, scale), or normal with standard deviation scale.
struct Init {
  enum Kind { constant, uniform, normal } kind = constant;
  double scale = 0;
};

/// A weight with everything that belongs to it. The four tensors are ranges of the slabs.
struct Parameter {
  Shape shape;
  Init init;
  DiskLayout layout = DiskLayout::plain;
  bool trainable = true;    // false: no gradient, no update, no decay
  bool fixed_rate = false;  // keeps the base learning rate (SimSiam's predictor, section 4.2)

  std::string name;              // set when the slab is built
  Tensor value, grad, momentum;  // in the type of sums
  Tensor compute;         // the view that operations read; value's own memory unless activations are bf16
  bool has_grad = false;  // whether grad was written since clear_gradients
};

/// State that is saved but not trained (running statistics).
struct Buffer {
  Shape shape;
  double start = 0;
  std::string name;
  Tensor value;
};

/// Called with the full name of everything inside a module, in an order that never changes.
/// What is not set does nothing.
struct Visitor {
  std::function<void(const std::string&, Parameter&)> parameter = [](const std::string&, Parameter&) {};
  std::function<void(const std::string&, Buffer&)> buffer = [](const std::string&, Buffer&) {};
  /// The number of batches a batch norm has seen.
  std::function<void(const std::string&, int64_t&)> counter = [](const std::string&, int64_t&) {};
};

/// Neighbouring parameters that are updated alike: elements [begin, end) of the slabs.
struct SlabRange {
  int64_t begin, end;
  bool fixed_rate;
};

/// Values, gradients and momenta of a module, each in one piece of memory in the order of `visit`.
/// Entries are aligned to 256 bytes; the padding stays zero and is never written to disk.
class ParameterSlab {
 public:
  using Visit = std::function<void(Visitor&)>;

  /// Names, places and zeroes all parameters and buffers that `visit` shows. `activations` is the type of
  /// compute.
  ParameterSlab(Pool pool, DType activations, const Visit& visit);
  ParameterSlab(const ParameterSlab&) = delete;
  ParameterSlab& operator=(const ParameterSlab&) = delete;

  /// Start values, a pure function of (seed, name, element).
  void initialize(uint64_t seed);
  /// Brings `compute` up to date after anything but the optimizer wrote values.
  void refresh_compute();
  /// Forgets all gradients; the first write of the next backward overwrites.
  void clear_gradients();
  /// Zeroes the gradients of trainable parameters that nobody wrote, so that an update may run over ranges.
  void zero_missing_gradients();

  const std::vector<Parameter*>& parameters() const { return parameters_; }
  const std::vector<Buffer*>& buffers() const { return buffers_; }
  const std::vector<std::pair<std::string, int64_t*>>& counters() const { return counters_; }
  /// The elements of parameter i, its padding included.
  SlabRange extent(size_t i) const;
  /// Trainable elements, merged where neighbours are alike.
  std::vector<SlabRange> ranges() const;
  int64_t parameter_count() const;  // without padding, frozen ones included
  DType activations() const { return activations_; }

  Tensor values, gradients, momenta, compute;  // [padded size]

 private:
  DType activations_;
  std::vector<Parameter*> parameters_;
  std::vector<int64_t> offsets_;
  std::vector<Buffer*> buffers_;
  std::vector<std::pair<std::string, int64_t*>> counters_;
};

/// A count of parameters for people: "6144", "25.7 k", "11.2 M".
std::string short_count(int64_t n);

}  // namespace stopgrad
