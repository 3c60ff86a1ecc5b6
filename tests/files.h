#pragma once
// For tests of what comes from files: a folder of one's own, and the errors that bad files must raise.
// Include it first: Catch2 and kernels/check.h both have a CHECK, and tests want Catch2's.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>
#include "kernels/check.h"

#include "data/image_file.h"

namespace stopgrad::test {

using Bytes = std::vector<uint8_t>;

/// The message of the error that `action` has to raise.
inline std::string error_of(Exit code, const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    INFO(error.what());
    REQUIRE(error.code() == code);
    return error.what();
  }
  FAIL("no error was raised");
  return {};
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// A folder of its own, gone with the test.
struct ImageFolder {
  ImageFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "stopgrad.XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    root = std::filesystem::canonical(pattern);
  }
  ~ImageFolder() { std::filesystem::remove_all(root); }
  std::string at(const std::string& name) const { return (root / name).string(); }
  std::string write(const std::string& name, const Bytes& bytes) const {
    std::filesystem::create_directories((root / name).parent_path());
    std::ofstream(root / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return at(name);
  }
  /// A grey PNG of one value.
  void image(const std::string& name, uint8_t value) const {
    const Bytes pixels(4 * 6, value);
    write(name, encode_png(pixels.data(), 4, 6, 1));
  }
  std::filesystem::path root;
};

inline Bytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

}  // namespace stopgrad::test
