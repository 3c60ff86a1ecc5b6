#include "models/diagnostics.h"

#include <Eigen/Eigenvalues>
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
Eigen::MatrixXd unit_rows_centred(const Tensor& z) {
  Eigen::MatrixXd m(z.rows(), z.channels());
  visit_float(z.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::vector<T> values = z.to_vector<T>();
    for (Eigen::Index i = 0; i < m.rows(); ++i)
      for (Eigen::Index j = 0; j < m.cols(); ++j)
        m(i, j) = static_cast<double>(static_cast<Acc<T>>(values[static_cast<size_t>(i * m.cols() + j)]));
  });
  for (Eigen::Index i = 0; i < m.rows(); ++i) m.row(i) /= std::max(m.row(i).norm(), 1e-12);
  m.rowwise() -= m.colwise().mean().eval();
  return m;
}
}  // namespace

double effective_rank(const Tensor& z) {
  const Eigen::MatrixXd m = unit_rows_centred(z);
  const bool wide = m.cols() > m.rows();
  const Eigen::MatrixXd gram = wide ? Eigen::MatrixXd(m * m.transpose()) : Eigen::MatrixXd(m.transpose() * m);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(gram, Eigen::EigenvaluesOnly);
  const Eigen::VectorXd sigma = solver.eigenvalues().cwiseMax(0).cwiseSqrt();
  const double total = sigma.sum();
  if (!(total > 1e-9)) return 1;
  double entropy = 0;
  for (double s : sigma)
    if (const double p = s / total; p > 1e-12) entropy -= p * std::log(p);
  return std::exp(entropy);
}

}  // namespace stopgrad
