#include "tests/emulator/fake_libraries.h"

#include <cstring>

#include "kernels/check.h"
#include "kernels/cuda_libraries.h"
#include "tests/emulator/runtime_calls.h"

namespace emulator {

namespace {
const char* hidden = nullptr;
float times[kAlgorithms] = {};
Failing failures[kAlgorithms] = {};
bool no_ranks = false;
}  // namespace

void hide_library(const char* name) { hidden = name; }
void set_algorithm_time(int algorithm, float milliseconds) { times[algorithm] = milliseconds; }
void spend_time_of(int algorithm) { pass_time(times[algorithm]); }
void make_fail(int algorithm, Failing where) { failures[algorithm] = where; }
Failing failing(int algorithm) { return failures[algorithm]; }
void hide_ranks(bool hidden) { no_ranks = hidden; }
bool ranks_are_hidden() { return no_ranks; }

}  // namespace emulator

namespace stopgrad::cuda {

void* find_function(Library library, const char* name) {
  const bool dnn = library == Library::cudnn;
  if (emulator::hidden && std::strcmp(emulator::hidden, dnn ? "cudnn" : "cublaslt") == 0)
    fail(Exit::device, "{} could not be opened (hidden)", dnn ? "libcudnn.so.9" : "libcublasLt.so.13");
  void* const found = dnn ? emulator::find_cudnn(name) : emulator::find_cublaslt(name);
  if (found == nullptr) fail(Exit::device, "the emulated device has no {}", name);
  return found;
}

}  // namespace stopgrad::cuda
