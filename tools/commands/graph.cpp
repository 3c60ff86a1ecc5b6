// simsiam graph: the tape of one real training step, as text or picture; the wall drawn as a wall.

#include "engine/file.h"
#include "engine/graph/view.h"
#include "models/trainer.h"
#include "tools/commands/commands.h"
#include "tools/evaluation.h"
#include "tools/progress.h"

namespace stopgrad::tools {

namespace {

struct GraphCommand {
  RecipeOptions recipe;
  std::string out, format;
  bool no_wall = false, parameters = false, forward_only = false;
  int depth = 1, term = 0;
};

std::string format_of(const GraphCommand& o) {
  if (!o.format.empty()) return o.format;
  const size_t dot = o.out.rfind('.');
  return dot == std::string::npos ? "text" : o.out.substr(dot + 1);
}

std::string render(const Tape& tape, const GraphCommand& o) {
  GraphOptions options{
      .backward = !o.forward_only, .parameters = o.parameters, .collapse_depth = o.depth, .term = o.term};
  options.title =
      o.no_wall ? "SimSiam without the wall" : "SimSiam: where the gradient flows and where it stops";
  const GraphPicture picture = make_picture(tape, options);
  const std::string format = format_of(o);
  if (format == "svg") return to_svg(picture);
  if (format == "dot") return to_dot(picture);
  if (format == "json") return to_json(picture);
  if (format == "text" || format == "txt") return to_text(tape);
  fail(Exit::usage, "--format {}: text, dot, svg and json are possible", format);
}

int run_graph(const GraphCommand& o) {
  Recipe r = o.recipe.load();
  if (o.no_wall) r.stop_gradient = false;
  r.batch = std::min<int64_t>(r.batch, 16);
  const Dataset set = open_split(r, Split::train, {}, std::max<int64_t>(r.batch, 64));
  Model model(r, {set.height, set.width, set.channels});
  Trainer trainer(model, set, nullptr, "");
  Tape tape;
  tape.measure_gradients(true);
  const MethodOutput step = trainer.forward(tape, 0);
  tape.backward(step.loss);
  const std::string text = render(tape, o);
  if (o.out.empty()) {
    fmt::print("{}", text);
  } else {
    write_file(o.out, text);
    say("wrote " + o.out);
  }
  return 0;
}

}  // namespace

void add_graph(CommandLine& program) {
  auto o = std::make_shared<GraphCommand>();
  CommandLine c = program.command("graph", "the tape of one training step: text, DOT, SVG or JSON",
                                  [o] { return run_graph(*o); });
  o->recipe.add_to(c);
  c.option("--out", &o->out, "file; its ending chooses the format. Without one: text on stdout");
  c.option("--format", &o->format, "text, dot, svg or json");
  c.flag("--no-wall", o->no_wall, "with the stop-gradient removed");
  c.flag("--parameters", o->parameters, "show parameters, once, however many views use them");
  c.flag("--forward-only", o->forward_only, "leave out the way of the gradient");
  c.option("--depth", &o->depth, "scopes of this depth become one box; 0: every operation",
           {.least = 0, .most = 9});
  c.option("--term", &o->term, "1 or 2: one direction of the loss only; 0: both", {.least = 0, .most = 12});
  c.footer(
      "Examples:\n  simsiam graph --out graph.svg\n  simsiam graph --no-wall --out no_wall.svg\n  simsiam "
      "graph --depth 0 | less");
}

}  // namespace stopgrad::tools
