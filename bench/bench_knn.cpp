// Nearest neighbours of many queries in a large bank: the time, and its share of a large product's rate.
//   bench_knn [--bank 50000] [--queries 10000] [--width 512] [--k 200] [--rounds 3] [--device cpu] [--json]
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <random>

#include "bench/kernels/ceilings.h"
#include "bench/versions.h"
#include "models/compute.h"
#include "models/knn.h"
#include "tools/command_line.h"

using namespace stopgrad;

namespace {

Tensor random_rows(const Pool& pool, int rows, int width, unsigned seed) {
  std::mt19937 draw(seed);
  std::vector<float> x(static_cast<size_t>(rows) * static_cast<size_t>(width));
  for (float& value : x) value = static_cast<float>(draw() % 2001) / 1000.0f - 1.0f;
  return Tensor::of(pool, {rows, width}, x);
}

double cosine(const float* a, const float* b, int width) {
  double ab = 0, aa = 0, bb = 0;
  for (int i = 0; i < width; ++i)
    ab += double{a[i]} * b[i], aa += double{a[i]} * a[i], bb += double{b[i]} * b[i];
  return ab / std::sqrt(aa * bb);
}

/// Of some queries, in double over the whole bank: similarities in order, and none left out that is larger.
void check(const Tensor& bank, const Tensor& queries, const Neighbours& near) {
  const std::vector<float> b = bank.to_vector<float>(), q = queries.to_vector<float>();
  const int width = bank.channels(), step = std::max(1, queries.rows() / 4);
  for (int query = 0; query < queries.rows(); query += step) {
    std::vector<double> all;
    for (int row = 0; row < bank.rows(); ++row)
      all.push_back(
          cosine(&q[static_cast<size_t>(query) * width], &b[static_cast<size_t>(row) * width], width));
    std::vector<double> best = all;
    std::ranges::sort(best, std::greater());
    for (int i = 0; i < near.k; ++i) {
      const size_t at = static_cast<size_t>(query) * near.k + i;
      const double found = all[static_cast<size_t>(near.index[at])];
      if (!(std::abs(found - best[i]) < 1e-5 && std::abs(near.similarity[at] - best[i]) < 1e-5))
        fail(Exit::failed, "query {}: neighbour {} has the cosine {}, {} is right; no time", query, i, found,
             best[i]);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  tools::CommandLine line("Nearest neighbours of many queries in a large bank.", "bench_knn");
  int rows = 50000, queries = 10000, width = 512, k = 200, rounds = 3, threads = 0;
  std::string device = "cpu";
  bool as_json = false;
  line.option("--bank", &rows, "rows of the bank", {.least = 1});
  line.option("--queries", &queries, "rows that ask", {.least = 1});
  line.option("--width", &width, "of a row", {.least = 1});
  line.option("--k", &k, "neighbours", {.least = 1});
  line.option("--rounds", &rounds, "measurements", {.least = 1});
  line.option("--device", &device, "auto, cpu, cuda or cuda:N");
  line.option("--threads", &threads, "0: all processors");
  line.flag("--json", as_json, "one line of JSON");
  return line.run(argc, argv, [&] {
    const Compute compute(device, threads);
    const Pool pool(compute.device());
    const Tensor bank = random_rows(pool, rows, width, 1), asked = random_rows(pool, queries, width, 2);
    check(bank, asked, nearest_neighbours(bank, asked, k));
    const double flop = 2.0 * rows * queries * width;
    std::vector<double> times, shares;
    for (int round = 0; round < rounds; ++round) {
      const double ceiling = bench::measure_ceilings(compute.device()).matmul_f32;
      const auto start = std::chrono::steady_clock::now();
      nearest_neighbours(bank, asked, k);
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      times.push_back(seconds);
      shares.push_back(flop / seconds / ceiling);
      if (as_json) continue;
      fmt::print("{} x {} x {}, k {}: {:.2f} s, {:.1f} GF/s, {:.1f} % of a product's {:.1f} GF/s\n", queries,
                 rows, width, k, seconds, flop / seconds * 1e-9, 100 * shares.back(), ceiling * 1e-9);
    }
    if (as_json)
      fmt::print("{}\n", nlohmann::json{{"device", compute.name()},
                                        {"built", bench::versions(compute.device())},
                                        {"threads", compute.threads()},
                                        {"bank", rows},
                                        {"queries", queries},
                                        {"width", width},
                                        {"k", k},
                                        {"knn_seconds", times},
                                        {"share_of_flop_ceiling", shares}}
                             .dump());
    return 0;
  });
}
