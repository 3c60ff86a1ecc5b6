#pragma once
// One convolution of cuDNN: its descriptors, its algorithm and how it is run.
#include <string>
#include <vector>

#include "kernels/cuda_libraries.h"

namespace stopgrad::cuda {

class ConvPlan {
 public:
  ConvPlan(Libraries& libraries, ConvDirection direction, const ConvShape& shape, DType dtype,
           FloatMath math);
  ~ConvPlan();
  ConvPlan(const ConvPlan&) = delete;
  ConvPlan& operator=(const ConvPlan&) = delete;

  /// Takes one of the algorithms that always give the same bits, as Libraries::choose says.
  void choose();
  size_t workspace() const { return chosen_.workspace; }
  /// out = the direction's result of a and b (+ out when accumulate): y of x and w, dx of dy and w, dw of x
  /// and dy.
  void run(const void* a, const void* b, void* workspace, bool accumulate, void* out);

 private:
  /// What cuDNN offers; `math` says whether tensor cores take part.
  struct Algorithm {
    int algorithm = 0, math = 0;
    size_t workspace = 0;
    std::string text() const;
  };
  void describe(const ConvShape& shape, DType dtype);
  std::vector<Algorithm> offered();
  template <class Performance, class Ask>
  std::vector<Algorithm> deterministic(const char* call, Ask ask);
  void set(const Algorithm& algorithm);
  int search(const std::vector<Algorithm>& candidates);
  cudnnStatus_t launch(const void* a, const void* b, void* workspace, bool accumulate, void* out);
  void check(cudnnStatus_t status, const char* call);

  Libraries& libraries_;
  const ConvDirection direction_;
  const bool exact_;  // products and sums of floats in float
  std::string what_, key_;
  size_t x_bytes_, w_bytes_, y_bytes_;
  cudnnTensorDescriptor_t x_ = nullptr, y_ = nullptr;
  cudnnFilterDescriptor_t w_ = nullptr;
  cudnnConvolutionDescriptor_t conv_ = nullptr;
  Algorithm chosen_;
};

}  // namespace stopgrad::cuda
