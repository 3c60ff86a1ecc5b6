// What follows the libraries' products, in packs and one by one: whole numbers, so that every sum is exact.
#include "kernels/cuda_epilogues.h"
#include "tests/compare.h"
#include "tests/cuda/mirror.h"
#include "tests/numbers.h"

using namespace stopgrad;
using namespace stopgrad::test;

namespace {

/// Behind what is written, and must not be.
constexpr size_t kBehind = 8;

/// Whole packs, none, and whole ones that begin between two.
struct Form {
  int64_t count;
  size_t offset;
};
constexpr Form kForms[] = {{8, 0}, {2048, 0}, {4096 + 8, 0}, {1, 0}, {13, 0}, {2047, 0}, {2048, 1}};

template <class T>
void check_bias(const Form& form, bool in_place, bool accumulate) {
  const int rows = 3, columns = static_cast<int>(form.count);
  const size_t size = static_cast<size_t>(rows * columns) + form.offset;
  std::vector<float> from = integers<float>(size, 1), bias = integers<float>(form.count + form.offset, 2);
  std::vector<T> to = integers<T>(size + kBehind, 3), want = to;
  for (size_t i = form.offset; i < size; ++i) {
    const float value = (in_place ? 0 : from[i]) + bias[form.offset + (i - form.offset) % form.count];
    want[i] = T(value + (accumulate ? static_cast<float>(to[i]) : 0));
  }
  Mirror mirror;
  mirror.add(from, bias, to);
  cuda::add_bias(in_place ? nullptr : mirror(from.data() + form.offset), mirror(bias.data() + form.offset),
                 mirror(to.data() + form.offset), rows, columns, accumulate, device());
  mirror.fetch();
  CHECK(same_bits(to, want));
}

}  // namespace

TEST_CASE("gradients of bf16 are widened into floats", "[cuda][epilogues]") {
  for (const Form& form : kForms)
    for (const bool accumulate : {false, true}) {
      INFO(form.count << " elements from " << form.offset << " on, accumulate " << accumulate);
      const size_t size = static_cast<size_t>(form.count) + form.offset;
      std::vector<bf16> from = integers<bf16>(size, 1);
      std::vector<float> to = integers<float>(size + kBehind, 2), want = to;
      for (size_t i = form.offset; i < size; ++i)
        want[i] = static_cast<float>(from[i]) + (accumulate ? to[i] : 0);
      Mirror mirror;
      mirror.add(from, to);
      cuda::widen(mirror(from.data() + form.offset), mirror(to.data() + form.offset), form.count, accumulate,
                  device());
      mirror.fetch();
      CHECK(same_bits(to, want));
    }
}

TEST_CASE("a bias is added to each row of a product, or of what is there", "[cuda][epilogues]") {
  for (const Form& form : kForms)
    for (const bool in_place : {false, true})
      for (const bool accumulate : {false, true}) {
        INFO(form.count << " columns from " << form.offset << " on, in place " << in_place << ", accumulate "
                        << accumulate);
        check_bias<float>(form, in_place, accumulate);
        check_bias<bf16>(form, in_place, accumulate);
      }
}
