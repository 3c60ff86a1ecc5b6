#include <catch2/catch.hpp>
#include <cmath>
#include <locale>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/xml.h"
#include "tools/view/page.h"
#include "tools/view/svg.h"

using namespace stopgrad::view;
using Catch::Contains;
using stopgrad::test::xml_error;

namespace {

const double missing = std::nan(""), infinity = INFINITY;

size_t count(std::string_view text, std::string_view token) {
  size_t found = 0;
  for (size_t at = text.find(token); at != std::string_view::npos; at = text.find(token, at + 1)) ++found;
  return found;
}

// The attribute values of all elements with this beginning, such as ("<rect class=\"bar\"", "width").
std::vector<std::string> attributes(const std::string& svg, const std::string& begin,
                                    const std::string& key) {
  std::vector<std::string> out;
  for (size_t at = svg.find(begin); at != std::string::npos; at = svg.find(begin, at + 1)) {
    const size_t value = svg.find(" " + key + "=\"", at) + key.size() + 3;
    out.push_back(svg.substr(value, svg.find('"', value) - value));
  }
  return out;
}

std::vector<std::string> labels(const Axis& axis) {
  std::vector<std::string> out;
  for (const Tick& t : axis.ticks) out.push_back(t.label);
  return out;
}

using Texts = std::vector<std::string>;
const std::string nasty = "a<b> & \"c\" 'd' \x01 \xff √d";

Chart one_series(std::vector<double> y) { return {"title", "x", "y", {{"s", {}, std::move(y)}}, {}}; }

std::vector<std::string> pictures() {
  std::vector<double> noise;
  for (int i = 0; i < 3000; ++i) noise.push_back(i % 100 ? std::sin(i * 0.7) : missing);
  Chart lines{nasty, nasty, nasty, {{nasty, {}, noise}, {nasty, {1, 2}, {3, 4}}}, {{nasty, 0.5}}};
  Chart cloud{nasty, nasty, nasty, {{nasty, {1, 2, missing}, {3, 4, 5}, true}}, {}};
  BarChart bars{nasty, nasty, {nasty, "b"}, {{nasty, {1, missing}}, {"", {-2, 3}}}, {{nasty, 1}}, {}};
  HeatMap map{nasty, nasty, nasty, 2, 2, {1, -1, missing, 0}, {nasty, "b"}, {}, {}};
  return {to_svg(lines),   to_svg(cloud),      to_svg(bars),     to_svg(map),
          to_svg(Chart{}), to_svg(BarChart{}), to_svg(HeatMap{})};
}

std::vector<uint8_t> png_header(uint8_t width, uint8_t height) {
  return {0x89, 'P', 'N', 'G', 13, 10, 26,    10, 0, 0, 0,      13, 'I',
          'H',  'D', 'R', 0,   0,  0,  width, 0,  0, 0, height, 8,  2};
}

Page full_page() {
  Page page(nasty);
  page.heading(nasty);
  page.paragraph(nasty);
  page.table({nasty, "n"}, {{nasty, "1"}});
  for (const std::string& svg : pictures()) page.figure(svg, nasty, {{"x"}, {{nasty}}, nasty});
  page.image(png_header(16, 9), nasty, nasty);
  page.data(R"({"end":"</script><!-- & -->","x":[1,2.5]})", "run-1");
  return page;
}

}  // namespace

TEST_CASE("the XML check of these tests refuses what is not well-formed", "[view]") {
  CHECK(xml_error("<a b=\"1\"><c/>text &amp; more</a>\n") == "");
  for (const char* bad : {"<a>", "<a></b>", "<a><b></a></b>", "<a b=1/>", "<a b=\"1\" b=\"2\"/>",
                          "<a>&nbsp;</a>", "<a>a & b</a>", "<a b=\"<\"/>", "<a>\x01</a>", "<a/><b/>", "text"})
    CHECK(xml_error(bad) != "");
}

