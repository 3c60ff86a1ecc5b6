#pragma once
// All benchmarks: every call over the shapes of tests/cases.h, on every device, in float and bf16.
#include "bench/kernels/shape.h"
#include "bench/kernels/subject.h"
#include "tests/cases.h"
#include "tests/pool_cases.h"

namespace stopgrad::bench {

/// What share of what a benchmark's speed is shown as.
enum class Limit { copy, matmul };

struct Entry {
  std::string op, type, shape;  // "batch_norm_fwd", "bf16", "r65536_c64"
  bool quick;                   // part of the run without a filter
  size_t bytes;                 // of its tensors
  Limit limit;
  std::function<std::unique_ptr<Subject>(const Device&)> make;

  /// A key that stays the same from commit to commit.
  std::string name(const char* device) const {
    return fmt::format("BM_{}/{}/{}/{}", op, device, type, shape);
  }
};

/// Layers as large as a GPU trains them: part of CUDA's small set, and on a CPU named or not measured.
bool of_a_large_step(const Entry& entry);

class Registry {
 public:
  /// The tables of tests/cases.h.
  Registry();
  /// The calls that have these sizes, in this shape alone. Error(Exit::usage) when there are none.
  explicit Registry(const Sizes& sizes);

  std::vector<test::MatrixCase> matrices;    // activations
  std::vector<test::MatrixCase> heads;       // those of them that a loss may see
  std::vector<test::MatrixCase> view_pairs;  // rows of one of two groups
  std::vector<test::ConvCase> convolutions;
  std::vector<test::GemmCase> gemms;
  std::vector<test::FlatCase> flat;
  std::vector<test::AugmentCase> augmentations;
  std::vector<test::PoolCase> pools;
  std::vector<test::AveragePoolCase> average_pools;
  std::vector<test::TopKCase> topk;
  std::vector<Entry> entries;

  /// Case: see SubjectOf, with op() and shape() for its name.
  template <class T, class Case>
  void add(const Case& one, bool quick, Limit limit = Limit::copy,
           BaselineOf<typename SubjectOf<Case>::Call> baseline = nullptr) {
    Arena sizes(nullptr);
    one.make(sizes);
    entries.push_back({one.op(), std::is_same_v<T, bf16> ? "bf16" : "f32", one.shape(), quick, sizes.bytes(),
                       limit, [one, baseline](const Device& device) -> std::unique_ptr<Subject> {
                         return std::make_unique<SubjectOf<Case>>(device, one, baseline);
                       }});
  }

 private:
  void add_all();
};

// One function per file of this folder.
void add_batch_norm(Registry&);
void add_cosine_loss(Registry&);
void add_augment(Registry&);
void add_sgd(Registry&);
void add_lars(Registry&);
void add_sinkhorn(Registry&);
void add_conv2d(Registry&);
void add_gemm(Registry&);
void add_pool(Registry&);
void add_elementwise(Registry&);
void add_normalize(Registry&);
void add_softmax_loss(Registry&);
void add_topk(Registry&);
void add_reduce(Registry&);

}  // namespace stopgrad::bench
