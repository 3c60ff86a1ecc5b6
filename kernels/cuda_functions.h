#pragma once
// cuDNN and cuBLASLt behind tables of function pointers, filled at first use: a program starts without them,
// says which one is missing, and the emulated device has stand-ins for all of them.
#include <cublasLt.h>
#include <cudnn.h>

// clang-format off
#define STOPGRAD_CUDNN_FUNCTIONS(F) \
  F(cudnnGetErrorString) F(cudnnGetVersion) F(cudnnCreate) F(cudnnDestroy) F(cudnnSetStream) \
  F(cudnnBackendCreateDescriptor) F(cudnnBackendDestroyDescriptor) F(cudnnBackendSetAttribute) \
  F(cudnnBackendGetAttribute) F(cudnnBackendFinalize) F(cudnnBackendExecute)

#define STOPGRAD_CUBLASLT_FUNCTIONS(F) \
  F(cublasLtGetStatusString) F(cublasLtGetVersion) F(cublasLtCreate) F(cublasLtDestroy) \
  F(cublasLtMatmulDescCreate) F(cublasLtMatmulDescSetAttribute) F(cublasLtMatmulDescDestroy) \
  F(cublasLtMatrixLayoutCreate) F(cublasLtMatrixLayoutDestroy) F(cublasLtMatmulPreferenceCreate) \
  F(cublasLtMatmulPreferenceSetAttribute) F(cublasLtMatmulPreferenceDestroy) \
  F(cublasLtMatmulAlgoGetHeuristic) F(cublasLtMatmul)
// clang-format on

namespace stopgrad::cuda {

enum class Library { cudnn, cublaslt };

/// The address of a library's function. Error(Exit::device) when the library or the function is not to be
/// had: the message names the file and how to get it. The emulated device has its own definition.
void* find_function(Library library, const char* name);

#define STOPGRAD_FILLED(name, library) \
  decltype(&::name) name = reinterpret_cast<decltype(&::name)>(find_function(library, #name));
struct CudnnFunctions {
#define STOPGRAD_MEMBER(name) STOPGRAD_FILLED(name, Library::cudnn)
  STOPGRAD_CUDNN_FUNCTIONS(STOPGRAD_MEMBER)
#undef STOPGRAD_MEMBER
};
struct CublasLtFunctions {
#define STOPGRAD_MEMBER(name) STOPGRAD_FILLED(name, Library::cublaslt)
  STOPGRAD_CUBLASLT_FUNCTIONS(STOPGRAD_MEMBER)
#undef STOPGRAD_MEMBER
};
#undef STOPGRAD_FILLED

}  // namespace stopgrad::cuda
