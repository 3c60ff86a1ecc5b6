#pragma once
// One function per subcommand: adds it to the program's command line.
#include <memory>
#include <string>
#include <vector>

#include "models/model.h"
#include "tools/command_line.h"

namespace stopgrad::tools {

void add_train(CommandLine& program);
void add_eval(CommandLine& program);
void add_demo(CommandLine& program);
void add_features(CommandLine& program);
void add_graph(CommandLine& program);
void add_inspect(CommandLine& program);
void add_export(CommandLine& program);
void add_augment(CommandLine& program);
void add_info(CommandLine& program);

/// Where a recipe comes from: a TOML file or none, then --data, --device, --precision and --set on top.
struct RecipeOptions {
  std::string file, data, device, precision;
  std::vector<std::string> sets;
  void add_to(CommandLine& line);
  /// `without_file`: what stands for the file if there is none.
  Recipe load(const Recipe& without_file = {}) const;
};

/// "1:02:03"
std::string clock_text(double seconds);

}  // namespace stopgrad::tools
