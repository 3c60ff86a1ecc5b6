// The program: people with images start here.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <new>

#include "tools/commands/commands.h"
#include "tools/progress.h"

namespace {

using namespace stopgrad;

constexpr const char* kFooter =
    "Exit codes: 0 ok, 1 failed, 2 usage, 3 recipe, 4 data, 5 checkpoint refused, 6 diverged or collapsed,\n"
    "7 out of memory, 8 device fault, 9 cannot write, 130/143/129 after SIGINT/SIGTERM/SIGHUP.";

}  // namespace

int main(int argc, char** argv) {
  // A reader that is gone and a limit on files are errors of the write: a run goes on or ends with its
  // checkpoint.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  CLI::App app("SimSiam (arXiv 2011.10566) on your own images: train, evaluate, see, export.", "simsiam");
  app.require_subcommand(1);
  app.footer(kFooter);
  app.set_version_flag("--version", "simsiam " STOPGRAD_VERSION);
  app.option_defaults()->always_capture_default();
  int exit_code = 0;
  using namespace stopgrad::tools;
  for (auto add : {add_train, add_eval, add_demo, add_features, add_graph, add_inspect, add_export,
                   add_augment, add_info})
    add(app, exit_code);
  try {
    app.parse(argc, argv);
    if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return exit_code;
    say("simsiam: cannot write the output");
    return static_cast<int>(Exit::write);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : static_cast<int>(Exit::usage);
  } catch (const Error& e) {
    say(fmt::format("simsiam: {}", e.what()));
    return static_cast<int>(e.code());
  } catch (const std::bad_alloc&) {
    say("simsiam: out of memory; use a smaller train.batch or data.limit");
    return static_cast<int>(Exit::memory);
  } catch (const std::system_error& e) {
    say(fmt::format("simsiam: {}", e.what()));
    return static_cast<int>(Exit::write);
  } catch (const std::exception& e) {
    say(fmt::format("simsiam: {}", e.what()));
    return static_cast<int>(Exit::failed);
  }
}
