#pragma once
// The library plans of a CPU context; only the files that talk to the library know what is inside.
#include <memory>

namespace stopgrad::cpu {

struct LibraryPlans {
  virtual ~LibraryPlans() = default;
};

std::unique_ptr<LibraryPlans> make_library_plans(int threads);

}  // namespace stopgrad::cpu
