// Before the first test: without a device none can run, which is exit code 77.
#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include <catch2/catch.hpp>

#include <cstdlib>
#include <iostream>

#include "kernels/cuda_context.h"

namespace {

struct NeedsDevice : Catch::TestEventListenerBase {
  using TestEventListenerBase::TestEventListenerBase;
  void testRunStarting(const Catch::TestRunInfo&) override {
    // Shapes of tests are nobody's to time and keep; the tests of the search turn it on.
    setenv("STOPGRAD_PLAN_SEARCH", "off", 0);
    std::string why;
    if (!stopgrad::cuda::available(&why)) {
      std::cout << "skipped: " << why << std::endl;
      std::exit(77);
    }
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    std::cout << "this sanitizer is slow: shapes above the limit in mirror.h are left to the plain build\n";
#endif
  }
};

}  // namespace

CATCH_REGISTER_LISTENER(NeedsDevice)
