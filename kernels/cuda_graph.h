#pragma once
// Work on the compute stream, captured once and launched as one. What it launches is frozen with its
// arguments; what must change lies in device memory.
#include <functional>

#include "kernels/cuda_context.h"

struct CUgraphExec_st;

namespace stopgrad::cuda {

class Graph {
 public:
  /// Records what `work` launches; nothing of it runs. An error of `work` ends the capture and passes on.
  Graph(Context& context, const std::function<void()>& work);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  void launch();

 private:
  Context& context_;
  CUgraphExec_st* executable_ = nullptr;
};

}  // namespace stopgrad::cuda
