#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "tools/view/style.h"

using namespace stopgrad::view;

namespace {

using Color = std::array<double, 3>;
using Matrix = std::array<Color, 3>;

Color linear(const std::string& hex) {
  Color out;
  for (size_t i = 0; i < 3; ++i) {
    const double c = std::stoi(hex.substr(1 + 2 * i, 2), nullptr, 16) / 255.0;
    out[i] = c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
  }
  return out;
}
Color multiply(const Matrix& m, const Color& c) {
  Color out{};
  for (size_t i = 0; i < 3; ++i)
    for (size_t k = 0; k < 3; ++k) out[i] += m[i][k] * c[k];
  return out;
}
// Björn Ottosson, "A perceptual color space for image processing", 2020.
Color oklab(const Color& rgb) {
  Color lms = multiply({{{.4122214708, .5363325363, .0514459929},
                         {.2119034982, .6806995451, .1073969566},
                         {.0883024619, .2817188376, .6299787005}}},
                       rgb);
  for (double& x : lms) x = std::cbrt(x);
  return multiply({{{.2104542553, .7936177850, -.0040720468},
                    {1.9779984951, -2.4285922050, .4505937099},
                    {.0259040371, .7827717662, -.8086757660}}},
                  lms);
}
double contrast(const Color& a, const Color& b) {
  const auto y = [](const Color& c) { return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2] + 0.05; };
  return std::max(y(a), y(b)) / std::min(y(a), y(b));
}
// Machado, Oliveira, Fernandes 2009, severity 1: normal, protan, deutan, tritan.
const std::array<Matrix, 4> eyes{{
    {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}},
    {{{.152286, 1.052583, -.204868}, {.114503, .786281, .099216}, {-.003882, -.048116, 1.051998}}},
    {{{.367322, .860646, -.227968}, {.280085, .672501, .047413}, {-.011820, .042940, .968881}}},
    {{{1.255528, -.076749, -.178779}, {-.078411, .930809, .147602}, {.004733, .691367, .303900}}},
}};

}  // namespace

TEST_CASE("colours stay apart for colour-blind eyes, and dashes and markers differ too", "[view]") {
  const std::string css = chart_css();
  const auto after = [&](size_t from, const std::string& key) {
    return css.substr(css.find(key, from) + key.size(), 7);
  };
  for (const size_t theme : {size_t{0}, css.find("@media")}) {
    const Color paper = linear(after(theme, ".paper{fill:"));
    std::vector<Color> colors;
    for (size_t i = 0; i < styles; ++i)
      colors.push_back(linear(after(theme, ".s" + std::to_string(i) + "{color:")));
    for (size_t i = 0; i < styles; ++i) {
      CHECK(contrast(colors[i], paper) >= 3);
      for (size_t k = 0; k < i; ++k)
        for (const Matrix& eye : eyes) {
          Color a = multiply(eye, colors[i]), b = multiply(eye, colors[k]);
          for (Color* c : {&a, &b})
            for (double& x : *c) x = std::clamp(x, 0.0, 1.0);
          const Color p = oklab(a), q = oklab(b);
          CHECK(std::hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]) >= 0.12);
        }
    }
    CHECK(contrast(linear(after(theme, ".muted{fill:")), paper) >= 4.5);
  }
  std::set<std::string> dashes, markers;
  for (size_t i = 0; i < styles; ++i) {
    const size_t begin = css.find(".s" + std::to_string(i) + " .line{");
    dashes.insert(css.substr(begin + 3, css.find('}', begin) - begin - 3));
    markers.insert(marker(i, 0, 0));
  }
  CHECK(dashes.size() == styles);
  CHECK(markers.size() == styles);
}
