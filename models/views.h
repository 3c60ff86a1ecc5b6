#pragma once
// How the views of a batch go through a network.
#include <functional>
#include <vector>

#include "engine/layers.h"

namespace stopgrad {

/// How several views go through one network: one after the other, or together as groups of one batch. The
/// mathematics is the same; statistics of batch norm are per view in both.
enum class ViewForm { branch, batched };

/// What a network makes of a view: its projection z and its prediction p, which is z where nothing predicts.
struct View {
  Var z, p;
};
using ViewNetwork = std::function<View(Pass&, const Var& x)>;

/// views [V, N, H, W, C] through `network`, in either form: one View per view, [N, d] each. The two forms
/// differ in here and nowhere else.
std::vector<View> per_view(Tape& tape, const Tensor& views, ViewForm form, const ViewNetwork& network);

}  // namespace stopgrad
