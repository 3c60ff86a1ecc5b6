// The keys of a recipe, in the order of its file.
#include "models/recipe.h"

namespace stopgrad {

namespace {

#define MEMBER(path) [](Recipe& r) -> RecipeValue { return &r.path; }
#define FLOATS(...) [](Recipe& r) -> RecipeValue { return std::vector<float*>{__VA_ARGS__}; }

std::vector<RecipeKey> data_and_view_keys() {
  return {
      {"data.set",
       "fashion_mnist | cifar10:DIR | cifar100:DIR | folder:DIR | "
       "idx:IMAGES,LABELS;TEST_IMAGES,TEST_LABELS | synthetic",
       MEMBER(data)},
      {"data.image_size", "side to which images of a folder are brought; 0: the set's own, 32 for folders",
       MEMBER(image_size)},
      {"data.limit", "use only the first so many training images; 0: all", MEMBER(limit)},
      {"data.max_bad", "damaged images that a folder may hold; they are named and left out", MEMBER(max_bad)},
      {"augment.preset",
       "values that the keys below start from",
       MEMBER(augment),
       {"cifar", "imagenet", "grey"}},
      {"augment.scale", "area of the crop", FLOATS(&r.views.scale_min, &r.views.scale_max)},
      {"augment.ratio", "aspect of the crop, drawn log-uniformly",
       FLOATS(&r.views.ratio_min, &r.views.ratio_max)},
      {"augment.jitter", "probability of colour jitter", MEMBER(views.jitter)},
      {"augment.brightness", "factor from [1 - x, 1 + x]", MEMBER(views.brightness)},
      {"augment.contrast", "factor from [1 - x, 1 + x]", MEMBER(views.contrast)},
      {"augment.saturation", "factor from [1 - x, 1 + x]", MEMBER(views.saturation)},
      {"augment.hue", "shift from [-x, x] of the circle", MEMBER(views.hue)},
      {"augment.grey", "probability of grey", MEMBER(views.grey)},
      {"augment.blur", "probability of Gaussian blur", MEMBER(views.blur)},
      {"augment.blur_sigma", "standard deviation of that blur in pixels, drawn uniformly",
       FLOATS(&r.views.blur_sigma_min, &r.views.blur_sigma_max)},
      {"augment.flip", "probability of a horizontal flip", MEMBER(views.flip)},
      {"augment.mean", "subtracted per channel, of pixels in [0, 1]",
       FLOATS(&r.views.mean[0], &r.views.mean[1], &r.views.mean[2])},
      {"augment.std", "divides what is left, per channel",
       FLOATS(&r.views.std[0], &r.views.std[1], &r.views.std[2])},
  };
}

std::vector<RecipeKey> network_keys() {
  return {
      {"net.backbone",
       "network up to the pooled features; small takes widths and blocks",
       MEMBER(backbone),
       {"small", "resnet18", "resnet34", "resnet50", "mlp"}},
      {"net.stem",
       "3x3 without pooling (cifar), or 7x7/2 and max pool (imagenet)",
       MEMBER(stem),
       {"cifar", "imagenet"}},
      {"net.stem_stride", "stride of the 3x3 stem", MEMBER(stem_stride)},
      {"net.widths", "of small: channels per stage; of mlp: layer widths", MEMBER(widths)},
      {"net.blocks", "of small: blocks per stage", MEMBER(blocks)},
      {"net.conv_init",
       "normal by fan out (torchvision's ResNet) or uniform by fan in (PyTorch's layers)",
       MEMBER(conv_init),
       {"fan_out", "fan_in"}},
      {"net.zero_gamma", "the last batch norm of each block starts at 0", MEMBER(zero_gamma)},
      {"projector.widths", "hidden layers and output d", MEMBER(projector)},
      {"projector.hidden_norm", "batch norm in hidden layers (Table 3)", MEMBER(projector_hidden_norm)},
      {"projector.output_norm", "batch norm at the output (Table 3)", MEMBER(projector_output_norm)},
      {"projector.output_affine", "scale and shift in that batch norm", MEMBER(projector_output_affine)},
      {"projector.output_scale", "a scale there that is kept, only the shift is trained; 0: trained from 1",
       MEMBER(projector_output_scale)},
      {"predictor.kind",
       "Table 1: learned, fixed at its start values, or none",
       MEMBER(predictor),
       {"learned", "fixed", "none"}},
      {"predictor.hidden", "width of the bottleneck; the paper takes d/4", MEMBER(predictor_hidden)},
      {"predictor.hidden_norm", "batch norm in the hidden layer (Table 3)", MEMBER(predictor_hidden_norm)},
      {"predictor.output_norm", "batch norm at the output (Table 3)", MEMBER(predictor_output_norm)},
      {"predictor.fixed_rate", "the predictor's learning rate does not decay (Table 1 c)",
       MEMBER(predictor_fixed_rate)},
  };
}

std::vector<RecipeKey> method_and_training_keys() {
  return {
      {"method.name",
       "byol: the targets come from a moving average of the encoder; simclr: the batch's other images "
       "push apart; moco: a queue of the average's outputs does; swav: targets are clusters of equal size",
       MEMBER(method),
       {"simsiam", "byol", "simclr", "moco", "swav"}},
      {"method.target_momentum",
       "of that average; byol's is this at the first step and rises to 1 at the end of training",
       MEMBER(target_momentum)},
      {"method.temperature",
       "divides the similarities of simclr (published: 0.1, on CIFAR-10 0.5), moco (0.2) and swav (0.1)",
       MEMBER(temperature)},
      {"method.queue", "of moco: how many keys of earlier steps are negatives", MEMBER(queue)},
      {"method.prototypes", "of swav: how many clusters", MEMBER(prototypes)},
      {"method.epsilon", "of swav: the smaller, the sharper the codes", MEMBER(epsilon)},
      {"method.sinkhorn_iterations", "of swav: how often the codes are balanced",
       MEMBER(sinkhorn_iterations)},
      {"method.freeze_prototypes", "of swav: epochs in which the prototypes keep their start values",
       MEMBER(freeze_prototypes)},
      {"method.stop_gradient", "the wall; false removes it", MEMBER(stop_gradient)},
      {"method.similarity",
       "how p and z are compared: section 4.5 of the paper",
       MEMBER(similarity),
       {"cosine", "cross_entropy"}},
      {"method.symmetry",
       "which view predicts which: section 4.6 of the paper",
       MEMBER(symmetry),
       {"symmetric", "asymmetric", "asymmetric_2x"}},
      {"method.views", "views per image of the symmetric loss", MEMBER(view_count)},
      {"method.form",
       "views one after the other, or as groups of one batch; auto: branch on the CPU, batched on CUDA",
       MEMBER(form),
       {"auto", "branch", "batched"}},
      {"train.batch", "images per step", MEMBER(batch)},
      {"train.epochs", "length of the run; 0: train.steps counts", MEMBER(epochs)},
      {"train.steps", "length of the run in steps, when epochs is 0", MEMBER(steps)},
      {"train.base_rate", "learning rate at batch 256; scaled by batch / 256", MEMBER(base_rate)},
      {"train.optimizer",
       "sgd, or lars: a rate per weight by its length and its gradient's, for large batches",
       MEMBER(optimizer),
       {"sgd", "lars"}},
      {"train.trust", "of lars: the rate's step on a weight is this share of the weight's length",
       MEMBER(trust)},
      {"train.momentum", "momentum of the optimizer", MEMBER(momentum)},
      {"train.decay", "weight decay: sgd's on every parameter, lars' not on batch norm's and biases",
       MEMBER(decay)},
      {"train.warmup_epochs",
       "epochs over which the rate climbs from 0; not that of a predictor with fixed_rate",
       MEMBER(warmup_epochs)},
      {"train.schedule", "the cosine moves with every step or epoch", MEMBER(schedule), {"step", "epoch"}},
      {"train.precision",
       "type of activations; auto: bf16 on a CPU that computes it fast, else float32",
       MEMBER(precision),
       {"auto", "float32", "tf32", "bf16", "float64"}},
      {"train.device", "auto (CUDA where there is one), cpu, cuda or cuda:N", MEMBER(device)},
      {"train.graph", "on CUDA the step is replayed as one graph; false: launched anew, for debugging",
       MEMBER(graph)},
      {"train.seed", "seed of the start values, the order of images and the augmentation", MEMBER(seed)},
      {"train.threads", "0: all processors of this process", MEMBER(threads)},
  };
}

std::vector<RecipeKey> monitor_keys() {
  return {
      {"monitor.knn_every", "epochs between kNN evaluations; 0: only at the end", MEMBER(knn_every)},
      {"monitor.knn_k", "how many nearest neighbours vote", MEMBER(knn_k)},
      {"monitor.knn_temperature", "T in the weight of a vote, exp(cosine / T)", MEMBER(knn_temperature)},
      {"monitor.knn_bank", "training images in the bank of the running monitor; 0: all", MEMBER(knn_bank)},
      {"monitor.checkpoint_every", "epochs between checkpoints; 0: only at the end",
       MEMBER(checkpoint_every)},
      {"monitor.checkpoint_seconds",
       "that pass at least between two of them, where epochs are short; 0: any number",
       MEMBER(checkpoint_seconds)},
      {"monitor.keep_checkpoints", "how many of the newest checkpoints are kept", MEMBER(keep_checkpoints)},
      {"monitor.collapse_spread", "alarm when the spread (1 healthy, 0 collapsed) falls below",
       MEMBER(collapse_spread)},
      {"monitor.fail_on_collapse", "the alarm ends the run with exit code 6", MEMBER(fail_on_collapse)},
  };
}

#undef MEMBER
#undef FLOATS

std::vector<RecipeKey> make_keys() {
  std::vector<RecipeKey> out;
  for (const auto& part : {data_and_view_keys(), network_keys(), method_and_training_keys(), monitor_keys()})
    out.insert(out.end(), part.begin(), part.end());
  return out;
}

}  // namespace

const std::vector<RecipeKey>& recipe_keys() {
  static const std::vector<RecipeKey> keys = make_keys();
  return keys;
}

}  // namespace stopgrad