TEST_CASE("every picture is well-formed whatever its names hold", "[view]") {
  for (const std::string& svg : pictures()) {
    CHECK(xml_error(svg) == "");
    CHECK(count(svg, "<desc>") == 1);
    CHECK(count(svg, "nan") + count(svg, "inf") == 0);
  }
  CHECK(escape(nasty) == "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39; \xef\xbf\xbd \xef\xbf\xbd √d");
  CHECK(escape("\xc0\x80 \xed\xa0\x80 \xf4\x90\x80\x80").find_first_of("\xc0\xed\xf4") == std::string::npos);
}

TEST_CASE("pictures and pages have the same bytes under every locale", "[view]") {
  struct Comma : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  const std::vector<std::string> before = pictures();
  const std::string page = full_page().html();
  const std::locale old = std::locale::global(std::locale(std::locale::classic(), new Comma));
  const std::vector<std::string> after = pictures();
  const std::string page_after = full_page().html();
  std::locale::global(old);
  CHECK(before == after);
  CHECK(page == page_after);
}

TEST_CASE("numbers are short decimals", "[view]") {
  CHECK(number(1.5) == "1.5");
  CHECK(number(-0.001) == "0");
  CHECK(number(2000) == "2000");
  CHECK(number(1.0 / 3, 4) == "0.3333");
  CHECK_THROWS_WITH(number(missing), Contains("leave the value out"));
}

TEST_CASE("ticks are 1-2-5 steps and read alike", "[view]") {
  CHECK(labels(linear_axis({0, 1}, 5, false)) == Texts{"0", "0.2", "0.4", "0.6", "0.8", "1.0"});
  CHECK(labels(linear_axis({-1, 0}, 4, false)) == Texts{"−1.0", "−0.5", "0"});
  CHECK(labels(linear_axis({-13, -2}, 4, false)) == Texts{"−10", "−5"});
  CHECK(labels(linear_axis({0, 20000}, 4, false)) == Texts{"0", "5k", "10k", "15k", "20k"});
  CHECK(labels(linear_axis({1e6, 1e6 + 0.4}, 4, false)) ==
        Texts{"1000000.0", "1000000.1", "1000000.2", "1000000.3", "1000000.4"});
  CHECK(labels(linear_axis({0, 4e-7}, 4, false)) == Texts{"0", "10⁻⁷", "2·10⁻⁷", "3·10⁻⁷", "4·10⁻⁷"});
  CHECK(labels(linear_axis({-1e300, 1e300}, 4, false)) ==
        Texts{"−10³⁰⁰", "−5·10²⁹⁹", "0", "5·10²⁹⁹", "10³⁰⁰"});
  CHECK(labels(linear_axis({0, 2}, 8, false, true)) == Texts{"0", "1", "2"});
}

TEST_CASE("an axis grows to a near step and never across zero", "[view]") {
  const Axis near = linear_axis({0.02, 0.97}, 5, true), far = linear_axis({0.31, 0.91}, 5, true);
  CHECK(near.low == 0);
  CHECK(near.high == 1);
  CHECK(far.high == Approx(0.91 + 0.05 * 0.6));
  CHECK(far.low == Approx(0.31 - 0.05 * 0.6));
  CHECK(linear_axis({0.001, 10}, 4, true).low == 0);
  CHECK(linear_axis({-10, -0.45}, 10, true).high == 0);
  CHECK(linear_axis({0.45, 10}, 10, true).low == 0);
}

TEST_CASE("logarithmic axes have powers of ten, and 2 and 5 where they are few", "[view]") {
  CHECK(labels(log_axis({1e-9, 1}, 5)) == Texts{"10⁻⁸", "10⁻⁶", "10⁻⁴", "10⁻²", "1"});
  CHECK(labels(log_axis({0.1, 10}, 5)) == Texts{"0.1", "0.2", "0.5", "1", "2", "5", "10"});
  CHECK(labels(log_axis({0.3, 0.4}, 3)) == Texts{"0.30", "0.35", "0.40"});
  CHECK(log_axis({1, 100}, 5).at(10) == Approx(0.5));
}

