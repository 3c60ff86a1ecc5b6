// The program: people with images start here.
#include <csignal>

#include "tools/commands/commands.h"

int main(int argc, char** argv) {
  // A reader that is gone and a limit on files are errors of the write: a run goes on or ends with its
  // checkpoint.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  using namespace stopgrad::tools;
  CommandLine program("SimSiam (arXiv 2011.10566) on your own images: train, evaluate, see, export.",
                      "simsiam");
  program.version("simsiam " STOPGRAD_VERSION);
  program.footer(
      "Exit codes: 0 ok, 1 failed, 2 usage, 3 recipe, 4 data, 5 checkpoint refused, 6 diverged or "
      "collapsed,\n"
      "7 out of memory, 8 device fault, 9 cannot write, 130/143/129 after SIGINT/SIGTERM/SIGHUP.");
  for (auto add : {add_train, add_eval, add_demo, add_features, add_graph, add_inspect, add_export,
                   add_augment, add_info})
    add(program);
  return program.run(argc, argv);
}
