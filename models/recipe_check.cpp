// From a recipe to the things it describes, and what cannot be.
#include "models/recipe.h"

namespace stopgrad {

namespace {

void require(bool good, const char* key, const std::string& value, const char* what) {
  if (!good) fail(Exit::config, "{} = {}: {}", key, value, what);
}

template <class T>
void in_range(const char* key, T value, T low, T high) {
  if (!(value >= low && value <= high))
    fail(Exit::config, "{} = {}: must lie in [{}, {}]", key, value, low, high);
}

std::vector<int> ints(const std::vector<int64_t>& values) { return {values.begin(), values.end()}; }

void check_widths(const char* key, const std::vector<int64_t>& widths) {
  require(!widths.empty(), key, "[]", "at least one width is needed");
  for (int64_t w : widths) in_range<int64_t>(key, w, 1, 65536);
}

void check_views(const Recipe& r) {
  const AugmentRecipe& v = r.views;
  for (auto [key, p] : {std::pair{"augment.jitter", v.jitter},
                        {"augment.grey", v.grey},
                        {"augment.blur", v.blur},
                        {"augment.flip", v.flip}})
    in_range(key, p, 0.0f, 1.0f);
  in_range("augment.hue", v.hue, 0.0f, 0.5f);
  for (auto [key, x] : {std::pair{"augment.brightness", v.brightness},
                        {"augment.contrast", v.contrast},
                        {"augment.saturation", v.saturation}})
    in_range(key, x, 0.0f, 1.0f);
  if (!(0 < v.scale_min && v.scale_min <= v.scale_max && v.scale_max <= 1))
    fail(Exit::config, "augment.scale = [{}, {}]: 0 < min <= max <= 1 is needed", v.scale_min, v.scale_max);
  if (!(0.001f <= v.ratio_min && v.ratio_min <= v.ratio_max && v.ratio_max <= 1000))
    fail(Exit::config, "augment.ratio = [{}, {}]: 0.001 <= min <= max <= 1000 is needed", v.ratio_min,
         v.ratio_max);
  if (!(0 < v.blur_sigma_min && v.blur_sigma_min <= v.blur_sigma_max && v.blur_sigma_max <= 100))
    fail(Exit::config, "augment.blur_sigma = [{}, {}]: 0 < min <= max <= 100 is needed", v.blur_sigma_min,
         v.blur_sigma_max);
  for (float s : v.std) require(s > 0, "augment.std", fmt::format("{}", s), "must be positive");
}

void check_method(const Recipe& r) {
  require(r.method == "simsiam" || r.method == "simclr" || r.stop_gradient, "method.stop_gradient", "false",
          "the targets of byol, moco and swav get no gradient; only simsiam and simclr run without the wall");
  in_range("method.target_momentum", r.target_momentum, 0.0, 1.0);
  in_range("method.temperature", r.temperature, 1e-3, 1e3);
  in_range<int64_t>("method.queue", r.queue, 1, 1 << 20);
  in_range<int64_t>("method.views", r.view_count, 2, 4);
  in_range<int64_t>("method.prototypes", r.prototypes, 2, 65536);
  in_range("method.epsilon", r.epsilon, 0.001, 10.0);
  in_range<int64_t>("method.sinkhorn_iterations", r.sinkhorn_iterations, 1, 100);
  in_range<int64_t>("method.freeze_prototypes", r.freeze_prototypes, 0, 1000000);
  const auto for_it = [&](bool good, const char* key, const std::string& value, const char* what) {
    require(good, key, value, fmt::format("{} {}", r.method, what).c_str());
  };
  if (r.method == "swav") {
    for_it(r.predictor == "none", "predictor.kind", r.predictor, "has no predictor; choose none");
    for_it(r.symmetry == "symmetric", "method.symmetry", r.symmetry, "swaps all views; choose symmetric");
    for_it(r.similarity == "cosine", "method.similarity", r.similarity,
           "compares codes by their cross entropy in any case; leave cosine");
  }
  if (r.method != "simclr" && r.method != "moco") return;
  for_it(r.similarity == "cosine", "method.similarity", r.similarity,
         "compares by the cosine; choose cosine");
  for_it(r.view_count == 2, "method.views", fmt::format("{}", r.view_count), "takes two views; choose 2");
  if (r.method == "simclr") {
    for_it(r.symmetry == "symmetric", "method.symmetry", r.symmetry,
           "compares both views with all rows; choose symmetric");
    for_it(r.predictor != "none" || !r.stop_gradient, "method.stop_gradient", "true",
           "without a predictor has a gradient on both sides; set method.stop_gradient = false");
    return;
  }
  for_it(r.symmetry != "asymmetric_2x", "method.symmetry", r.symmetry,
         "takes two views; choose symmetric or asymmetric");
  for_it(r.predictor == "none", "predictor.kind", r.predictor, "has no predictor; choose none");
  const int64_t keys = r.batch * (r.symmetry == "symmetric" ? 2 : 1);
  for_it(r.queue % keys == 0, "method.queue", fmt::format("{}", r.queue),
         fmt::format("puts {} keys in it per step; choose a multiple of that", keys).c_str());
}

}  // namespace

void check_recipe(const Recipe& r) {
  in_range<int64_t>("data.image_size", r.image_size, 0, 4096);
  in_range<int64_t>("data.limit", r.limit, 0, int64_t{1} << 40);
  in_range<int64_t>("data.max_bad", r.max_bad, 0, int64_t{1} << 40);
  check_views(r);
  in_range<int64_t>("net.stem_stride", r.stem_stride, 1, 4);
  check_widths("net.widths", r.widths);
  if (r.backbone == "small") {
    require(r.widths.size() == r.blocks.size(), "net.blocks", fmt::format("[{}]", fmt::join(r.blocks, ", ")),
            "one number per width of net.widths is needed");
    for (int64_t b : r.blocks) in_range<int64_t>("net.blocks", b, 1, 100);
  }
  check_widths("projector.widths", r.projector);
  in_range("projector.output_scale", r.projector_output_scale, 0.0, 1000.0);
  require(r.projector_output_scale == 0 || (r.projector_output_norm && r.projector_output_affine),
          "projector.output_scale", fmt::format("{}", r.projector_output_scale),
          "needs projector.output_norm and projector.output_affine");
  require(!needs_float32(r) || (r.precision != "bf16" && r.precision != "tf32"), "train.precision",
          r.precision,
          "choose float32: with projector.output_scale the rounding of shorter types moves the shift");
  in_range<int64_t>("predictor.hidden", r.predictor_hidden, 1, 65536);
  check_method(r);
  in_range<int64_t>("train.batch", r.batch, 2, 65536);
  in_range<int64_t>("train.epochs", r.epochs, 0, 1000000);
  require(r.epochs > 0 || r.steps > 0, "train.steps", fmt::format("{}", r.steps),
          "epochs or steps must be positive");
  in_range("train.base_rate", r.base_rate, 0.0, 1000.0);
  in_range("train.momentum", r.momentum, 0.0, 0.9999);
  in_range("train.decay", r.decay, 0.0, 1.0);
  in_range("train.trust", r.trust, 1e-6, 1.0);
  in_range("train.warmup_epochs", r.warmup_epochs, 0.0, 100000.0);
  in_range<int64_t>("train.seed", r.seed, 0, INT64_MAX);
  require(r.device == "auto" || r.device == "cpu" || r.device.starts_with("cuda"), "train.device", r.device,
          "choose auto, cpu, cuda or cuda:N");
  in_range<int64_t>("train.threads", r.threads, 0, 1024);
  in_range<int64_t>("monitor.knn_k", r.knn_k, 1, 100000);
  in_range("monitor.knn_temperature", r.knn_temperature, 1e-3, 1e3);
  in_range<int64_t>("monitor.keep_checkpoints", r.keep_checkpoints, 1, 1000000);
  in_range<int64_t>("monitor.checkpoint_every", r.checkpoint_every, 0, 1000000);
  in_range("monitor.checkpoint_seconds", r.checkpoint_seconds, 0.0, 1e9);
  in_range<int64_t>("monitor.knn_every", r.knn_every, 0, 1000000);
  in_range<int64_t>("monitor.knn_bank", r.knn_bank, 0, int64_t{1} << 40);
}

bool needs_float32(const Recipe& r) { return r.projector_output_scale > 0; }

SimSiamConfig simsiam_config(const Recipe& r, int height, int width, int channels) {
  SimSiamConfig c;
  if (r.backbone == "mlp") {
    c.encoder.mlp_backbone = true;
    c.encoder.mlp_widths = ints(r.widths);
    c.encoder.mlp_widths.insert(c.encoder.mlp_widths.begin(), height * width * channels);
  } else if (r.backbone == "small") {
    c.encoder.resnet.widths = ints(r.widths);
    c.encoder.resnet.blocks = ints(r.blocks);
    c.encoder.resnet.imagenet_stem = r.stem == "imagenet";
  } else {
    c.encoder.resnet = resnet_config(r.backbone, r.stem == "imagenet");
  }
  c.encoder.resnet.stem_stride = static_cast<int>(r.stem_stride);
  c.encoder.resnet.in_channels = channels;
  c.encoder.resnet.conv_init = r.conv_init == "fan_in" ? ConvInit::fan_in : ConvInit::fan_out;
  c.encoder.resnet.zero_gamma = r.zero_gamma;
  c.encoder.projector = ints(r.projector);
  c.encoder.hidden_norm = r.projector_hidden_norm;
  c.encoder.output_norm = r.projector_output_norm;
  c.encoder.output_affine = r.projector_output_affine;
  c.encoder.output_scale = r.projector_output_scale;
  using P = SimSiamConfig::Predictor;
  c.predictor = r.predictor == "none" ? P::none : r.predictor == "fixed" ? P::fixed : P::learned;
  c.predictor_hidden = static_cast<int>(r.predictor_hidden);
  c.predictor_hidden_norm = r.predictor_hidden_norm;
  c.predictor_output_norm = r.predictor_output_norm;
  c.predictor_fixed_rate = r.predictor_fixed_rate;
  c.stop_gradient = r.stop_gradient;
  using S = SimSiamConfig::Similarity;
  c.similarity = r.similarity == "cosine" ? S::cosine : S::cross_entropy;
  using Y = SimSiamConfig::Symmetry;
  c.symmetry = r.symmetry == "symmetric"    ? Y::symmetric
               : r.symmetry == "asymmetric" ? Y::asymmetric
                                            : Y::asymmetric_2x;
  c.views = static_cast<int>(r.view_count);
  c.form = r.form == "batched" ? ViewForm::batched : ViewForm::branch;
  return c;
}

SwavConfig swav_config(const Recipe& r) {
  return {.prototypes = static_cast<int>(r.prototypes),
          .epsilon = r.epsilon,
          .temperature = r.temperature,
          .sinkhorn_iterations = static_cast<int>(r.sinkhorn_iterations),
          .freeze_epochs = r.freeze_prototypes};
}

DType activation_type(const Recipe& r) {
  return r.precision == "bf16" ? DType::bf16 : r.precision == "float64" ? DType::f64 : DType::f32;
}

}  // namespace stopgrad
