#include "models/diagnostics.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/reduce.h"

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
using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;  // as z lies in memory

Rows unit_rows_centred(DType dtype, const void* z, int64_t rows, int64_t channels) {
  Rows m(rows, channels);
  visit_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const values = static_cast<const T*>(z);
    std::transform(values, values + m.size(), m.data(),
                   [](T value) { return static_cast<double>(static_cast<Acc<T>>(value)); });
  });
  for (Eigen::Index i = 0; i < m.rows(); ++i) m.row(i) /= std::max(m.row(i).norm(), 1e-12);
  m.rowwise() -= m.colwise().mean().eval();
  return m;
}
}  // namespace

double effective_rank(const Tensor& z) {
  std::vector<char> here(z.bytes());
  z.to_host(here.data());
  return effective_rank(z.dtype(), here.data(), z.rows(), z.channels());
}

double effective_rank(DType dtype, const void* z, int64_t rows, int64_t channels) {
  const Rows m = unit_rows_centred(dtype, z, rows, channels);
  Eigen::MatrixXd gram = Eigen::MatrixXd::Zero(std::min(rows, channels), std::min(rows, channels));
  auto half = gram.selfadjointView<Eigen::Lower>();  // the solver reads no more
  if (channels > rows) half.rankUpdate(m);
  else half.rankUpdate(m.transpose());
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(gram, Eigen::EigenvaluesOnly);
  const Eigen::VectorXd sigma = solver.eigenvalues().cwiseMax(0).cwiseSqrt();
  const double total = sigma.sum();
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
