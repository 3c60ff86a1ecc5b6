#include <catch2/catch.hpp>

#include "kernels/hash.h"

using stopgrad::fnv1a;

TEST_CASE("the hash is FNV-1a, of one piece or several", "[hash]") {
  // http://www.isthe.com/chongo/tech/comp/fnv/, test vectors of FNV-1a 64
  CHECK(fnv1a("") == 0xcbf29ce484222325u);
  CHECK(fnv1a("a") == 0xaf63dc4c8601ec8cu);
  CHECK(fnv1a("foobar") == 0x85944171f73967e8u);
  CHECK(fnv1a("bar", fnv1a("foo")) == fnv1a("foobar"));
}
