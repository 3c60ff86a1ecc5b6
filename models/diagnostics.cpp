#include "models/diagnostics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/reduce.h"
#include "models/singular_values.h"

namespace stopgrad {

void unit_row_deviations(const Tensor& z, double* deviations) {
  const Tensor mean(z.pool(), {z.channels()}, DType::f64);
  visit_float(z.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch(z.device(),
           UnitRowStatistics<T>{z.rows(), z.channels(), z.data<T>(), mean.data<double>(), deviations});
  });
}

double spread_of_deviations(std::span<const double> deviations) {
  const auto d = static_cast<double>(deviations.size());
  return std::sqrt(d) * std::accumulate(deviations.begin(), deviations.end(), 0.0) / d;
}

namespace {
/// z/|z| per row, less the mean of each channel.
std::vector<double> unit_rows_centred(DType dtype, const void* z, size_t rows, size_t channels) {
  std::vector<double> out(rows * channels), mean(channels);
  visit_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const values = static_cast<const T*>(z);
    std::transform(values, values + out.size(), out.begin(),
                   [](T value) { return static_cast<double>(static_cast<Acc<T>>(value)); });
  });
  for (auto row = out.begin(); row != out.end(); row += static_cast<ptrdiff_t>(channels)) {
    const auto end = row + static_cast<ptrdiff_t>(channels);
    const double norm = std::max(std::sqrt(std::inner_product(row, end, row, 0.0)), 1e-12);
    for (size_t c = 0; c < channels; ++c) mean[c] += (row[static_cast<ptrdiff_t>(c)] /= norm);
  }
  for (size_t i = 0; i < out.size(); ++i) out[i] -= mean[i % channels] / static_cast<double>(rows);
  return out;
}
}  // namespace

double effective_rank(const Tensor& z) {
  std::vector<char> here(z.bytes());
  z.to_host(here.data());
  return effective_rank(z.dtype(), here.data(), z.rows(), z.channels());
}

double effective_rank(DType dtype, const void* z, int64_t rows, int64_t channels) {
  const std::vector<double> sigma = singular_values(
      unit_rows_centred(dtype, z, static_cast<size_t>(rows), static_cast<size_t>(channels)), channels);
  const double total = std::accumulate(sigma.begin(), sigma.end(), 0.0);
  if (!(total > 1e-9)) return 1;
  double entropy = 0;
  for (double s : sigma)
    if (const double p = s / total; p > 1e-12) entropy -= p * std::log(p);
  return std::exp(entropy);
}

int64_t not_finite(const Tensor& x) {
  const Tensor odd(x.pool(), {1}, DType::i64);
  visit_float(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    launch(x.device(), Summary<T>{x.count(), x.data<T>(), nullptr, nullptr, odd.data<int64_t>()});
  });
  return odd.to_vector<int64_t>()[0];
}

int64_t not_finite(const ParameterSlab& slab) {
  int64_t out = not_finite(slab.values) + not_finite(slab.momenta);
  for (const Buffer* buffer : slab.buffers()) out += not_finite(buffer->value);
  return out;
}

}  // namespace stopgrad
