// simsiam inspect: what is inside a checkpoint or any safetensors file.
#include <cmath>
#include <cstring>

#include "engine/safetensors.h"
#include "kernels/dtype.h"
#include "models/run_folder.h"
#include "tools/commands/commands.h"

namespace stopgrad::tools {

namespace {

struct InspectOptions {
  std::string file;
  bool names_only = false, metadata = false;
};

struct ValueSummary {
  double min = INFINITY, max = -INFINITY, sum = 0, squares = 0;
  int64_t count = 0, not_finite = 0;
  void add(double x) {
    ++count;
    if (!std::isfinite(x)) return void(++not_finite);
    min = std::min(min, x);
    max = std::max(max, x);
    sum += x;
    squares += x * x;
  }
};

template <class T>
ValueSummary summarise(std::span<const std::byte> bytes) {
  ValueSummary s;
  for (size_t i = 0; i + sizeof(T) <= bytes.size(); i += sizeof(T)) {
    T value;
    std::memcpy(&value, bytes.data() + i, sizeof value);
    if constexpr (std::is_same_v<T, bf16>) s.add(static_cast<float>(value));
    else s.add(static_cast<double>(value));
  }
  return s;
}

/// Names that a shell would take as one word stay as they are; others are quoted.
std::string plain(const std::string& name) {
  const bool simple =
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/") ==
      std::string::npos;
  return simple && !name.empty() && name.size() <= 80 ? name : quoted_ascii(name);
}

std::string values_text(const SafetensorsFile& file, const TensorInfo& t) {
  ValueSummary s;
  const auto bytes = file.bytes(t);
  if (t.dtype == "F32") s = summarise<float>(bytes);
  else if (t.dtype == "F64") s = summarise<double>(bytes);
  else if (t.dtype == "BF16") s = summarise<bf16>(bytes);
  else if (t.dtype == "I64") s = summarise<int64_t>(bytes);
  else if (t.dtype == "I32") s = summarise<int32_t>(bytes);
  else if (t.dtype == "U8") s = summarise<uint8_t>(bytes);
  else return {};
  if (s.count == 0) return "empty";
  const double n = static_cast<double>(s.count - s.not_finite);
  const double mean = s.sum / n, std = std::sqrt(std::max(0.0, s.squares / n - mean * mean));
  std::string out =
      n > 0 ? fmt::format("min {:.4g}  mean {:.4g}  std {:.4g}  max {:.4g}", s.min, mean, std, s.max) : "";
  return s.not_finite ? fmt::format("{}  NOT FINITE: {}", out, s.not_finite) : out;
}

int run_inspect(const InspectOptions& o) {
  const SafetensorsFile file = SafetensorsFile::open(find_checkpoint(o.file));
  for (const auto& [key, value] : file.metadata()) {
    if (key == "stopgrad.recipe" && o.metadata) fmt::print("{}:\n{}", key, value);
    else fmt::print("{} = {}\n", plain(key), plain(value));
  }
  int64_t elements = 0;
  for (const TensorInfo& t : file.tensors()) {
    int64_t count = 1;
    for (int64_t d : t.shape) count *= d;
    elements += count;
    const std::string line = fmt::format("{:<52} {:<5} {:<18}", plain(t.name), t.dtype,
                                         fmt::format("[{}]", fmt::join(t.shape, ",")));
    fmt::print("{} {}\n", line, o.names_only ? "" : values_text(file, t));
  }
  fmt::print("{} tensors, {} elements\n", file.tensors().size(), elements);
  return 0;
}

}  // namespace

void add_inspect(CommandLine& program) {
  auto o = std::make_shared<InspectOptions>();
  CommandLine c = program.command("inspect", "list what a checkpoint or safetensors file holds",
                                  [o] { return run_inspect(*o); });
  c.option("file", &o->file, "any safetensors file, or the folder of a run: its newest checkpoint",
           {.required = true});
  c.flag("--names", o->names_only, "names, types and shapes only");
  c.flag("--recipe", o->metadata, "print the recipe in full");
}

}  // namespace stopgrad::tools
