#pragma once
// A report as one HTML file: nothing is fetched, no script runs, light or dark as the reader's system is.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/view/chart.h"

namespace stopgrad::view {

/// Blocks appear in the order in which they were added; neighbouring figures stand side by side on a wide
/// screen. All text is escaped. The file is well-formed XML as well as HTML.
class Page {
 public:
  explicit Page(std::string_view title);

  void heading(std::string_view text);
  void paragraph(std::string_view text);

  /// Columns of numbers are aligned to the right. Throws when a row is not as long as the header.
  void table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows);

  /// `svg` comes from to_svg; the values, when there are any, unfold below it.
  void figure(std::string_view svg, std::string_view caption, const Table& values = {});

  /// Small images are enlarged up to four times with hard pixels. Throws unless the bytes begin as a PNG.
  void image(std::span<const uint8_t> png, std::string_view caption, std::string_view alt);

  /// The numbers for programs: <script type="application/json" id=...>. Throws for text that is not JSON, for
  /// an id that is not made of letters, digits, '-' and '_', and for one that was there before.
  void data(std::string_view json, std::string_view id);

  std::string html() const;

 private:
  std::string title_, body_;
  std::vector<std::string> ids_;
};

/// RFC 4648, with padding.
std::string base64(std::span<const uint8_t> bytes);

}  // namespace stopgrad::view