TEST_CASE("odd data still have a range", "[view]") {
  const auto is = [](Range r, double low, double high) { return r.low == low && r.high == high; };
  CHECK(is(range_of({}), 0, 1));
  CHECK(is(range_of({missing, infinity, -infinity}), 0, 1));
  CHECK(is(range_of({3}), 1.5, 4.5));
  CHECK(is(range_of({-1, -1, -1}), -1.5, -0.5));
  CHECK(is(range_of({0, 0}), -1, 1));
  CHECK(is(range_of({-2, missing, 1e308, 7}), -2, 7));
  CHECK(is(range_of({0, -1, missing}, true), 1, 10));
  CHECK(is(range_of({0, 0.5, 8}, true), 0.5, 8));
  for (const std::vector<double>& y : std::vector<std::vector<double>>{
           {}, {5}, {0, 0, 0}, {-1e300, 1e300}, {1e-310, 2e-310}, {1e17, 1e17 + 16}, {missing, 1, missing}}) {
    CHECK(xml_error(to_svg(one_series(y))) == "");
    Chart log = one_series(y);
    log.log_y = true;
    CHECK(xml_error(to_svg(log)) == "");
  }
  CHECK_THAT(to_svg(one_series({})), Contains("no values"));
}

TEST_CASE("thinning keeps the outline: first, lowest, highest and last of each pixel column", "[view]") {
  std::vector<Point> points;
  for (int i = 0; i < 10000; ++i) points.push_back({i * 0.05, std::sin(i * 1.3)});
  points[3333].y = 50;
  points[7777].y = -50;
  const std::vector<Point> thinned = thin(points);
  CHECK(thinned.size() <= 4 * 500);
  std::vector<double> low(500, infinity), high(500, -infinity), low_after = low, high_after = high;
  const auto measure = [](const std::vector<Point>& of, std::vector<double>& lowest,
                          std::vector<double>& highest) {
    for (const Point& p : of) {
      const size_t column = static_cast<size_t>(p.x);
      lowest[column] = std::min(lowest[column], p.y);
      highest[column] = std::max(highest[column], p.y);
    }
  };
  measure(points, low, high);
  measure(thinned, low_after, high_after);
  CHECK(low == low_after);
  CHECK(high == high_after);
  CHECK(std::is_sorted(thinned.begin(), thinned.end(), [](auto& a, auto& b) { return a.x < b.x; }));
  CHECK(thin({{1, 2}}).size() == 1);
  const std::vector<Point> column = thin({{3.0, 0}, {3.1, 5}, {3.2, 1}, {3.3, -5}, {3.9, 2}});
  REQUIRE(column.size() == 4);
  CHECK(column[1].y == 5);
  CHECK(column[3].y == 2);
}

TEST_CASE("a long series makes a small picture that still shows its peak", "[view]") {
  std::vector<double> y(10000, 0.0);
  for (size_t i = 0; i < y.size(); ++i) y[i] = std::sin(static_cast<double>(i));
  y[4321] = 9;
  Chart chart = one_series(y);
  chart.y_range = Range{-1, 9};
  const std::string svg = to_svg(chart);
  CHECK(svg.size() < 60000);
  const std::string view_box = attributes(svg, "<svg x=", "viewBox").at(0);
  const double top = std::stod(view_box.substr(view_box.find(' '))) + 5;  // five pixels of rim
  CHECK_THAT(attributes(svg, "<path class=\"dense\"", "d").at(0), Contains(" " + number(top) + "L"));
}

TEST_CASE("a gap parts the line, and a point between gaps is a marker", "[view]") {
  const auto moves = [](std::vector<double> y) {
    const std::vector<std::string> d = attributes(to_svg(one_series(y)), "<path class=\"line\"", "d");
    return d.empty() ? 0 : count(d[0], "M");
  };
  CHECK(moves({1, 2, 3, 4}) == 1);
  CHECK(moves({1, 2, missing, 3, 4}) == 2);
  CHECK(moves({1, 2, infinity, 3, missing, 4, 5}) == 2);
  CHECK(moves({missing, 3, missing}) == 0);
  const std::string svg = to_svg(one_series({missing, 3, missing}));
  const std::string plot = svg.substr(svg.find("<svg x="));  // without the legend
  REQUIRE(attributes(plot, "<path class=\"marks\"", "d").size() == 1);
  CHECK(count(attributes(plot, "<path class=\"marks\"", "d")[0], "M") == 1);
}

