// simsiam export: the backbone alone, with torchvision's names.

#include "engine/checkpoint.h"
#include "models/run_folder.h"
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

/// What the backbone wants to be fed, as metadata: JSON lists per channel, and the size it was trained with.
Metadata input_of(const Model& model) {
  const auto [height, width, channels] = model.images();
  const auto list = [n = static_cast<size_t>(channels)](const auto& values) {
    return fmt::format("[{}]", fmt::join(std::span(values).first(n), ", "));
  };
  const Recipe& r = model.recipe();
  return {{"format", "pt"},
          {"stopgrad.backbone", r.backbone},
          {"stopgrad.image_size", fmt::format("{}x{}x{}", height, width, channels)},
          {"stopgrad.mean", list(r.views.mean)},
          {"stopgrad.std", list(r.views.std)}};
}

int run_export(const ExportOptions& o) {
  const std::string checkpoint = find_checkpoint(o.checkpoint);
  const auto model = load_model(checkpoint);
  const Recipe& r = model->recipe();
  export_weights(
      o.out, [&](Visitor& v) { model->method().visit_backbone(v); }, input_of(*model));
  say(fmt::format("wrote {} from {}", o.out, checkpoint));
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
  c.option("checkpoint", &o->checkpoint, "checkpoint, or the folder of a run: its newest one",
           {.required = true});
  c.option("--out", &o->out, "file to write");
  c.footer(
      "Prints the PyTorch lines that load the file with strict=True. Its metadata hold stopgrad.image_size\n"
      "(HxWxC), stopgrad.mean and stopgrad.std: images enter as (pixel / 255 - mean) / std.\n"
      "Example:\n  simsiam export runs/cifar --out resnet18.safetensors");
}

}  // namespace stopgrad::tools
