#include "engine/tensor.h"

#include "kernels/memory.h"

namespace stopgrad {

Tensor::Tensor(Pool pool, Shape shape, DType dtype)
    : storage_(pool.allocate(static_cast<size_t>(shape.count()) * size_of(dtype))),
      shape_(shape),
      dtype_(dtype) {}

Tensor Tensor::reshape(Shape shape) const {
  ENSURE(shape.count() == count(), "reshape: {} has another size than {}", shape_, shape);
  Tensor out = *this;
  out.shape_ = shape;
  return out;
}

Tensor Tensor::part(int64_t begin, int64_t end) const {
  ENSURE(shape_.rank() > 0 && 0 <= begin && begin <= end && end <= shape_[0], "part: [{}, {}) of shape {}",
         begin, end, shape_);
  const int64_t stride = shape_[0] == 0 ? 0 : count() / shape_[0];
  return slice(begin * stride, shape_.with_first(end - begin));
}

Tensor Tensor::slice(int64_t begin, Shape shape) const {
  ENSURE(begin >= 0 && begin + shape.count() <= count(), "slice: {} elements from {} on, of {}",
         shape.count(), begin, shape_);
  Tensor out = *this;
  out.offset_ += static_cast<size_t>(begin) * size_of(dtype_);
  out.shape_ = shape;
  return out;
}

void Tensor::fill_zero() { fill_memory(device(), raw(), 0, bytes()); }
void Tensor::from_host(const void* data) { copy_to_device(device(), raw(), data, bytes()); }
void Tensor::to_host(void* data) const { copy_to_host(device(), data, raw(), bytes()); }

double Tensor::item() const {
  ENSURE(count() == 1, "item: shape {} holds more than one value", shape_);
  return visit_float(dtype_, [&](auto zero) {
    decltype(zero) value;
    to_host(&value);
    if constexpr (std::is_same_v<decltype(zero), bf16>) return static_cast<double>(static_cast<float>(value));
    else return static_cast<double>(value);
  });
}

}  // namespace stopgrad