TEST_CASE("names stand at the line ends where there is room, else in a legend", "[view]") {
  Chart chart{"t", "x", "y", {{"first", {}, {1, 2}}, {"second", {}, {2, 2}}}, {}};
  CHECK(count(to_svg(chart), "class=\"leader\"") == 2);
  std::vector<std::string> y = attributes(to_svg(chart), "<text class=\"label\"", "y");
  CHECK(std::abs(std::stod(y.at(0)) - std::stod(y.at(1))) >= 16);  // both lines end at 2
  chart.series[1].name = "a name that is much too long to stand beside a line";
  CHECK(count(to_svg(chart), "class=\"leader\"") == 0);
  CHECK_THAT(to_svg(chart), Contains(">first</text>"));
  chart.series[1] = {"ends early", {0, 0.2}, {2, 2}};
  CHECK(count(to_svg(chart), "class=\"leader\"") == 0);
}

TEST_CASE("a reference line is seen, unless a given range leaves it out", "[view]") {
  Chart chart = one_series({-0.5, -0.6});
  chart.lines = {{"all views agree", -1}};
  CHECK_THAT(to_svg(chart), Contains("class=\"reference\"") && Contains("all views agree</text>"));
  chart.y_range = Range{-0.7, 0};
  CHECK(count(to_svg(chart), "class=\"reference\"") == 0);
}

TEST_CASE("charts refuse data that do not fit together", "[view]") {
  CHECK_THROWS_WITH(to_svg(Chart{"t", "", "", {{"s", {1, 2}, {1}}}, {}}), Contains("2 x and 1 y"));
  Chart range = one_series({1});
  range.y_range = Range{1, 1};
  CHECK_THROWS_WITH(to_svg(range), Contains("cannot be drawn"));
  CHECK_THROWS_WITH(to_svg(BarChart{"t", "", {"a"}, {{"s", {1, 2}}}, {}, {}}),
                    Contains("2 values for 1 groups"));
  CHECK_THROWS_WITH(to_svg(HeatMap{"t", "", "", 2, 2, {1}, {}, {}, {}}), Contains("1 values for 2 x 2"));
}

TEST_CASE("bars are as long as their values, from zero, to the left below it", "[view]") {
  const std::string svg = to_svg(BarChart{"t", "", {"a", "b", "c"}, {{"", {1, -2, missing}}}, {}, {}});
  const std::vector<std::string> x = attributes(svg, "<rect class=\"bar\"", "x"),
                                 width = attributes(svg, "<rect class=\"bar\"", "width");
  REQUIRE(width.size() == 3);
  CHECK(std::stod(width[1]) == Approx(2 * std::stod(width[0])).margin(0.02));
  CHECK(std::stod(x[1]) + std::stod(width[1]) == Approx(std::stod(x[0])).margin(0.02));
  CHECK(width[2] == "0");
  const std::string high = to_svg(BarChart{"t", "", {"a", "b"}, {{"", {90, 91}}}, {}, {}});
  CHECK(std::stod(attributes(high, "<rect class=\"bar\"", "x").at(0)) > 0);  // zero is in the picture
  CHECK_THAT(svg, Contains(">−2.00</text>") && Contains(">NaN</text>"));
}

TEST_CASE("a heat map shades by magnitude, colours by sign and crosses out gaps", "[view]") {
  const std::string svg = to_svg(HeatMap{"t", "", "", 2, 2, {1, -0.5, 0, missing}, {}, {}, {}});
  const std::string cells =
      svg.substr(svg.find("<g class=\"cells\">"), svg.find("</g>") - svg.find("<g class=\"cells\">"));
  CHECK(attributes(cells, "<path class=\"positive\"", "fill-opacity") == Texts{"1"});
  CHECK(attributes(cells, "<path class=\"negative\"", "fill-opacity") == Texts{"0.5"});
  CHECK(count(svg, "<path class=\"gap\"") == 1);
  const std::string row = to_svg(HeatMap{"t", "", "", 1, 50, std::vector<double>(50, 1.0), {}, {}, {}});
  CHECK(count(attributes(row, "<path class=\"positive\"", "d").at(0), "M") == 1);  // equal neighbours are one
}

