#include "engine/graph/svg_parts.h"

#include <algorithm>
#include <cmath>

namespace stopgrad {

std::string escape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (text.compare(i, 2, "->") == 0) {
      out += "→";
      ++i;
    } else if (c == '&') out += "&amp;";
    else if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else out += c;
  }
  return out;
}

std::string px(double x) { return fmt::format("{}", std::round(x * 10) / 10 + 0.0); }

double text_width(const std::string& text, double size) {
  double em = 0;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >> 6 == 2) continue;  // inside a character
    const bool slim = std::string("ijl.,:;'|[]()!/ ft").find(c) != std::string::npos;
    const bool wide = std::string("mwMW").find(c) != std::string::npos;
    em += slim ? 0.3 : wide || byte >= 0x80 ? 0.86 : c >= 'A' && c <= 'Z' ? 0.68 : 0.56;
  }
  return em * size;
}

std::string legend(const GraphPicture& picture, double& y, double width) {
  using Kind = PictureNode::Kind;
  struct Entry {
    double sign_width;
    std::string sign, words;  // the sign's middle is at height 0
  };
  auto line = [](const std::string& css, const std::string& tip, int end) {
    return fmt::format("<path class=\"{}\" d=\"M0,0H{}\" marker-end=\"url(#{})\"/>", css, end, tip);
  };
  auto dot = [](const char* css) {
    return fmt::format("<circle cx=\"5\" cy=\"0\" r=\"4.2\" class=\"{}\"/>", css);
  };
  auto box = [](const char* css, int radius) {
    return fmt::format("<rect class=\"box {}\" y=\"-7\" width=\"26\" height=\"14\" rx=\"{}\"/>", css, radius);
  };
  auto shows = [&](Kind kind) {
    return std::any_of(picture.nodes.begin(), picture.nodes.end(),
                       [&](const PictureNode& n) { return n.kind == kind; });
  };
  std::vector<Entry> entries = {{34, line("forward", "tip", 27), "value"}};
  if (picture.draws_backward) {
    const char* words = picture.measured ? "gradient and its norm |∇|" : "gradient";
    entries.push_back({34, line("backward", "backtip", 27), words});
    entries.push_back({34, line("blocked", "tee", 31), "stopped: no gradient"});
    entries.push_back({10, dot("mark"), "a gradient arrives"});
    entries.push_back({10, dot("nomark"), "none arrives"});
  }
  entries.push_back({28, "<polygon class=\"box wall\" points=\"6,-8 22,-8 28,-2 28,2 22,8 6,8 0,2 0,-2\"/>",
                     "detach: stop-gradient"});
  if (shows(Kind::parameter)) entries.push_back({26, box("parameter", 2), "parameters"});
  if (shows(Kind::constant)) entries.push_back({26, box("constant", 7), "not on the tape"});
  std::string out;
  double x = kSide;
  for (const Entry& e : entries) {
    const double wide = e.sign_width + 8 + text_width(e.words, kText);
    if (x + wide > width - kSide && x > kSide) {
      x = kSide;
      y += 24;
    }
    out += fmt::format("<g transform=\"translate({},{})\">{}<text x=\"{}\" y=\"4\">{}</text></g>\n", px(x),
                       px(y), e.sign, px(e.sign_width + 8), escape(e.words));
    x += wide + 24;
  }
  return out;
}

}  // namespace stopgrad
