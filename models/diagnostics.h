#pragma once
// Is it collapsing, has it diverged? Meters over the representations z [N, d] of one batch (paper, section
// 4.1 and figure 2), and a count of values that are not finite.
#include <span>

#include "engine/module.h"

namespace stopgrad {

/// The std over the batch of each channel of z/|z|: [d] doubles, written to the device's memory without a
/// wait.
void unit_row_deviations(const Tensor& z, double* deviations);
/// sqrt(d) * their mean, the spread: 1 when z is spread evenly, 0 when all rows are alike. A batch norm
/// without scale at the output keeps it near 1 even then, so look at the rank too.
double spread_of_deviations(std::span<const double> deviations);

/// The effective rank: exp of the entropy of the singular values of the unit rows z/|z| with their mean taken
/// off, so how many directions carry something, between 1 and min(N - 1, d); 1 when all rows are alike. It is
/// RankMe (Garrido et al. 2023) but for three things: RankMe does not centre the rows, does not bring them to
/// length 1, and adds 1e-7 to each share. Compare it only with itself. Training measures it on view 1 alone,
/// while the spread is the mean over all views. Waits for the device, and costs an eigendecomposition of the
/// smaller Gram matrix: for every step of a small net, now and then for a large.
double effective_rank(const Tensor& z);
/// The same of z [rows, channels] in the host's memory.
double effective_rank(DType dtype, const void* z, int64_t rows, int64_t channels);

/// How many values are NaN or infinite; of a network: parameters, momenta and running statistics.
int64_t not_finite(const Tensor& x);
int64_t not_finite(const ParameterSlab& slab);

}  // namespace stopgrad