TEST_CASE("tables hold the values, and say what they leave out", "[view]") {
  const Table two =
      values(Chart{"", "epoch", "", {{"a", {0, 1}, {0.5, 1}}, {"b", {1, 2}, {missing, -3}}}, {}});
  CHECK(two.header == Texts{"epoch", "a", "b"});
  CHECK(two.rows == std::vector<Texts>{{"0", "0.5", ""}, {"1", "1", "nan"}, {"2", "", "-3"}});
  CHECK(two.note.empty());
  const Table tall = values(one_series(std::vector<double>(10000, 1.0)));
  CHECK(tall.rows.size() == 200);
  CHECK(tall.rows.back()[0] == "9999");
  CHECK_THAT(tall.note, Contains("200 of 10000 rows"));
  HeatMap identity{"", "", "", 20, 20, std::vector<double>(400, 0.0), {}, {}, {}};
  for (size_t i = 0; i < 20; ++i) identity.values[i * 21] = 1;
  CHECK(values(identity).rows == std::vector<Texts>{{"all", "400", "0", "0.05", "1"},
                                                    {"diagonal", "20", "1", "1", "1"},
                                                    {"off the diagonal", "380", "0", "0", "0"}});
}

TEST_CASE("a page is one well-formed file that fetches nothing and runs no script", "[view]") {
  const std::string html = full_page().html();
  CHECK(xml_error(html) == "");
  CHECK(count(html, "http") == count(html, "http://www.w3.org/2000/svg"));
  CHECK(count(html, "<script") == count(html, "<script type=\"application/json\""));
  CHECK(count(html, "url(") + count(html, "@import") == 0);
  CHECK(count(html, ".chart .title{") == 1);  // one style sheet for all charts
  CHECK(count(html, "<details>") == pictures().size());
}

TEST_CASE("the data of a page come back as they went in", "[view]") {
  const std::string html = full_page().html(), open = "id=\"run-1\">";
  const size_t begin = html.find(open) + open.size();
  const std::string text = html.substr(begin, html.find("</script>", begin) - begin);
  CHECK(nlohmann::json::parse(text) == nlohmann::json::parse(R"({"end":"</script><!-- & -->","x":[1,2.5]})"));
  Page page("t");
  CHECK_THROWS_WITH(page.data("{\"x\":NaN}", "a"), Contains("is not JSON"));
  CHECK_THROWS_WITH(page.data("{}", "a b"), Contains("letters, digits"));
  page.data("{}", "a");
  CHECK_THROWS_WITH(page.data("{}", "a"), Contains("is taken"));
  CHECK_THROWS_WITH(page.table({"a"}, {{"1", "2"}}), Contains("2 cells under 1 headings"));
}

TEST_CASE("images stand in the page as base64, small ones enlarged", "[view]") {
  const auto encoded = [](std::string text) {
    return base64(std::vector<uint8_t>(text.begin(), text.end()));
  };
  CHECK(encoded("") == "");
  CHECK(encoded("f") == "Zg==");
  CHECK(encoded("fo") == "Zm8=");
  CHECK(encoded("foobar") == "Zm9vYmFy");
  CHECK(base64(std::vector<uint8_t>{0xfb, 0xff}) == "+/8=");
  Page page("t");
  page.image(png_header(16, 9), "", "a grid");
  CHECK_THAT(page.html(), Contains("<img class=\"pixels\" width=\"64\" height=\"36\" alt=\"a grid\""));
  CHECK_THROWS_WITH(page.image(std::vector<uint8_t>(100), "", "x"), Contains("no PNG"));
}
