#pragma once
// A step's breakdown as a table, as JSON, and as a timeline for trace viewers.
#include <nlohmann/json.hpp>
#include <string>

#include "bench/step/cost.h"
#include "bench/step/recorder.h"

namespace stopgrad::bench {

/// Nodes alike in name, sizes and shape are one line; `step_seconds` is the whole step as measured apart.
std::string table_of(const StepBreakdown& b, const Rates& rates, double step_seconds);

/// Every node with its seconds and floors, the rates, and the idle share of the step.
nlohmann::json json_of(const StepBreakdown& b, const Rates& rates, double step_seconds);

/// Chrome-trace JSON (chrome://tracing, Perfetto): rows of forward, backward and the rest, and an arrow from
/// every forward node to its backward.
nlohmann::json trace_of(const StepTimes& times, const Rates& rates, const std::string& title);

}  // namespace stopgrad::bench
