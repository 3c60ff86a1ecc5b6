// Where the functions of cuDNN and cuBLASLt come from on a real device.
#include <dlfcn.h>

#include <cstdlib>

#include "kernels/check.h"
#include "kernels/cuda_libraries.h"

namespace stopgrad::cuda {

namespace {
struct File {
  const char* name;
  const char* product;
};
constexpr File kFiles[] = {
    {"libcudnn.so.9", "cuDNN 9 for CUDA 13"},
    {"libcublasLt.so.13", "CUDA 13's cuBLAS"},
};

void* open(const File& file) {
  void* const library = dlopen(file.name, RTLD_NOW | RTLD_LOCAL);
  if (library != nullptr) return library;
  const char *const why = dlerror(), *const path = std::getenv("LD_LIBRARY_PATH");
  fail(Exit::device,
       "{} could not be opened ({}): it was looked for in LD_LIBRARY_PATH ({}) and in the system's folders. "
       "Install {}, or add the folder that holds it to LD_LIBRARY_PATH; for Python's wheels, "
       "`. tools/gpu_libraries.sh` does that.",
       file.name, why, path && *path ? path : "empty", file.product);
}
}  // namespace

void* find_function(Library library, const char* name) {
  static void* opened[2] = {};
  const auto which = static_cast<size_t>(library);
  if (opened[which] == nullptr) opened[which] = open(kFiles[which]);
  void* const found = dlsym(opened[which], name);
  if (found == nullptr)
    fail(Exit::device, "{} has no {}: install {}", kFiles[which].name, name, kFiles[which].product);
  return found;
}

}  // namespace stopgrad::cuda
