#include "bench/kernels/measure.h"

#include <algorithm>
#include <chrono>

namespace stopgrad::bench {
namespace {

double quantile(const std::vector<double>& sorted, double q) {
  const double at = std::clamp(q, 0.0, 1.0) * double(sorted.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - double(below)) * (sorted[above] - sorted[below]);
}

double sum(const std::vector<double>& v) {
  double total = 0;
  for (const double x : v) total += x;
  return total;
}

/// Seconds per launch, back to back on buffers in the cache: the median of five batches of about 10 ms. On
/// CUDA one pair of events stands around a batch, so that their own microseconds do not count.
double warm(Subject& subject, const Device& device, double once) {
  const size_t resident = device.is_cpu() ? 1 : resident_copies(subject.copies());
  const double most = device.is_cpu() ? 2000 : kMostQueued;
  const int count = static_cast<int>(std::clamp(0.01 / once, 1.0, most));
  std::vector<double> batches;
  for (int i = 0; i < 5; ++i)
    batches.push_back(time_all(device, count, [&](int i) { subject.run(size_t(i) % resident); }) / count);
  return summarize(batches).median;
}

}  // namespace

size_t resident_copies(size_t copies) { return std::max<size_t>((copies - 1) / 4, 1); }

Summary summarize(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  return {quantile(seconds, 0.5), quantile(seconds, 0.25), quantile(seconds, 0.75),
          static_cast<int64_t>(seconds.size())};
}

double uncertainty(std::vector<double> seconds) {
  if (seconds.size() < 6) return INFINITY;  // the interval is wider than the samples
  std::sort(seconds.begin(), seconds.end());
  const double half = 0.98 / std::sqrt(double(seconds.size()));  // of the rank, as a share
  return (quantile(seconds, 0.5 + half) - quantile(seconds, 0.5 - half)) / 2 / quantile(seconds, 0.5);
}

Measurement measure(Subject& subject, const Device& device, const Patience& patience, bool with_baseline) {
  // A CUDA clock times many launches without waiting for each; on the CPU ours and theirs each have their
  // threads awake.
  const int block = !device.is_cpu() ? 16 : with_baseline ? 8 : 1;
  size_t next = 0;
  const auto copy = [&](int i) { return (next + size_t(i)) % subject.copies(); };
  const auto sample = [&](auto run) {
    const auto seconds = time_each(device, block, run);
    next += size_t(block);
    return seconds;
  };
  // On CUDA patience is the clock's on the wall: a head start is longer than short launches.
  const auto spent_by = [&](auto run, std::vector<double>* samples) {
    const auto start = std::chrono::steady_clock::now();
    const std::vector<double> seconds = run();
    if (samples) samples->insert(samples->end(), seconds.begin(), seconds.end());
    if (device.is_cpu()) return sum(seconds);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const auto ours = [&] {
    if (with_baseline) subject.run(copy(0));
    return sample([&](int i) { subject.run(copy(i + 1)); });
  };
  const auto theirs = [&] {
    subject.run_baseline(copy(0));
    const auto seconds = sample([&](int i) { subject.run_baseline(copy(i + 1)); });
    end_library_threads();
    return seconds;
  };

  const double spent_warm = patience.least / 4;
  for (double spent = 0, i = 0; i < 2 || (spent < spent_warm && i < 1000); ++i) {
    spent += spent_by(ours, nullptr);
    if (with_baseline) spent += spent_by(theirs, nullptr);
  }
  std::vector<double> our_samples, their_samples;
  double spent = 0;
  for (size_t looked = 16;;) {
    spent += spent_by(ours, &our_samples);
    if (with_baseline) spent += spent_by(theirs, &their_samples);
    if (our_samples.size() < 6 && spent < 4 * patience.most) continue;
    if (spent >= patience.most) break;
    if (spent < patience.least || our_samples.size() < looked) continue;
    if (uncertainty(our_samples) < patience.precision &&
        (!with_baseline || uncertainty(their_samples) < patience.precision))
      break;
    looked = our_samples.size() * 5 / 4;
  }
  Measurement result{summarize(our_samples), {}, 0};
  if (with_baseline) result.baseline = summarize(their_samples);
  if (subject.copies() > 1) result.warm = warm(subject, device, result.ours.median);
  return result;
}

}  // namespace stopgrad::bench
