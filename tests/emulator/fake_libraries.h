#pragma once
// Stand-ins for cuDNN and cuBLASLt on the emulated device: plain loops behind the libraries' own functions,
// so that the code that calls them runs as it is.
#include <cstdint>

namespace emulator {

/// A library that is not to be had, as on a machine without it: "cudnn", "cublaslt", or null for none.
void hide_library(const char* name);

/// How long a product or convolution by this algorithm takes by the clock of events, 0 to begin with. Of the
/// stand-ins' algorithms 0 gives other bits on every run, 1 and 2 sum in opposite orders, 3 has no plan, 4
/// wants too much workspace, 5 never runs, 6 is compiled at run time. cuBLASLt has 1 and 2, and 0 for who
/// does not rule out partial sums in the type of the result; cuDNN's engines with tensor cores have numbers
/// that are 10 larger.
inline constexpr int kAlgorithms = 7;
void set_algorithm_time(int algorithm, float milliseconds);
void spend_time_of(int algorithm);
/// Where an algorithm fails from now on, by a status of its library that is not "not supported"; the device
/// is well. As a plan fail cuDNN's alone.
enum class Failing { nowhere, as_a_plan, when_run };
void make_fail(int algorithm, Failing where);
Failing failing(int algorithm);
/// Whether cuDNN's ranks are empty, so that only what it falls back to is left: 2, without tensor cores.
void hide_ranks(bool hidden);
bool ranks_are_hidden();
/// Descriptors of cuDNN's backend API that nobody has destroyed, and plans that were to be finalised.
int64_t descriptors_alive();
int64_t plans_finalised();

/// The stand-in for a function; null when there is none.
void* find_cudnn(const char* name);
void* find_cudnn_backend(const char* name);
void* find_cudnn_batch_norm(const char* name);
void* find_cublaslt(const char* name);

}  // namespace emulator
