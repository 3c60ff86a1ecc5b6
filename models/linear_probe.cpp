#include "models/linear_probe.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "data/loader.h"
#include "engine/layers.h"
#include "engine/optimizer.h"

namespace stopgrad {

namespace {

/// Mean and 1/std of each column of x [n, d].
std::pair<std::vector<float>, std::vector<float>> column_statistics(const std::vector<float>& x, size_t d) {
  std::vector<double> sum(d), squares(d);
  const size_t n = x.size() / d;
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < d; ++j) sum[j] += x[i * d + j];
  for (double& s : sum) s /= static_cast<double>(n);
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < d; ++j) squares[j] += (x[i * d + j] - sum[j]) * (x[i * d + j] - sum[j]);
  std::vector<float> mean(d), scale(d);
  for (size_t j = 0; j < d; ++j) {
    mean[j] = static_cast<float>(sum[j]);
    scale[j] = static_cast<float>(1 / std::sqrt(squares[j] / static_cast<double>(n) + 1e-12));
  }
  return {mean, scale};
}

void standardise(std::vector<float>& x, const std::vector<float>& mean, const std::vector<float>& scale) {
  for (size_t i = 0; i < x.size(); ++i) x[i] = (x[i] - mean[i % mean.size()]) * scale[i % mean.size()];
}

double accuracy(Linear& layer, Pool pool, const std::vector<float>& x, const std::vector<int32_t>& labels,
                int d) {
  const auto n = static_cast<int64_t>(labels.size());
  constexpr int64_t kBlock = 1024;
  int64_t right = 0;
  for (int64_t first = 0; first < n; first += kBlock) {
    const int64_t count = std::min(kBlock, n - first);
    Tape tape(Tape::Mode::off);
    Pass pass{.tape = tape, .training = false};
    Tensor block(pool, {count, d}, DType::f32);
    block.from_host(x.data() + first * d);
    const Var logits = layer.forward(pass, tape.input(block));
    const std::vector<float> values = logits.value.to_vector<float>();
    const int64_t classes = logits.shape()[1];
    for (int64_t i = 0; i < count; ++i) {
      const float* row = values.data() + i * classes;
      right += std::max_element(row, row + classes) - row == labels[static_cast<size_t>(first + i)];
    }
  }
  return 100.0 * static_cast<double>(right) / static_cast<double>(n);
}

}  // namespace

LinearProbeResult linear_probe(const Tensor& train, const std::vector<int32_t>& train_labels,
                               const Tensor& test, const std::vector<int32_t>& test_labels, int classes,
                               const LinearProbeOptions& options,
                               const std::function<void(int, double)>& progress) {
  const int d = train.channels();
  ENSURE(train.shape()[0] == static_cast<int64_t>(train_labels.size()) && test.channels() == d &&
             test.shape()[0] == static_cast<int64_t>(test_labels.size()),
         "linear probe: features {} and {}, labels {} and {}", train.shape(), test.shape(),
         train_labels.size(), test_labels.size());
  std::vector<float> x = train.to_vector<float>(), x_test = test.to_vector<float>();
  const auto [mean, scale] = column_statistics(x, static_cast<size_t>(d));
  standardise(x, mean, scale);
  standardise(x_test, mean, scale);

  const Pool pool = train.pool();
  Linear layer(d, classes, true);
  layer.weight.init = {Init::normal, 0.01};
  layer.bias.init = {};
  ParameterSlab slab(pool, DType::f32, [&](Visitor& v) { layer.visit("", v); });
  slab.initialize(options.seed);
  Sgd sgd(slab, 0.9, 0);
  const int batch = static_cast<int>(std::min<int64_t>(options.batch, train.shape()[0]));
  const Loader loader(train.shape()[0], batch, options.seed);
  const CosineSchedule schedule{scaled_rate(options.base_rate, batch), options.epochs * loader.batches()};

  Tensor block(pool, {batch, d}, DType::f32), labels(pool, {batch}, DType::i32);
  std::vector<float> rows(static_cast<size_t>(block.count()));
  std::vector<int32_t> row_labels(static_cast<size_t>(batch));
  std::vector<int64_t> index(static_cast<size_t>(batch));
  LinearProbeResult result;
  int64_t step = 0;
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    double total = 0;
    for (int64_t b = 0; b < loader.batches(); ++b, ++step) {
      loader.indices(static_cast<uint32_t>(epoch), b, index);
      for (int i = 0; i < batch; ++i) {
        const auto k = static_cast<size_t>(index[static_cast<size_t>(i)]);
        std::copy_n(x.data() + k * static_cast<size_t>(d), d, rows.data() + int64_t{i} * d);
        row_labels[static_cast<size_t>(i)] = train_labels[k];
      }
      block.from_host(rows.data());
      labels.from_host(row_labels.data());
      Tape tape;
      Pass pass{.tape = tape};
      const Var input = tape.input(block);
      const Var logits = layer.forward(pass, input);
      const Var loss = cross_entropy(logits, labels);
      slab.clear_gradients();
      tape.backward(loss);
      sgd.step(schedule.at(step), schedule.base);
      total += loss.value.item();
    }
    result.loss = total / static_cast<double>(loader.batches());
    if (progress) progress(epoch, result.loss);
  }
  result.train_accuracy = accuracy(layer, pool, x, train_labels, d);
  result.test_accuracy = accuracy(layer, pool, x_test, test_labels, d);
  return result;
}

}  // namespace stopgrad
