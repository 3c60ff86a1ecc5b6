#pragma once
// What the CPU schedules of batch norm share: how rows are cut, how a part is walked, and the map itself.
#include <algorithm>
#include <numeric>
#include <type_traits>

#include "kernels/check.h"
#include "kernels/context.h"
#include "kernels/dtype.h"
#include "kernels/element.h"
#include "kernels/loops.h"
#include "kernels/simd.h"

namespace stopgrad::cpu::norm {

/// A run of rows, walked as rows of `lanes` elements: several rows side by side where channels are few, some
/// columns of each where they are many.
struct Strip {
  int64_t begin, end;  // elements of the matrix
  int64_t next;        // where the walk goes on after it
  int lanes;           // a multiple of the channels
  int64_t stride;      // elements from a walked row to the next: `lanes`, but for columns

  /// Its first sixteenth, rounded up to a row of lanes.
  Strip head() const {
    const int64_t walked = (end - begin + 16 * stride - 1) / (16 * stride);
    return {begin, std::min(end, begin + walked * stride), begin, lanes, stride};
  }
};

/// A group of fewer elements is not worth cutting for several threads.
inline constexpr int64_t kThreaded = 32768;
/// Rows of a part that is some columns.
inline constexpr int kRowsOfColumns = 32;

/// How the groups are cut into parts, the units of work and of summation. Sizes alone decide, never threads,
/// so any number of threads gives the same bits.
struct Cut {
  int groups, channels, lanes;
  int64_t row;   // elements from a row of the matrix to the next: `channels`, but for columns
  int64_t size;  // elements of a group
  int64_t part;  // elements of a part
  int parts;     // of a group

  Cut(int groups, int rows, int channels)
      : groups(groups), channels(channels), lanes(channels), row(channels), size(int64_t{rows} * channels) {
    ENSURE(groups > 0 && rows > 0 && channels > 0,
           "batch norm: {} groups of [{}, {}], every size must be positive", groups, rows, channels);
    if (channels < 64)
      for (lanes *= 16 / std::gcd(16, channels); lanes < 64;) lanes *= 2;
    // Large enough that joining the parts is cheap; at most 256, more than there are threads. A power of two
    // of rows, so that the mean of whole numbers over one is exact.
    int64_t wanted = std::max({int64_t{16384}, int64_t{32} * lanes, size / 256});
    if (size >= kThreaded) wanted = std::min(wanted, std::max(size / 8, int64_t{32} * lanes));
    for (part = int64_t{4} * lanes; part < wanted;) part *= 2;
    parts = static_cast<int>((size + part - 1) / part);
  }
  /// Some columns of one group; short parts, as sums over many rows in one row of lanes would be rounded
  /// often.
  static Cut columns(int rows, int width, int64_t row) {
    Cut cut(1, rows, width);
    cut.lanes = width;
    cut.row = row;
    cut.size = rows * row;
    cut.part = kRowsOfColumns * row;
    cut.parts = (rows + kRowsOfColumns - 1) / kRowsOfColumns;
    return cut;
  }
  int64_t begin(int p) const { return std::min(size, p * part); }
  int64_t rows(int p, int end) const { return (begin(end) - begin(p)) / row; }  // of parts [p, end)
  Strip strip(int g, int p, bool backwards = false) const {
    const int64_t first = g * size + begin(p), last = g * size + begin(p + 1);
    const int64_t next = backwards ? std::max<int64_t>(0, first - part) : last;
    return {first, last, next, lanes, row * (lanes / channels)};
  }
};

/// Calls f(group, part) for all parts, on this thread without a context. Each thread begins with a run of
/// them; `backwards` from its end, so that a second pass starts on what the first one left in the cache.
template <class F>
void for_each_part(const Cut& cut, Context* context, bool backwards, F f) {
  const auto part = [&](int64_t i, int) {
    f(static_cast<int>(i / cut.parts), static_cast<int>(i % cut.parts));
  };
  const int64_t parts = int64_t{cut.groups} * cut.parts;
  if (context) return context->share(parts, part, backwards);
  for (int64_t i = 0; i < parts; ++i) part(i, 0);
}

/// Columns of a task, where few rows are cut into columns instead: a task then does both passes over all
/// rows, finds in the second cache what the first read of `tensors`, and waits for nobody. 0: rows are cut.
/// Not with more rows: at a distance of a power of two they would push each other out of the caches.
template <class T>
int columns_of_task(int rows, int channels, int tensors) {
  constexpr int64_t cache = 64 << 10, least = 64, most_rows = 64;
  const int64_t column = int64_t{rows} * tensors * static_cast<int64_t>(sizeof(T));
  if (int64_t{rows} * channels < kThreaded / 2 || channels < 2 * least || rows > most_rows) return 0;
  int64_t width = least;
  while (width * 16 <= channels && column * width * 2 <= cache) width *= 2;
  return static_cast<int>(width);
}

/// Registers side by side in a block: what a pass keeps of their columns fits into those of the target.
inline constexpr int kWide = kVectorRegisters == 32 ? 4 : 2;

/// Some registers of lanes, side by side, of rows one below the other.
template <int VECTORS, bool WHOLE>
struct Block {
  int64_t begin, end, step;  // its first element, where its rows end, and from row to row
  int64_t later;             // as many elements as its own, which a block after it wants
  bool in_order;             // blocks follow each other in memory
  int lane;                  // of its first element
  int last;                  // elements of the last register, where it is not whole

