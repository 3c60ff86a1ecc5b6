#include "models/simclr.h"

namespace stopgrad {

Simclr::Simclr(const SimSiamConfig& config, double temperature)
    : SimSiam(config), info_nce_(temperature, candidates) {
  ENSURE(views() == 2 && config.symmetry == SimSiamConfig::Symmetry::symmetric,
         "simclr: two views are compared, each with the other");
}

InfoNce::Candidates Simclr::candidates(int row, int rows) { return {(row + rows / 2) % rows, row, row + 1}; }

Var Simclr::compare(const std::vector<View>& online, const std::vector<Var>& target) {
  const Var p = join_rows({online[0].p, online[1].p});
  const Var queries = l2_normalize(p);
  const Var z = join_rows({target[0], target[1]});
  const Var keys = l2_normalize(z);
  return info_nce_.loss(queries, keys);
}

}  // namespace stopgrad
