#pragma once
// Shapes and losses over pairs of rows, for tests of the schedules that walk row by row.
#include "kernels/cosine_loss.h"
#include "tests/cases.h"
#include "tests/compare.h"
#include "tests/cuda/mirror.h"
#include "tests/reference/rows.h"

namespace stopgrad::test {

/// Rows for a warp and for a block, by packs and by single elements; of real networks, the heads'.
inline std::vector<MatrixCase> row_cases() {
  std::vector<MatrixCase> cases = {{"one long row", 1, 1040}, {"long rows", 3, 1048}, {"packs", 9, 24}};
  for (const MatrixCase& c : matrix_cases())
    if (!c.real || c.rows <= 1024) cases.push_back(c);
  const auto dear = [](const MatrixCase& c) {  // a row takes a warp, however short it is
    return !affordable(int64_t{c.rows} * std::max(c.channels, 32), c.real);
  };
  cases.erase(std::remove_if(cases.begin(), cases.end(), dear), cases.end());
  return cases;
}

/// Rows with `skip` elements before the first: 1 keeps packs from being used.
template <class T>
std::vector<T> skipping(size_t skip, const std::vector<T>& x) {
  std::vector<T> out(skip, from_double<T>(NAN));
  out.insert(out.end(), x.begin(), x.end());
  return out;
}

template <class T>
std::vector<T> after(size_t skip, const std::vector<T>& x) {
  return std::vector<T>(x.begin() + static_cast<std::ptrdiff_t>(skip), x.end());
}

/// A loss over pairs, with as many gradients as its caller likes.
template <template <class> class Forward, template <class> class Backward, class T>
struct PairLoss {
  int rows, channels;
  std::vector<std::vector<T>> p, z;
  size_t skip = 0;  // elements before the first row
  std::vector<std::vector<T>> gradients = {};
  std::vector<int> dp = {}, dz = {};  // which of the gradients, -1 for null
  std::vector<bool> add_p = {}, add_z = {};
  std::vector<float> loss = {}, saved = {}, dloss = {0.5f};

  int pairs() const { return static_cast<int>(p.size()); }

  /// One gradient each, set to NaN.
  void gradient_each() {
    gradients.assign(2 * p.size(), p[0]);
    for (auto& g : gradients) fill_nan(g);
    dp.clear(), dz.clear();
    for (int k = 0; k < pairs(); ++k) dp.push_back(2 * k), dz.push_back(2 * k + 1);
    accumulate(false);
  }
  void accumulate(bool add) {
    add_p.assign(p.size(), add);
    add_z.assign(p.size(), add);
  }
  template <class Where>
  void forward(Where& where) {
    loss.assign(1, NAN);
    saved.assign(3 * p.size() * rows, NAN);
    Forward<T> call{pairs(), rows, channels, {}, {}, loss.data(), saved.data()};
    run_with(where, call, [](Forward<T>&) {});
  }
  template <class Where>
  void backward(Where& where) {
    Backward<T> call{pairs(), rows, channels, {}, {}, saved.data(), dloss.data(), {}, {}, {}, {}};
    T* const poison = reinterpret_cast<T*>(64);  // slots past the pairs must not be touched
    std::fill_n(call.dp, kMaxPairs, poison);
    std::fill_n(call.dz, kMaxPairs, poison);
    run_with(where, call, [this](Backward<T>& c) {
      for (int k = 0; k < pairs(); ++k) {
        c.dp[k] = dp[k] < 0 ? nullptr : gradients[dp[k]].data() + skip;
        c.dz[k] = dz[k] < 0 ? nullptr : gradients[dz[k]].data() + skip;
        c.accumulate_dp[k] = add_p[k];
        c.accumulate_dz[k] = add_z[k];
      }
    });
  }

 private:
  template <class Where, class Call, class F>
  void run_with(Where& where, Call& call, F set_gradients) {
    for (int k = 0; k < pairs(); ++k) call.p[k] = p[k].data() + skip, call.z[k] = z[k].data() + skip;
    set_gradients(call);
    if constexpr (std::is_same_v<Where, cuda::Context>) {
      Mirror mirror;
      mirror.add(loss, saved, dloss);
      for (auto* all : {&p, &z, &gradients})
        for (auto& one : *all) mirror.add(one);
      for (int k = 0; k < pairs(); ++k) mirror.move(call.p[k], call.z[k]);
      if constexpr (std::is_same_v<Call, Backward<T>>) {
        for (int k = 0; k < pairs(); ++k) mirror.move(call.dp[k], call.dz[k]);
        mirror.move(call.dloss, call.saved);
      } else {
        mirror.move(call.loss, call.saved);
      }
      run(call, where);
      mirror.fetch();
    } else {
      run(call, where);
    }
  }
};

}  // namespace stopgrad::test
