#include "kernels/topk.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "kernels/check.h"
#include "kernels/loops.h"

namespace stopgrad::cpu {

namespace {

struct Item {
  float value;
  int64_t index;
};

bool before(const Item& a, const Item& b) {
  return a.value > b.value || (a.value == b.value && a.index < b.index);
}

// Values that one comparison of their maximum skips: one register of AVX-512. Few, since a part of a bank
// must have more blocks than k for the first bar.
constexpr int kBlock = 16;

/// maxima[b] = the largest of block b
void block_maxima(const float* x, int count, float* maxima) {
  int b = 0;
  for (; (b + 1) * kBlock <= count; ++b) maxima[b] = largest(x + b * kBlock, kBlock);
  if (b * kBlock < count) maxima[b] = largest(x + b * kBlock, count - b * kBlock);
}

/// The best k of one row, sorted, newcomers that wait to be merged, and a bar: what does not come before it
/// cannot be among the best.
class BestOfRow {
 public:
  /// Items of scratch memory that a row of k needs.
  static size_t scratch_size(int k) { return size_t{2} * k + kBlock; }

  BestOfRow(float* best, int64_t* index, int k, Item* scratch)
      : best_(best), index_(index), k_(k), merged_(scratch), waiting_(scratch + k), bar_(last()) {}

  bool full() const { return index_[k_ - 1] >= 0; }
  bool wants(const Item& item) const { return before(item, bar_); }
  void raise_bar(const Item& bar) { bar_ = before(bar, bar_) ? bar : bar_; }

  /// Offers values [n], n <= kBlock, whose items are first, first + 1, ...
  void offer(const float* values, int n, int64_t first) {
    for (int i = 0; i < n; ++i) {
      const Item item = {values[i], first + i};
      if (wants(item)) waiting_[count_++] = item;
    }
    if (count_ >= k_) merge();
  }

  void merge() {
    std::sort(waiting_, waiting_ + count_, before);
    int old = 0, added = 0;
    for (int n = 0; n < k_; ++n) {
      const Item held = {best_[old], index_[old]};
      const bool take = added < count_ && before(waiting_[added], held);
      merged_[n] = take ? waiting_[added] : held;
      ++(take ? added : old);
    }
    for (int n = 0; n < k_; ++n) {
      best_[n] = merged_[n].value;
      index_[n] = merged_[n].index;
    }
    count_ = 0;
    raise_bar(last());
  }

 private:
  Item last() const { return {best_[k_ - 1], index_[k_ - 1]}; }

  float* best_;
  int64_t* index_;
  int k_, count_ = 0;
  Item *merged_, *waiting_;  // [k], [k + kBlock]
  Item bar_;
};

/// maxima, sorted: scratch [blocks of count]
void search_row(const float* values, int count, int64_t first, int k, float* maxima, float* sorted,
                BestOfRow& best) {
  const int blocks = (count + kBlock - 1) / kBlock;
  block_maxima(values, count, maxima);
  if (!best.full() && blocks >= k) {
    // k blocks hold a value no smaller than the k-th largest maximum: a high bar before the first offer.
    std::copy(maxima, maxima + blocks, sorted);
    std::nth_element(sorted, sorted + k - 1, sorted + blocks, std::greater<>());
    best.raise_bar({sorted[k - 1], std::numeric_limits<int64_t>::max()});
  }
  for (int b = 0; b < blocks; ++b) {
    const int begin = b * kBlock;
    if (best.wants({maxima[b], first + begin}))
      best.offer(values + begin, std::min(kBlock, count - begin), first + begin);
  }
  best.merge();
}

}  // namespace

void run(const TopK& c, Context& context) {
  ENSURE(c.k > 0, "top k: k is {}, ask for at least one", c.k);
  const int threads = context.threads();
  const size_t items = BestOfRow::scratch_size(c.k), blocks = c.count / kBlock + 1;
  char* scratch = context.scratch_of<char>(threads * (items * sizeof(Item) + 2 * blocks * sizeof(float)));
  float* all_maxima = reinterpret_cast<float*>(scratch + threads * items * sizeof(Item));
  context.share(c.rows, [=](int64_t row, int thread) {
    Item* waiting = reinterpret_cast<Item*>(scratch) + thread * items;
    float* maxima = all_maxima + 2 * thread * blocks;
    float* best = c.best + row * c.k;
    int64_t* index = c.best_index + row * c.k;
    if (c.fresh) {
      std::fill(best, best + c.k, -std::numeric_limits<float>::infinity());
      std::fill(index, index + c.k, int64_t{-1});
    }
    BestOfRow of_row(best, index, c.k, waiting);
    search_row(c.values + row * c.count, c.count, c.first, c.k, maxima, maxima + blocks, of_row);
  });
}

}  // namespace stopgrad::cpu