  static constexpr int vectors = VECTORS;

  /// f(i, v, soon) for every row and register: element i, register v, and the element for prefetch().
  template <class A, class F>
  void each(F f) const {
    for (int64_t at = begin, soon = later; at < end; at += step, soon += VECTORS * kLanes<A>)
      for (int v = 0; v < VECTORS; ++v) f(at + v * kLanes<A>, v, soon + v * kLanes<A>);
  }
  template <class T>
  Vector<Acc<T>> load_from(const T* at) const {
    if constexpr (WHOLE) return load_wide(at);
    T part[kLanes<Acc<T>>] = {};
    std::copy_n(at, last, part);
    return load_wide(part);
  }
  template <bool stream, class T>
  void store_to(T* at, const Vector<Acc<T>>& v) const {
    if constexpr (WHOLE && stream) return stream_narrow(at, v);
    if constexpr (WHOLE) return store_narrow(at, v);
    T part[kLanes<Acc<T>>];
    store_narrow(part, v);
    std::copy_n(part, last, at);
  }
  template <class A>
  void add_to(A* sum, const Vector<A>& v) const {
    store_to<false>(sum, load_from(sum) + v);
  }
  /// Columns of a matrix are no stream that the processor foresees: what comes next is fetched in the order
  /// of memory.
  template <class T>
  void prefetch(const T* soon, int v) const {
    constexpr int of_a_line = std::max<int>(1, 64 / (kLanes<Acc<T>> * sizeof(T)));
    if (!in_order && v % of_a_line == 0) __builtin_prefetch(soon, 0, 2);
  }
};

/// f(block) over up to `rows` rows [begin, end), `stride` apart, of which the first `width` lanes are there.
template <class A, class F>
[[gnu::always_inline]] inline void for_each_block_of_rows(int64_t begin, int64_t end, int64_t rows,
                                                          int64_t stride, int width, int64_t later, F f) {
  constexpr int wide = kWide, one = kLanes<A>;
  const bool in_order = width <= wide * one || width < stride;
  int lane = 0;
  for (; lane + wide * one <= width; lane += wide * one)
    f(Block<wide, true>{begin + lane, end, stride, later + lane * rows, in_order, lane, one});
  for (; lane + one <= width; lane += one)
    f(Block<1, true>{begin + lane, end, stride, later + lane * rows, in_order, lane, one});
  if (lane < width)
    f(Block<1, false>{begin + lane, end, stride, later + lane * rows, in_order, lane, width - lane});
}

/// f(block) over a strip: every lane sees its rows in order. Only the last row can be shorter.
template <class T, bool stream, class F>
void for_each_block(const Strip& strip, F f) {
  // As many rows as stay in the first cache. Stores past the caches want runs of 128 bytes and more.
  constexpr bool by_rows = stream && kWide * kLanes<Acc<T>> * sizeof(T) < 128;
  constexpr int64_t elements = (kWide == 4 ? 16384 : 4096) / sizeof(T), ahead = 2048 / sizeof(T);
  const int64_t rows = by_rows ? 1 : std::clamp<int64_t>(elements / strip.lanes, 4, 64);
  const int64_t stride = strip.stride, some = rows * stride;
  const int64_t whole = strip.end - (strip.end - strip.begin) % stride;
  for (int64_t at = strip.begin; at < whole; at += some) {
    const int64_t end = std::min(at + some, whole), later = end < strip.end ? end : strip.next;
    for_each_block_of_rows<Acc<T>>(at, end, rows, stride, strip.lanes, by_rows ? at + ahead : later, f);
  }
  if (whole < strip.end) {
    const int width = static_cast<int>(strip.end - whole);
    for_each_block_of_rows<Acc<T>>(whole, strip.end, 1, stride, width, strip.next, f);
  }
}

/// Vectors with a number per lane in scratch memory, `count` of them for each owner (a part or a group).
template <class A>
struct Vectors {
  A* memory;
  const Cut& cut;
  int count;

