// simsiam info: this build, this machine, the defaults.

#include "kernels/cpu_features.h"
#include "models/compute.h"
#include "tools/commands/commands.h"

namespace stopgrad::tools {

namespace {

struct InfoOptions {
  bool recipe = false;
};

int run_info(const InfoOptions& o) {
  if (o.recipe) {
    fmt::print("{}", to_toml(Recipe{}));
    return 0;
  }
  const cpu::Context context;
  fmt::print("simsiam {} ({}, built with {} {})\n", STOPGRAD_VERSION, STOPGRAD_COMMIT, STOPGRAD_COMPILER,
             __VERSION__);
  fmt::print("cpu: {} threads\n{}", context.threads(), list_devices());
  fmt::print("bf16 training: {}\n",
             cpu::bf16_is_fast_here() ? "fast here (AVX512_BF16 or AMX)" : "not faster here");
  return 0;
}

}  // namespace

void add_info(CommandLine& program) {
  auto o = std::make_shared<InfoOptions>();
  CommandLine c =
      program.command("info", "this build, its devices and versions", [o] { return run_info(*o); });
  c.flag("--recipe", o->recipe, "print the default recipe, every key with its meaning");
}

}  // namespace stopgrad::tools
