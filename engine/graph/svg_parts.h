#pragma once
// What the drawing and its legend share.
#include <string>

#include "engine/graph/view.h"

namespace stopgrad {

inline constexpr double kName = 13.5, kText = 11;  // font sizes, as in the style sheet
inline constexpr double kSide = 28;                // margin of title and legend

/// For text between tags; `clean_utf8` text stays well formed. Details of operations get a proper arrow.
std::string escape(const std::string& text);
/// Tenths of a pixel, without "-0".
std::string px(double x);
/// In a sans-serif font, a little generous: the reader's font is not known.
double text_width(const std::string& text, double size);
/// Says what every sign means; `y` moves to its last row.
std::string legend(const GraphPicture& picture, double& y, double width);

}  // namespace stopgrad
