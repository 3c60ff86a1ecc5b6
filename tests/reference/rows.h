#pragma once
// Losses over rows, in double, as their definitions read. Nothing here knows of the schedules.
#include <cmath>
#include <functional>
#include <vector>

#include "tests/numbers.h"

namespace stopgrad::test {

/// A matrix [rows, channels] in double.
struct Matrix {
  int rows, channels;
  std::vector<double> at;

  double operator()(int row, int column) const { return at[size_t(row) * channels + column]; }
  double& operator()(int row, int column) { return at[size_t(row) * channels + column]; }
};

inline Matrix zeros_like(const Matrix& x) { return {x.rows, x.channels, std::vector<double>(x.at.size())}; }

/// x / max(|x|, 1e-12), row by row
inline Matrix unit_rows(const Matrix& x) {
  Matrix y = x;
  for (int r = 0; r < x.rows; ++r) {
    double squares = 0;
    for (int c = 0; c < x.channels; ++c) squares += x(r, c) * x(r, c);
    for (int c = 0; c < x.channels; ++c) y(r, c) = x(r, c) / std::max(std::sqrt(squares), 1e-12);
  }
  return y;
}

/// Gradient of unit_rows for rows longer than the floor: (dy - (dy . y) y) / |x|
inline Matrix unit_rows_gradient(const Matrix& x, const Matrix& dy) {
  const Matrix y = unit_rows(x);
  Matrix dx = x;
  for (int r = 0; r < x.rows; ++r) {
    double squares = 0, along = 0;
    for (int c = 0; c < x.channels; ++c) squares += x(r, c) * x(r, c), along += dy(r, c) * y(r, c);
    for (int c = 0; c < x.channels; ++c) dx(r, c) = (dy(r, c) - along * y(r, c)) / std::sqrt(squares);
  }
  return dx;
}

/// D(p, z) = - mean over rows of p^ . z^
inline double negative_cosine(const Matrix& p, const Matrix& z) {
  const Matrix u = unit_rows(p), v = unit_rows(z);
  double sum = 0;
  for (size_t i = 0; i < u.at.size(); ++i) sum += u.at[i] * v.at[i];
  return -sum / p.rows;
}

/// Gradient of D(p, z) with respect to p
inline Matrix negative_cosine_gradient(const Matrix& p, const Matrix& z) {
  Matrix dy = unit_rows(z);
  for (double& g : dy.at) g /= -p.rows;
  return unit_rows_gradient(p, dy);
}

/// log softmax, row by row
inline Matrix log_softmax(const Matrix& x) {
  Matrix y = x;
  for (int r = 0; r < x.rows; ++r) {
    double most = x(r, 0), sum = 0;
    for (int c = 0; c < x.channels; ++c) most = std::max(most, x(r, c));
    for (int c = 0; c < x.channels; ++c) sum += std::exp(x(r, c) - most);
    for (int c = 0; c < x.channels; ++c) y(r, c) = x(r, c) - most - std::log(sum);
  }
  return y;
}

inline Matrix softmax(const Matrix& x) {
  Matrix y = log_softmax(x);
  for (double& v : y.at) v = std::exp(v);
  return y;
}

/// Logits whose softmax leaves out the classes [begin, end) of each row but its label.
inline Matrix without(Matrix x, const std::vector<int32_t>& labels, const std::vector<int32_t>& ranges) {
  for (int r = 0; r < x.rows; ++r)
    for (int c = ranges[2 * r]; c < ranges[2 * r + 1]; ++c)
      if (c != labels[r]) x(r, c) = -INFINITY;
  return x;
}

/// Ranges of classes: empty ones, single ones, and from there to the end.
inline std::vector<int32_t> some_ranges(int rows, int classes) {
  std::vector<int32_t> out;
  for (int r = 0; r < rows; ++r) {
    const int begin = 5 * r % classes;
    out.insert(out.end(), {begin, r % 3 == 2 ? classes : begin + r % 3});
  }
  return out;
}

/// - mean over rows of softmax(z) . log softmax(p)
inline double softmax_similarity(const Matrix& p, const Matrix& z) {
  const Matrix s = softmax(z), q = log_softmax(p);
  double sum = 0;
  for (size_t i = 0; i < s.at.size(); ++i) sum += s.at[i] * q.at[i];
  return -sum / p.rows;
}

/// Central differences of f at x: what every gradient must agree with.
inline Matrix numeric_gradient(const Matrix& x, const std::function<double(const Matrix&)>& f,
                               double eps = 1e-6) {
  Matrix gradient = x, moved = x;
  for (size_t i = 0; i < x.at.size(); ++i) {
    moved.at[i] = x.at[i] + eps;
    const double above = f(moved);
    moved.at[i] = x.at[i] - eps;
    gradient.at[i] = (above - f(moved)) / (2 * eps);
    moved.at[i] = x.at[i];
  }
  return gradient;
}

inline double length(const std::vector<double>& x) {
  double squares = 0;
  for (double v : x) squares += v * v;
  return std::sqrt(squares);
}

/// |a - b| / max(|a|, |b|)
inline double relative_error(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> difference(a.size());
  for (size_t i = 0; i < a.size(); ++i) difference[i] = a[i] - b[i];
  return length(difference) / std::max(length(a), length(b));
}

/// Rows that are not short: the first column lies in [0.5, 1.5), the others in [-1, 1).
template <class T>
std::vector<T> long_rows(int rows, int channels, uint64_t seed) {
  std::vector<T> x = random<T>(size_t(rows) * channels, seed);
  for (size_t i = 0; i < x.size(); i += channels) x[i] = from_double<T>(1 + 0.5 * to_double(x[i]));
  return x;
}

template <class T>
Matrix matrix(int rows, int channels, const std::vector<T>& x) {
  return {rows, channels, doubles(x)};
}

/// The matrices of the golden vectors, N = 3, d = 4: i counts rows, j columns.
inline Matrix golden(const std::function<double(int, int)>& f) {
  Matrix x = {3, 4, std::vector<double>(12)};
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 4; ++j) x(i, j) = f(i, j);
  return x;
}
inline Matrix golden_p1() {
  return golden([](int i, int j) { return std::sin(1 + .7 * i + 1.3 * j); });
}
inline Matrix golden_p2() {
  return golden([](int i, int j) { return std::sin(.3 + 1.7 * i + .4 * j * j); });
}
inline Matrix golden_z1() {
  return golden([](int i, int j) { return std::cos(2 - .6 * i + .8 * j); });
}
inline Matrix golden_z2() {
  return golden([](int i, int j) { return std::cos(.5 + 1.1 * i - .9 * j); });
}

template <class T>
std::vector<T> as(const Matrix& x) {
  std::vector<T> out;
  for (double v : x.at) out.push_back(from_double<T>(v));
  return out;
}

}  // namespace stopgrad::test
