#include "tools/view/page.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "kernels/check.h"
#include "tools/view/style.h"
#include "tools/view/svg.h"

namespace stopgrad::view {
namespace {

constexpr std::string_view page_css =
    ":root{color-scheme:light "
    "dark;--back:#f4f5f7;--paper:#ffffff;--ink:#1b2027;--muted:#5b6470;--rule:#e1e4e8;"
    "--stripe:#f8f9fa}"
    "@media (prefers-color-scheme:dark){:root{--back:#0d0f12;--paper:#16191d;--ink:#e8eaed;--muted:#9aa4b0;"
    "--rule:#2a2f36;--stripe:#1b1f24}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--back);color:var(--ink);font:16px/1.55 system-ui,-apple-system,'Segoe "
    "UI',Roboto,"
    "'Helvetica Neue',Arial,sans-serif;-webkit-text-size-adjust:100%}"
    "main{max-width:1208px;margin:0 auto;padding:40px 20px 64px;display:grid;gap:20px;"
    "grid-template-columns:repeat(auto-fit,minmax(min(100%,500px),1fr))}"
    "main>*{grid-column:1/-1;margin:0;min-width:0}"
    "h1{font-size:30px;line-height:1.2;letter-spacing:-.015em;text-wrap:balance}"
    "h2{font-size:20px;line-height:1.3;letter-spacing:-.005em;padding-top:20px}"
    "p{max-width:70ch;overflow-wrap:anywhere}"
    "figure{grid-column:auto;display:flex;flex-direction:column;background:var(--paper);border:1px solid "
    "var(--rule);"
    "border-radius:10px;padding:6px 6px 14px;break-inside:avoid}"
    "figure.wide{grid-column:1/-1}"
    ".plot{overflow-x:auto}"
    ".plot svg,.plot img{display:block;max-width:100%;height:auto}.plot img{margin:10px 14px "
    "0;max-width:calc(100% - 28px)}"
    ".plot img{border-radius:4px}.pixels{image-rendering:pixelated}"
    "figcaption{color:var(--muted);font-size:14px;line-height:1.45;padding:6px 14px 0}"
    "details{font-size:14px;padding:8px 14px 0;margin-top:auto}"
    "summary{cursor:pointer;color:var(--muted);width:max-content}"
    "summary:hover,summary:focus-visible{color:var(--ink)}"
    ".table{overflow:auto;max-height:420px;margin-top:8px}"
    "main>.table{max-height:none;background:var(--paper);border:1px solid "
    "var(--rule);border-radius:10px;margin-top:0;width:fit-content;max-width:100%}"
    "table{border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums;}"
    "th,td{padding:6px 14px;text-align:left;white-space:nowrap;border-bottom:1px solid var(--rule)}"
    "th{position:sticky;top:0;background:var(--paper);font-weight:600}"
    "tr:nth-child(even) td{background:var(--stripe)}tr:last-child td{border-bottom:0}"
    ".number{text-align:right}"
    "@media (max-width:560px){main{padding:24px 12px 40px;gap:14px}h1{font-size:25px}"
    "figure,main>.table{margin:0 -12px;border-radius:0;border-left:0;border-right:0;padding:4px 0 "
    "12px;width:auto;max-width:none}"
    ".plot "
    "svg.chart{min-width:340px}th,td{padding:6px "
    "10px}}"
    "@media print{body{background:none}main{display:block}figure{margin-bottom:20px}}";

bool is_number(const std::string& cell) {
  return cell.empty() || cell == "nan" || cell == "-nan" || cell == "inf" || cell == "-inf" ||
         (cell.find_first_of("0123456789") != std::string::npos &&
          cell.find_first_not_of("0123456789.,+-−±e% ") == std::string::npos);
}

std::string table_html(const std::vector<std::string>& header,
                       const std::vector<std::vector<std::string>>& rows) {
  std::vector<const char*> open(header.size());
  std::string out = "<div class=\"table\" tabindex=\"0\"><table>\n<thead><tr>";
  for (size_t c = 0; c < header.size(); ++c) {
    const bool numbers = std::all_of(rows.begin(), rows.end(), [c](auto& row) { return is_number(row[c]); });
    open[c] = numbers && !rows.empty() ? " class=\"number\"" : "";
    out += fmt::format("<th scope=\"col\"{}>{}</th>", open[c], escape(header[c]));
  }
  out += "</tr></thead>\n<tbody>\n";
  for (const auto& row : rows) {
    out += "<tr>";
    for (size_t c = 0; c < row.size(); ++c) out += fmt::format("<td{}>{}</td>", open[c], escape(row[c]));
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

void check_rows(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) {
  for (size_t r = 0; r < rows.size(); ++r)
    ENSURE(rows[r].size() == header.size(), "page: row {} of a table has {} cells under {} headings", r,
           rows[r].size(), header.size());
}

std::string caption_html(std::string_view caption) {
  return caption.empty() ? "" : fmt::format("<figcaption>{}</figcaption>\n", escape(caption));
}

uint32_t big_endian(std::span<const uint8_t> bytes) {
  return uint32_t(bytes[0]) << 24 | uint32_t(bytes[1]) << 16 | uint32_t(bytes[2]) << 8 | bytes[3];
}

}  // namespace

Page::Page(std::string_view title) : title_(title) {}

void Page::heading(std::string_view text) { body_ += fmt::format("<h2>{}</h2>\n", escape(text)); }
void Page::paragraph(std::string_view text) { body_ += fmt::format("<p>{}</p>\n", escape(text)); }

void Page::table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows) {
  check_rows(header, rows);
  body_ += table_html(header, rows);
}

void Page::figure(std::string_view svg, std::string_view caption, const Table& values) {
  check_rows(values.header, values.rows);
  // The page carries the style sheet once for all charts.
  const std::string style = fmt::format("<style>{}</style>\n", chart_css());
  std::string picture(svg);
  if (const size_t at = picture.find(style); at != std::string::npos) picture.erase(at, style.size());
  body_ += fmt::format("<figure>\n<div class=\"plot\">{}</div>\n{}", picture, caption_html(caption));
  if (!values.rows.empty()) {
    body_ += "<details><summary>Values</summary>\n" + table_html(values.header, values.rows);
    if (!values.note.empty()) body_ += fmt::format("<div>{}</div>\n", escape(values.note));
    body_ += "</details>\n";
  }
  body_ += "</figure>\n";
}

void Page::image(std::span<const uint8_t> png, std::string_view caption, std::string_view alt) {
  constexpr std::array<uint8_t, 8> signature{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  ENSURE(png.size() >= 24 && std::equal(signature.begin(), signature.end(), png.begin()),
         "page: image '{}': {} bytes that are no PNG", alt, png.size());
  const uint32_t width = big_endian(png.subspan(16)), height = big_endian(png.subspan(20));
  ENSURE(width > 0 && height > 0, "page: image '{}': a PNG of {} x {} pixels", alt, width, height);
  constexpr uint32_t column = 540;  // what one figure of two side by side has for its picture
  const uint32_t scale = std::clamp(column / width, 1u, 4u);
  body_ += fmt::format(
      "<figure{}>\n<div class=\"plot\"><img{} width=\"{}\" height=\"{}\" alt=\"{}\" "
      "src=\"data:image/png;base64,{}\"/></div>\n{}</figure>\n",
      width > column ? " class=\"wide\"" : "", scale > 1 ? " class=\"pixels\"" : "", uint64_t(width) * scale,
      uint64_t(height) * scale, escape(alt), base64(png), caption_html(caption));
}

void Page::data(std::string_view json, std::string_view id) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  ENSURE(!id.empty() && std::all_of(id.begin(), id.end(), allowed),
         "page: data id '{}': letters, digits, '-' and '_' only", id);
  ENSURE(std::find(ids_.begin(), ids_.end(), id) == ids_.end(), "page: data id '{}' is taken", id);
  ENSURE(nlohmann::json::accept(json), "page: data '{}' is not JSON (NaN and infinity have no place there)",
         id);
  ids_.emplace_back(id);
  // In JSON these three stand in strings only, where an escape means the same.
  std::string text;
  for (char c : json)
    text += c == '<' ? "\\u003c" : c == '>' ? "\\u003e" : c == '&' ? "\\u0026" : std::string(1, c);
  body_ += fmt::format("<script type=\"application/json\" id=\"{}\">{}</script>\n", id, text);
}

std::string Page::html() const {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<title>{0}</title>\n<style>{1}{2}</style>\n</head>\n<body>\n<main>\n<h1>{0}</h1>\n{3}</main>\n</"
      "body>\n</html>\n",
      escape(title_), page_css, chart_css(), body_);
}

std::string base64(std::span<const uint8_t> bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (k < count ? bytes[i + k] : 0u);
    for (size_t k = 0; k < 4; ++k) out += k <= count ? digits[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

}  // namespace stopgrad::view
