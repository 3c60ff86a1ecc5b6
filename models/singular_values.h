#pragma once
// Singular values by Eigen, in a file of its own: it takes long to compile.
#include <cstdint>
#include <vector>

namespace stopgrad {

/// Of a matrix by rows of `columns` numbers each: the min(rows, columns) singular values, in ascending order,
/// as roots of the eigenvalues of the smaller Gram matrix, so those below 1e-8 of the largest are rounding.
std::vector<double> singular_values(const std::vector<double>& matrix, int64_t columns);

}  // namespace stopgrad
