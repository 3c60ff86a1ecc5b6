#pragma once
// Contiguous memory with a shape, an element type and a device. It knows nothing of gradients and has no
// strides.
#include <vector>

#include "engine/shape.h"
#include "engine/storage.h"
#include "kernels/check.h"
#include "kernels/dtype.h"

namespace stopgrad {

/// A handle: copies share the memory.
class Tensor {
 public:
  Tensor() = default;
  /// Not initialised.
  Tensor(Pool pool, Shape shape, DType dtype);

  template <class T>
  static Tensor of(Pool pool, Shape shape, const std::vector<T>& values) {
    Tensor out(std::move(pool), shape, dtype_of<T>);
    ENSURE(static_cast<int64_t>(values.size()) == out.count(), "tensor: {} values for shape {}",
           values.size(), shape);
    out.from_host(values.data());
    return out;
  }

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  DType dtype() const { return dtype_; }
  int64_t count() const { return shape_.count(); }
  int rows() const { return static_cast<int>(shape_.rows()); }
  int channels() const { return static_cast<int>(shape_.channels()); }
  size_t bytes() const { return static_cast<size_t>(count()) * size_of(dtype_); }
  Pool pool() const { return Pool(storage_->pool()); }
  Device device() const { return pool().device(); }

  void* raw() const { return defined() ? static_cast<char*>(storage_->data()) + offset_ : nullptr; }
  /// The elements, or null for an undefined tensor. T must be the element type.
  template <class T>
  T* data() const {
    ENSURE(!defined() || dtype_ == dtype_of<T>, "tensor: holds {}, asked for {}", name_of(dtype_),
           name_of(dtype_of<T>));
    return static_cast<T*>(raw());
  }

  /// The same memory under another shape of the same size.
  Tensor reshape(Shape shape) const;
  /// Part [begin, end) of the first dimension; the same memory.
  Tensor part(int64_t begin, int64_t end) const;
  /// `shape.count()` elements from element `begin` on; the same memory.
  Tensor slice(int64_t begin, Shape shape) const;

  void fill_zero();
  void from_host(const void* data);
  void to_host(void* data) const;
  template <class T>
  std::vector<T> to_vector() const {
    ENSURE(dtype_ == dtype_of<T>, "tensor: holds {}, asked for {}", name_of(dtype_), name_of(dtype_of<T>));
    std::vector<T> out(static_cast<size_t>(count()));
    to_host(out.data());
    return out;
  }
  /// The single value of a one-element tensor of floats.
  double item() const;

 private:
  std::shared_ptr<Storage> storage_;
  size_t offset_ = 0;  // bytes
  Shape shape_;
  DType dtype_ = DType::f32;
};

/// Uninitialised memory of the same pool, shape and type.
inline Tensor like(const Tensor& x) { return Tensor(x.pool(), x.shape(), x.dtype()); }

}  // namespace stopgrad
