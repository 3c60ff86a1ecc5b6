#pragma once
// Stand-ins for cuDNN and cuBLASLt on the emulated device: plain loops behind the libraries' own functions,
// so that the code that calls them runs as it is.

namespace emulator {

/// A library that is not to be had, as on a machine without it: "cudnn", "cublaslt", or null for none.
void hide_library(const char* name);

/// How long a product or convolution by this algorithm takes by the clock of events, 0 to begin with. Of the
/// stand-ins' algorithms 0 gives other bits on every run, 1 and 2 sum in opposite orders, 3 never runs;
/// cuBLASLt has 1 and 2.
inline constexpr int kAlgorithms = 4;
void set_algorithm_time(int algorithm, float milliseconds);
void spend_time_of(int algorithm);

/// The stand-in for a function; null when there is none.
void* find_cudnn(const char* name);
void* find_cudnn_batch_norm(const char* name);
void* find_cublaslt(const char* name);

}  // namespace emulator
