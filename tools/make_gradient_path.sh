#!/usr/bin/env bash
# Writes docs/gradient_path.md and its pictures from the tape of one real step. Run after a build in build/release.
set -euo pipefail
cd "$(dirname "$0")/.."
simsiam=build/release/tools/simsiam
recipe=(--data synthetic:64 --set data.image_size=8 augment.preset=cifar net.backbone=mlp net.widths="[32]"
        projector.widths="[16, 16]" predictor.hidden=4 train.batch=16 train.precision=float32)
$simsiam graph "${recipe[@]}" --out docs/gradient_path.svg 2>/dev/null
$simsiam graph "${recipe[@]}" --no-wall --out docs/gradient_path_no_wall.svg 2>/dev/null
{
  cat <<'T'
# The gradient path

One step of SimSiam as the engine recorded it, made by `tools/make_gradient_path.sh` from the real tape: an MLP backbone,
projector and predictor, 16 pairs of views. A filled dot means that a gradient arrived; `|∇|` is its norm.

![one step of SimSiam](gradient_path.svg)

Read it like this. Both views go through the *same* encoder f and predictor h: a parameter is put on the tape where it is first
used, by view 1; view 2 refers to the same entry (`<-` lists what an operation reads), and the gradients of both views add up
there. Each z is used twice: as the input of the predictor, where the gradient may pass, and as the target of the other view,
where `detach` stands. The loss is asked for the gradient of p only: for the target it gets a null pointer. `batch_norm relu` is one
operation that does both in a single pass; the ReLU that ends the backbone is an operation of its own.

T
  echo '```'
  $simsiam graph "${recipe[@]}" 2>/dev/null
  echo '```'
  cat <<'T'

## The wall removed

![the same step without the wall](gradient_path_no_wall.svg)

Now both factors of the cosine may move towards each other, and the shortest way to agree is to say the same for every
image: the loss runs to -1, the spread of z to 0 (`tools/demo.sh` shows it; the paper's figure 2). The number printed as
the loss is the same in both cases: the wall changes the gradient and nothing else. That is also why a forgotten wall
hides so well, and why `tests/test_wall.cpp` tests each property of it on its own.

The plainest trace is in `encoder.fc.4.bias`, the shift of the projector's last batch norm, which moves z of all images alike.
With the wall its |∇| is nothing but rounding. One way to it, through the target, is stopped. The other leads through the predictor,
whose batch norm subtracts the mean of the batch: a shift of all its inputs changes no prediction, so the gradients of its inputs add up
to zero over the batch (`kernels/batch_norm.h` has the formula), and their sum is what would reach the shift. Without the wall its |∇| is
several times that of the scale beside it (#15): a target that can move pulls at the shift, towards one answer for every image.

```
T
  $simsiam graph "${recipe[@]}" --no-wall 2>/dev/null
  echo '```'
  cat <<'T'

## In forty lines

`docs/wall_example.cpp` is the smallest case that can be checked by hand: an encoder and a predictor of one matrix each, and one
direction of the loss, view 1 predicting view 2. Look at #4, the second view's way through the encoder. Behind the wall no
gradient arrives there (○), and the encoder learns from the first view alone; without the wall one does, it is larger than that
of the first view, and the sum in #2 points elsewhere.

```
T
  build/release/tools/wall_example
  cat <<'T'
```

By hand, with F the encoder, H the predictor, and p^ = p/|p|:

```
forward         z1 = x1 F = (1, 1) [1 2; 0 1] = (1, 3)     z2 = x2 F = (1, -1) [1 2; 0 1] = (1, 1)
                p1 = z1 H = (1, 3) [1 0; 1 1] = (4, 3)     |p1| = 5,  |z2| = sqrt 2,  cos = 7 / (5 sqrt 2) = 0.9899 = -loss
of p1 (#6)      dp1 = -(z2^ - cos p1^) / |p1| = (0.0170, -0.0226)
of z1 (#3)      dz1 = dp1 H^T = (0.0170, -0.0057)
of F, view 1    x1^T dz1 = [0.0170 -0.0057; 0.0170 -0.0057]: with the wall this is all
of z2 (#4)      dz2 = -(p1^ - cos z2^) / |z2| = (-0.0707, 0.0707), without the wall only
of F, view 2    x2^T dz2 = [-0.0707 0.0707; 0.0707 -0.0707]: without the wall this is added
```
T
} > docs/gradient_path.md
