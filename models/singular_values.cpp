#include "models/singular_values.h"

#include <Eigen/Eigenvalues>

namespace stopgrad {

std::vector<double> singular_values(const std::vector<double>& matrix, int64_t columns) {
  using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const int64_t rows = static_cast<int64_t>(matrix.size()) / columns, smaller = std::min(rows, columns);
  const Eigen::Map<const Rows> m(matrix.data(), rows, columns);
  Eigen::MatrixXd gram = Eigen::MatrixXd::Zero(smaller, smaller);
  auto half = gram.selfadjointView<Eigen::Lower>();  // the solver reads no more
  if (columns > rows) half.rankUpdate(m);
  else half.rankUpdate(m.transpose());
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(gram, Eigen::EigenvaluesOnly);
  const Eigen::VectorXd sigma = solver.eigenvalues().cwiseMax(0).cwiseSqrt();
  return {sigma.begin(), sigma.end()};
}

}  // namespace stopgrad
