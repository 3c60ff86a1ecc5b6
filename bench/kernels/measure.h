#pragma once
// From launches to a median with its spread.
#include "bench/kernels/clock.h"
#include "bench/kernels/subject.h"

namespace stopgrad::bench {

/// How long to measure one call: at least `least`, then until the median is known to `precision` (half of its
/// 95 % confidence interval, relative) or `most` is over.
struct Patience {
  double least = 0.2, most = 1, precision = 0.01;  // seconds, seconds, -
};

/// Of cold samples: each launch finds its buffers evicted from the last cache.
struct Summary {
  double median = 0, low = 0, high = 0;  // seconds; the quartiles
  int64_t samples = 0;
  /// Half the distance of the quartiles, relative to the median.
  double spread() const { return (high - low) / 2 / median; }
};
Summary summarize(std::vector<double> seconds);
/// Half of the 95 % confidence interval of the median, relative to it; from ranks, whatever the distribution.
double uncertainty(std::vector<double> seconds);

struct Measurement {
  Summary ours, baseline;  // alternated; baseline without samples where there is none
  double warm = 0;  // seconds per launch, back to back; 0 where one set of buffers exceeds the cache. On CUDA
                    // the buffers that half the cache holds take turns, on the CPU one set is used again
};
/// How many sets of buffers half of the last cache holds, at least one, of `copies` that are twice that cache
/// and one more.
size_t resident_copies(size_t copies);
Measurement measure(Subject& subject, const Device& device, const Patience& patience, bool with_baseline);

}  // namespace stopgrad::bench
