#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include <cstdlib>
#include <iostream>

#include "kernels/cuda_context.h"

int main(int argc, char** argv) {
  // Shapes of tests are nobody's to time and keep; the tests of the search turn it on.
  setenv("STOPGRAD_PLAN_SEARCH", "off", 0);
  Catch::Session session;
  if (const int wrong = session.applyCommandLine(argc, argv)) return wrong;
  std::string why;
  if (!session.configData().listTestNamesOnly && !stopgrad::cuda::available(&why)) {
    std::cout << "skipped: " << why << "\n";
    return 77;
  }
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  if (!session.configData().listTestNamesOnly)
    std::cout << "this sanitizer is slow: shapes above the limit in mirror.h are left to the plain build\n";
#endif
  return session.run();
}
