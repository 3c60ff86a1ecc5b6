#include "kernels/cuda_graph.h"

#include <cuda_runtime_api.h>

namespace stopgrad::cuda {

namespace {

/// The stream leaves capture, and the recording goes, whatever happens.
class Capture {
 public:
  explicit Capture(Context& context) : context_(context) {
    context.check(cudaStreamBeginCapture(context.stream(), cudaStreamCaptureModeThreadLocal),
                  "cudaStreamBeginCapture");
    open_ = true;
  }
  ~Capture() {
    if (!context_.usable()) return;
    if (open_) cudaStreamEndCapture(context_.stream(), &graph_);
    if (graph_) cudaGraphDestroy(graph_);
    if (open_) cudaGetLastError();  // of a capture that an error has ended
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  cudaGraph_t end() {
    open_ = false;
    context_.check(cudaStreamEndCapture(context_.stream(), &graph_), "cudaStreamEndCapture");
    return graph_;
  }

 private:
  Context& context_;
  cudaGraph_t graph_ = nullptr;
  bool open_ = false;
};

}  // namespace

Graph::Graph(Context& context, const std::function<void()>& work) : context_(context) {
  Capture capture(context);
  work();
  context.check(cudaGraphInstantiate(&executable_, capture.end(), 0), "cudaGraphInstantiate");
}

Graph::~Graph() {
  if (!context_.usable()) return;
  if (cudaStreamSynchronize(context_.stream()) == cudaSuccess)  // it may be under way
    cudaGraphExecDestroy(executable_);
}

void Graph::launch() { context_.check(cudaGraphLaunch(executable_, context_.stream()), "cudaGraphLaunch"); }

}  // namespace stopgrad::cuda