  static int64_t stride(const Cut& cut) { return (cut.lanes + 15) / 16 * 16 + 16; }
  A* at(int owner, int which) const { return memory + (int64_t{owner} * count + which) * stride(cut); }

  /// Repeats the numbers of the channels over all lanes.
  void spread(int owner, int which) const {
    A* v = at(owner, which);
    for (int l = cut.channels; l < cut.lanes; ++l) v[l] = v[l - cut.channels];
  }
  /// Sums the lanes of each channel into its first.
  void fold(int owner, int which) const {
    A* v = at(owner, which);
    for (int first = cut.channels; first < cut.lanes; first += cut.channels)
      for (int c = 0; c < cut.channels; ++c) v[c] += v[first + c];
  }
};

/// schedule(call, cut, scratch, context) over the whole call, its rows cut; or without a context over some
/// columns of one group, columns_of(call, group, first, columns), as a task, each group after the one before.
/// Scratch holds so many vectors for each part and each group.
template <class T, class Call, class Columns, class Schedule>
void run_cut(const Call& call, int tensors, int of_part, int of_group, Context& context, Columns columns_of,
             Schedule schedule) {
  using A = Acc<T>;
  const auto scratch_size = [&](const Cut& cut) {
    return cut.groups * (int64_t{cut.parts} * of_part + of_group) * Vectors<A>::stride(cut);
  };
  const Cut all(call.groups, call.rows, call.channels);
  const int width = columns_of_task<T>(call.rows, call.channels, tensors);
  if (width == 0) return schedule(call, all, context.scratch_of<A>(scratch_size(all)), &context);
  const int64_t size = scratch_size(Cut::columns(call.rows, width, call.channels));
  A* const scratch = context.scratch_of<A>(size * context.threads());
  const auto task = [&](int64_t i, int thread) {
    const int first = static_cast<int>(i) * width, columns = std::min(width, call.channels - first);
    const Cut cut = Cut::columns(call.rows, columns, call.channels);
    for (int g = 0; g < call.groups; ++g)
      schedule(columns_of(call, g, first, columns), cut, scratch + thread * size, nullptr);
  };
  context.share((call.channels + width - 1) / width, task);
}

/// Whether stores to y go past the caches: what a pass touches, `tensors` of them, is more than a last cache
/// of 32 MiB keeps beside the rest, so that they would first be read and then push out what is wanted again.
/// Sizes and alignment decide. Stores of 16 bytes, bf16 on AVX2, are faster through the caches.
template <class T>
bool streams(const Cut& cut, const T* y, int tensors) {
  constexpr int64_t cache = int64_t{24} << 20, lanes = kLanes<Acc<T>>;
  return sizeof(Packed<T>) >= 32 &&
         tensors * static_cast<int64_t>(sizeof(T)) * cut.groups * cut.size >= cache &&
         cut.row == cut.channels && cut.lanes % lanes == 0 && cut.size % lanes == 0 &&
         reinterpret_cast<uintptr_t>(y) % kVectorBytes == 0;
}

/// The map of forward, and what the ReLU's mask is recomputed from: one expression, so that the signs agree.
template <class A>
A affine(A centered, A scale, A beta) {
  return centered * scale + beta;
}

/// `value` where gate > 0, else 0. NaN passes: a diverged run must show.
template <class V>
V gated(V value, V gate) {
  return gate <= 0 ? V{} : value;
}

/// f(std::true_type) or f(std::false_type): a loop per combination instead of branches inside.
template <class F>
void with(bool condition, F f) {
  if (condition) f(std::true_type{});
  else f(std::false_type{});
}

/// Vectors of a group. scale = gamma * rstd; the last two are those of the second pass of backward.
enum { kMean, kScale, kBeta, kForwardVectors, kGradMean = kForwardVectors, kSlope, kBackwardVectors };

template <class A>
void set_map(const Vectors<A>& maps, int g, const A* mean, const A* rstd, const A* gamma, const A* beta) {
  A *to_mean = maps.at(g, kMean), *to_scale = maps.at(g, kScale), *to_beta = maps.at(g, kBeta);
#pragma omp simd
  for (int c = 0; c < maps.cut.channels; ++c) {
    to_mean[c] = mean[c];
    to_scale[c] = gamma ? gamma[c] * rstd[c] : rstd[c];
    to_beta[c] = beta ? beta[c] : A(0);
  }
  for (int which : {kMean, kScale, kBeta}) maps.spread(g, which);
}

}  // namespace stopgrad::cpu::norm
