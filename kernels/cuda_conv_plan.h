#pragma once
// One convolution of cuDNN: its operation graph, the engine that was chosen and how it is run.
#include <optional>
#include <string>
#include <vector>

#include "kernels/cuda_libraries.h"

namespace stopgrad::cuda {

class ConvPlan {
 public:
  ConvPlan(Libraries& libraries, ConvDirection direction, const ConvShape& shape, DType dtype, FloatMath math,
           bool accumulate);

  /// Takes one of the engines that always give the same bits, as Libraries::choose says.
  void choose();
  size_t workspace() const { return chosen_->workspace; }
  /// out = the direction's result of a and b (+ out if it was made so): y of x and w, dx of dy and w, dw of x
  /// and dy.
  void run(const void* a, const void* b, void* workspace, void* out);

 private:
  int search(const std::vector<ConvEngine>& engines);
  cudnnStatus_t launch(const ConvEngine& engine, const void* a, const void* b, void* workspace, void* out);

  Libraries& libraries_;
  const ConvDirection direction_;
  const bool tensor_cores_;  // else products and sums of floats in float
  std::string what_, key_;
  size_t x_bytes_, w_bytes_, y_bytes_;
  std::optional<ConvGraph> graph_;
  std::optional<ConvEngine> chosen_;
};

}  // namespace stopgrad::cuda
