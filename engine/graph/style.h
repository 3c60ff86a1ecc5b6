#pragma once
// The look of the picture: one style sheet, light and dark. Every rule is bound to the class of the root, so
// that pictures can stand inside a page of HTML.

namespace stopgrad {

// Colours are GitHub's Primer, which keeps its contrasts in both schemes.
inline constexpr const char* kGraphStyle = R"(
  .gradient-path text { font-family: "Helvetica Neue", Helvetica, Arial, sans-serif; font-size: 11px; fill: #59636e; }
  .gradient-path .page { fill: #ffffff; }
  .gradient-path .head { font-size: 19px; font-weight: 600; fill: #1f2328; }
  .gradient-path .sub { font-size: 12.5px; }
  .gradient-path .panel { fill: #f6f8fa; stroke: #d1d9e0; }
  .gradient-path .view { font-size: 12.5px; font-weight: 600; }
  .gradient-path .box { fill: #ffffff; stroke: #59636e; stroke-width: 1.25; }
  .gradient-path .name { font-size: 13.5px; font-weight: 600; fill: #1f2328; }
  .gradient-path .loss { stroke: #1f2328; stroke-width: 2; }
  .gradient-path .parameter { fill: #fff8e6; stroke: #9a6700; }
  .gradient-path .constant { stroke-dasharray: 2 3; }
  .gradient-path .wall { fill: #fff1f0; stroke: #cf222e; stroke-width: 2.5; }
  .gradient-path .wallname { fill: #a40e26; }
  .gradient-path .forward { fill: none; stroke: #818b98; stroke-width: 1.6; }
  .gradient-path .backward { fill: none; stroke: #0969da; stroke-width: 1.9; }
  .gradient-path .blocked { fill: none; stroke: #cf222e; stroke-width: 1.9; stroke-dasharray: 6 4; }
  .gradient-path .tip { fill: #818b98; }
  .gradient-path .backtip { fill: #0969da; }
  .gradient-path .mark { fill: #0969da; stroke: #0969da; stroke-width: 1.5; }
  .gradient-path .nomark { fill: none; stroke: #818b98; stroke-width: 1.5; }
  .gradient-path .tee { fill: none; stroke: #cf222e; stroke-width: 2.6; }
  .gradient-path .halo { stroke: #ffffff; stroke-width: 4; stroke-linejoin: round; paint-order: stroke; }
  .gradient-path .inpanel { stroke: #f6f8fa; }
  .gradient-path .norm { fill: #0550ae; }
  .gradient-path .none { fill: #a40e26; }
  @media (prefers-color-scheme: dark) {
    .gradient-path text { fill: #9198a1; }
    .gradient-path .page { fill: #0d1117; }
    .gradient-path .head { fill: #f0f6fc; }
    .gradient-path .name { fill: #f0f6fc; }
    .gradient-path .panel { fill: #151b23; stroke: #3d444d; }
    .gradient-path .box { fill: #0d1117; stroke: #9198a1; }
    .gradient-path .loss { stroke: #f0f6fc; }
    .gradient-path .parameter { fill: #272115; stroke: #d29922; }
    .gradient-path .wall { fill: #2d1517; stroke: #f85149; }
    .gradient-path .wallname { fill: #ff7b72; }
    .gradient-path .backward { stroke: #4493f8; }
    .gradient-path .backtip { fill: #4493f8; }
    .gradient-path .mark { fill: #4493f8; stroke: #4493f8; }
    .gradient-path .blocked { stroke: #f85149; }
    .gradient-path .tee { stroke: #f85149; }
    .gradient-path .halo { stroke: #0d1117; }
    .gradient-path .inpanel { stroke: #151b23; }
    .gradient-path .norm { fill: #79c0ff; }
    .gradient-path .none { fill: #ff7b72; }
  }
)";

/// Ends of lines: two arrows and the tee of what is stopped.
inline constexpr const char* kGraphTips = R"(
  <marker id="tip" viewBox="0 0 8 8" refX="1" refY="4" markerWidth="8" markerHeight="8"
          markerUnits="userSpaceOnUse" orient="auto"><path class="tip" d="M0,0.4L8,4L0,7.6z"/></marker>
  <marker id="backtip" viewBox="0 0 8 8" refX="1" refY="4" markerWidth="8" markerHeight="8"
          markerUnits="userSpaceOnUse" orient="auto"><path class="backtip" d="M0,0.4L8,4L0,7.6z"/></marker>
  <marker id="tee" viewBox="0 0 6 18" refX="3" refY="9" markerWidth="6" markerHeight="18"
          markerUnits="userSpaceOnUse" orient="auto"><path class="tee" d="M3,1V17"/></marker>
)";

}  // namespace stopgrad
