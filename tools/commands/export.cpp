// simsiam export: the backbone alone, with torchvision's names.

#include "engine/checkpoint.h"
#include "tools/commands/commands.h"
#include "tools/progress.h"

namespace stopgrad::tools {

namespace {

struct ExportOptions {
  std::string checkpoint, out = "backbone.safetensors";
};

/// What a PyTorch user types to load the file.
std::string snippet(const Recipe& r, const std::string& path, int channels) {
  std::string s = fmt::format(
      "import torch, torchvision\n"
      "from safetensors.torch import load_file\n"
      "net = torchvision.models.{}()\n"
      "net.fc = torch.nn.Identity()\n",
      r.backbone);
  if (r.stem == "imagenet") {
    if (channels != 3)
      s += fmt::format("net.conv1 = torch.nn.Conv2d({}, 64, 7, 2, 3, bias=False)\n", channels);
  } else {
    s += fmt::format(
        "net.conv1 = torch.nn.Conv2d({}, 64, 3, {}, 1, bias=False)\nnet.maxpool = torch.nn.Identity()\n",
        channels, r.stem_stride);
  }
  return s + fmt::format("net.load_state_dict(load_file(\"{}\"), strict=True)\nnet.eval()\n", path);
}

int run_export(const ExportOptions& o) {
  const auto model = load_model(o.checkpoint);
  const Recipe& r = model->recipe();
  export_weights(o.out, [&](Visitor& v) { model->method().visit_backbone(v); }, {{"format", "pt"}});
  say("wrote " + o.out);
  fmt::print(stderr, "Images enter as pixels in [0, 1], minus mean [{}], divided by std [{}] per channel.\n",
             fmt::join(r.views.mean, ", "), fmt::join(r.views.std, ", "));
  if (r.backbone.starts_with("resnet")) fmt::print("{}", snippet(r, o.out, model->images().channels));
  else
    fmt::print(stderr, "torchvision has no '{}' network; names and shapes follow its ResNet.\n", r.backbone);
  return 0;
}

}  // namespace

void add_export(CommandLine& program) {
  auto o = std::make_shared<ExportOptions>();
  CommandLine c = program.command("export", "write the backbone as safetensors with torchvision's names",
                                  [o] { return run_export(*o); });
  c.option("checkpoint", &o->checkpoint, "checkpoint of a run", {.required = true});
  c.option("--out", &o->out, "file to write");
  c.footer(
      "Prints the PyTorch lines that load the file with strict=True.\n"
      "Example:\n  simsiam export runs/cifar/checkpoint-009700.safetensors --out resnet18.safetensors");
}

}  // namespace stopgrad::tools
