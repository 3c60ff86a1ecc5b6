#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "kernels/check.h"
#include "tools/view/trace.h"

namespace stopgrad::view {
namespace {

constexpr size_t most_rows = 200, largest_matrix = 16;

// Seven digits: what a float carries. No typography here, so that the cells can be copied into other
// programs.
std::string cell(double x) { return fmt::format("{:.7g}", x); }

std::string name_of(const std::string& name, const char* otherwise) {
  return name.empty() ? otherwise : name;
}

// Every k-th row and the last.
void shorten(Table& table) {
  const size_t count = table.rows.size();
  if (count <= most_rows) return;
  const size_t every = (count + most_rows - 1) / most_rows;
  std::vector<std::vector<std::string>> kept;
  for (size_t i = 0; i < count; i += every) kept.push_back(std::move(table.rows[i]));
  if ((count - 1) % every != 0) kept.back() = std::move(table.rows[count - 1]);
  table.note = fmt::format("{} of {} rows: one in {}, and the last.", kept.size(), count, every);
  table.rows = std::move(kept);
}

// Points share no x: one row for each.
Table scatter_values(const Chart& chart) {
  Table table{{"series", name_of(chart.x_label, "x"), name_of(chart.y_label, "y")}, {}, ""};
  for (const Series& s : chart.series)
    for (size_t i = 0; i < s.y.size(); ++i) table.rows.push_back({s.name, cell(x_of(s, i)), cell(s.y[i])});
  shorten(table);
  return table;
}

struct Summary {
  size_t count = 0;
  double sum = 0, low = INFINITY, high = -INFINITY;

  void add(double x) {
    if (!drawable(x)) return;
    ++count, sum += x, low = std::min(low, x), high = std::max(high, x);
  }
  std::vector<std::string> row(const std::string& name) const {
    if (count == 0) return {name, "0", "", "", ""};
    return {name, std::to_string(count), cell(low), cell(sum / static_cast<double>(count)), cell(high)};
  }
};

}  // namespace

Table values(const Chart& chart) {
  bool scatter = false;
  for (const Series& s : chart.series) scatter = scatter || s.points;
  if (scatter) return scatter_values(chart);
  Table table{{name_of(chart.x_label, "x")}, {}, ""};
  std::map<double, std::vector<std::string>> rows;
  bool repeated = false;
  for (size_t k = 0; k < chart.series.size(); ++k) {
    const Series& s = chart.series[k];
    table.header.push_back(name_of(s.name, name_of(chart.y_label, "y").c_str()));
    for (size_t i = 0; i < s.y.size(); ++i) {
      if (std::isnan(x_of(s, i))) continue;
      std::vector<std::string>& row = rows[x_of(s, i)];
      row.resize(chart.series.size());
      repeated = repeated || !row[k].empty();
      row[k] = cell(s.y[i]);
    }
  }
  for (auto& [x, row] : rows) {
    row.insert(row.begin(), cell(x));
    table.rows.push_back(std::move(row));
  }
  shorten(table);
  if (repeated)
    table.note += std::string(table.note.empty() ? "" : " ") + "Where an x repeats, its last value.";
  return table;
}

Table values(const BarChart& chart) {
  Table table{{""}, {}, ""};
  for (const Bars& s : chart.series)
    table.header.push_back(name_of(s.name, name_of(chart.x_label, "value").c_str()));
  for (size_t g = 0; g < chart.groups.size(); ++g) {
    table.rows.push_back({chart.groups[g]});
    for (const Bars& s : chart.series)
      table.rows.back().push_back(g < s.values.size() ? cell(s.values[g]) : "");
  }
  return table;
}

Table values(const HeatMap& map) {
  const auto at = [&](size_t r, size_t c) { return map.values[r * map.columns + c]; };
  if (map.rows <= largest_matrix && map.columns <= largest_matrix) {
    const auto name = [](const std::vector<std::string>& names, size_t i) {
      return i < names.size() ? names[i] : std::to_string(i);
    };
    Table table{{""}, {}, ""};
    for (size_t c = 0; c < map.columns; ++c) table.header.push_back(name(map.column_names, c));
    for (size_t r = 0; r < map.rows; ++r) {
      table.rows.push_back({name(map.row_names, r)});
      for (size_t c = 0; c < map.columns; ++c) table.rows.back().push_back(cell(at(r, c)));
    }
    return table;
  }
  Summary all, diagonal, others;
  for (size_t r = 0; r < map.rows; ++r)
    for (size_t c = 0; c < map.columns; ++c) {
      all.add(at(r, c));
      (r == c ? diagonal : others).add(at(r, c));
    }
  Table table{{"cells", "count", "smallest", "mean", "largest"}, {all.row("all")}, ""};
  if (map.rows == map.columns)
    table.rows.insert(table.rows.end(), {diagonal.row("diagonal"), others.row("off the diagonal")});
  table.note = fmt::format("A summary of {} x {} cells.", map.rows, map.columns);
  return table;
}

}  // namespace stopgrad::view
