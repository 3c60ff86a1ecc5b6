#pragma once
// What a run looked like while it was under way, as charts.
#include <string>
#include <vector>

#include "models/trainer.h"
#include "tools/view/page.h"

namespace stopgrad::tools {

/// One run: a value per step, the rank and kNN (per cent) where they were measured. Steps are counted from 1.
struct Curves {
  std::string name;
  std::vector<double> step, loss, spread, rank_step, rank, knn_step, knn;

  void add(const StepReport& report);
};

/// The curves in a run's metrics.jsonl, those of the parts before a break too. Lines that are damaged are
/// left out; Error(Exit::failed) if the file cannot be read.
Curves read_curves(const std::string& metrics, const std::string& name);

/// Loss, spread, rank and, where it was measured, kNN, each of all runs of a recipe in one chart.
void add_curves(view::Page& page, const Recipe& recipe, const std::vector<const Curves*>& runs);

}  // namespace stopgrad::tools
