#include "tools/curves.h"

#include <fstream>
#include <nlohmann/json.hpp>

namespace stopgrad::tools {

void Curves::add(const StepReport& r) {
  const auto at = static_cast<double>(r.step + 1);
  step.push_back(at);
  loss.push_back(r.loss);
  spread.push_back(r.spread);
  if (!r.rank) return;
  rank_step.push_back(at);
  rank.push_back(*r.rank);
}

Curves read_curves(const std::string& metrics, const std::string& name) {
  Curves out{.name = name};
  std::ifstream in(metrics);
  ENSURE(in.good(), "{}: cannot be read", metrics);
  for (std::string text; std::getline(in, text);) {
    const auto line = nlohmann::json::parse(text, nullptr, false);
    const auto number = [&](const char* key) {
      const auto found = line.find(key);
      return found != line.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
    };
    if (!line.is_object() || !number("step")) continue;
    if (const auto loss = number("loss"), spread = number("spread"); loss && spread) {
      out.add({.step = static_cast<int64_t>(*number("step")),
               .loss = *loss,
               .spread = *spread,
               .rank = number("rank")});
    } else if (const auto knn = number("knn")) {
      out.knn_step.push_back(*number("step") + 1);
      out.knn.push_back(*knn);
    }
  }
  return out;
}

void add_curves(view::Page& page, const Recipe& recipe, const std::vector<const Curves*>& runs) {
  using Values = std::vector<double> Curves::*;
  const auto figure = [&](const char* title, Values x, Values y, std::vector<view::ReferenceLine> lines,
                          const char* caption) {
    view::Chart chart;
    chart.title = title;
    chart.x_label = "step";
    for (const Curves* run : runs) chart.series.push_back({run->name, run->*x, run->*y});
    chart.lines = std::move(lines);
    page.figure(view::to_svg(chart), caption);
  };
  const bool cosines =
      recipe.similarity == "cosine" && (recipe.method == "simsiam" || recipe.method == "byol");
  if (cosines)
    figure("Loss", &Curves::step, &Curves::loss, {{"least possible", -1}},
           "Without the wall the loss runs towards -1: all images get the same representation.");
  else figure("Loss", &Curves::step, &Curves::loss, {}, "Cross entropy of the targets and the predictions.");
  figure("Spread", &Curves::step, &Curves::spread, {{"healthy", 1}},
         "sqrt(d) times the mean standard deviation of the channels of z/|z|: 1 healthy, 0 collapsed.");
  figure("Effective rank", &Curves::rank_step, &Curves::rank, {},
         "How many directions carry something. A collapse onto few directions shows here even when the "
         "spread does not.");
  if (std::all_of(runs.begin(), runs.end(), [](const Curves* run) { return run->knn.empty(); })) return;
  figure("kNN accuracy, per cent", &Curves::knn_step, &Curves::knn, {},
         "Of test images by their nearest training images, on frozen features.");
}

}  // namespace stopgrad::tools
