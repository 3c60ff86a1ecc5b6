#pragma once
// One function per subcommand: adds it to the command line; its callback sets the exit code.
#include <memory>
#include <string>
#include <vector>

#include "models/model.h"

namespace CLI {
class App;
}

namespace stopgrad::tools {

void add_train(CLI::App& app, int& exit_code);
void add_eval(CLI::App& app, int& exit_code);
void add_demo(CLI::App& app, int& exit_code);
void add_features(CLI::App& app, int& exit_code);
void add_graph(CLI::App& app, int& exit_code);
void add_inspect(CLI::App& app, int& exit_code);
void add_export(CLI::App& app, int& exit_code);
void add_augment(CLI::App& app, int& exit_code);
void add_info(CLI::App& app, int& exit_code);

/// Where a recipe comes from: a TOML file or none, then --data, --device, --precision and --set on top.
struct RecipeOptions {
  std::string file, data, device, precision;
  std::vector<std::string> sets;
  void add_to(CLI::App& app);
  /// `without_file`: what stands for the file if there is none.
  Recipe load(const Recipe& without_file = {}) const;
};

/// "1:02:03"
std::string clock_text(double seconds);

}  // namespace stopgrad::tools
