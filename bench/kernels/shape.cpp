#include "bench/kernels/shape.h"

#include <charconv>

#include "kernels/check.h"

namespace stopgrad::bench {

Sizes parse_sizes(const std::string& text) {
  Sizes sizes;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(',', at), text.size()), equal = text.find('=', at);
    const std::string name = equal < end ? text.substr(at, equal - at) : "";
    int size = -1;
    const auto [stop, error] =
        std::from_chars(text.data() + (equal < end ? equal + 1 : end), text.data() + end, size);
    if (name.empty() || error != std::errc() || stop != text.data() + end || size < (name != "padding"))
      fail(Exit::usage, "--shape {}: '{}' is not name=number with a number above zero", text,
           text.substr(at, end - at));
    sizes[name] = size;
    at = end + 1;
  }
  return sizes;
}

}  // namespace stopgrad::bench
