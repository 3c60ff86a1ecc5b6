#pragma once
namespace stopgrad::cuda {
class Context;
struct Libraries {
  explicit Libraries(Context&) {}
};
}  // namespace stopgrad::cuda
