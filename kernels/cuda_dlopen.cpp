// Where the functions of cuDNN and cuBLASLt come from on a real device.
#include <dlfcn.h>

#include "kernels/check.h"
#include "kernels/cuda_libraries.h"

namespace stopgrad::cuda {

namespace {
struct File {
  const char* name;
  const char* advice;
};
constexpr File kFiles[] = {
    {"libcudnn.so.9", "install cuDNN 9 for CUDA 13, or add the folder that holds it to LD_LIBRARY_PATH"},
    {"libcublasLt.so.13", "install CUDA 13's cuBLAS, or add the folder that holds it to LD_LIBRARY_PATH"},
};

void* open(const File& file) {
  void* const library = dlopen(file.name, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    fail(Exit::device, "{} could not be opened ({}): {}", file.name, dlerror(), file.advice);
  return library;
}
}  // namespace

void* find_function(Library library, const char* name) {
  static void* opened[2] = {};
  const auto which = static_cast<size_t>(library);
  if (opened[which] == nullptr) opened[which] = open(kFiles[which]);
  void* const found = dlsym(opened[which], name);
  if (found == nullptr)
    fail(Exit::device, "{} has no {}: {}", kFiles[which].name, name, kFiles[which].advice);
  return found;
}

}  // namespace stopgrad::cuda
