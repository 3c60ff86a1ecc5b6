#include "bench/kernels/kept_ceilings.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "kernels/check.h"

namespace stopgrad::bench {

std::optional<Ceilings> read_ceilings(const std::string& path, const std::string& machine) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  try {
    std::ifstream file(path);
    const nlohmann::json kept = nlohmann::json::parse(file);
    const Ceilings ceilings{kept.at("copy_bytes_per_second"), kept.at("matmul_f32_per_second"),
                            kept.at("matmul_bf16_per_second")};
    return kept.at("machine") == machine ? std::optional(ceilings) : std::nullopt;
  } catch (const std::exception& e) {
    fail(Exit::data, "--ceilings {}: not a file that bench_kernels wrote ({}); remove it", path, e.what());
  }
}

void write_ceilings(const std::string& path, const std::string& machine, const Ceilings& ceilings) {
  const std::string part = path + ".part";
  std::ofstream file(part);
  file << nlohmann::json{{"machine", machine},
                         {"copy_bytes_per_second", ceilings.copy},
                         {"matmul_f32_per_second", ceilings.matmul_f32},
                         {"matmul_bf16_per_second", ceilings.matmul_bf16}};
  file.close();
  std::error_code wrong;
  if (file) std::filesystem::rename(part, path, wrong);
  if (!file || wrong) fail(Exit::write, "--ceilings {}: cannot be written", path);
}

}  // namespace stopgrad::bench
