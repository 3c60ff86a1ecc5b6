#pragma once
// What charts share: colours, dashes and markers by index, the style sheet, the width of text, legends.
#include <string>
#include <string_view>
#include <vector>

#include "tools/view/svg.h"

namespace stopgrad::view {

/// Series i wears style i % styles: a colour, a dash and a marker, so that none is told by colour alone.
/// Any two colours keep an OKLab distance of 0.12 for normal, protan, deutan and tritan eyes (Machado 2009),
/// and a contrast of 3 against the paper, in light and in dark.
inline constexpr size_t styles = 6;

/// The class that gives the elements inside a group the look of style `index`.
std::string style_class(size_t index);

/// Style sheet of every chart: light, and dark where the reader's system is dark.
std::string chart_css();

/// Path of the marker of style `index`, centred at (x, y): circle, square, triangle, diamond, plus, cross.
std::string marker(size_t index, double x, double y, double radius = 3.4);

/// Estimated width in pixels; an upper bound for the usual sans-serif fonts.
double text_width(std::string_view text, double font_size);

/// Font sizes in pixels, as the style sheet has them.
inline constexpr double title_size = 15, text_size = 12;

/// Title at the top left, in as many lines as it takes; returns the y below it.
double draw_title(Svg& svg, std::string_view title, double x, double width);

/// How a legend shows style `index` beside its name: from x on, y is the middle.
enum class Sample { line, solid_line, points, bar };
double sample_width(Sample sample);
void draw_sample(Svg& svg, Sample sample, size_t index, double x, double y);

struct LegendEntry {
  Sample sample;
  size_t index;
  std::string name;
};

/// Entries in columns of equal width, as many as fit into `width`; returns the y below them.
double draw_legend(Svg& svg, const std::vector<LegendEntry>& entries, double x, double y, double width);

/// A bar of style `index` in a rectangle: solid, pale with a rim, or either of them striped.
void draw_bar(Svg& svg, size_t index, double x, double y, double width, double height);

}  // namespace stopgrad::view
