#pragma once
// Stand-ins for cuDNN and cuBLASLt on the emulated device: plain loops behind the libraries' own functions,
// so that the code that calls them runs as it is.

namespace emulator {

/// A library that is not to be had, as on a machine without it: "cudnn", "cublaslt", or null for none.
void hide_library(const char* name);

/// The stand-in for a function; null when there is none.
void* find_cudnn(const char* name);
void* find_cudnn_batch_norm(const char* name);
void* find_cublaslt(const char* name);

}  // namespace emulator
