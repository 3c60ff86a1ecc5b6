// What a run remembers of its libraries' algorithms, and what it makes of files that others left.
#include "kernels/cuda_plan_book.h"

#include <catch2/catch.hpp>

#include "tests/small_run.h"

using namespace stopgrad;
using namespace stopgrad::test;
using cuda::PlanBook;

namespace {

std::string contents(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void replace(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

struct Warnings {
  std::vector<std::string> said;
  PlanBook book(const std::string& origin, const fs::path& file) {
    return PlanBook(origin, file.string(), [this](const std::string& message) { said.push_back(message); });
  }
};

/// The text of a book, as checkpoints keep it.
std::string book_text(const std::string& rest) { return "stopgrad library plans, format 2\n" + rest; }

}  // namespace

TEST_CASE("timed choices are there for the next run, others for this one only", "[cuda][plans]") {
  Folder folder;
  Warnings warnings;
  const fs::path file = folder.path / "deep" / "plans.txt";
  PlanBook first = warnings.book("GPU 1", file);
  first.take("conv a", "1 0 64", true);
  first.take("conv b", "2 0 0", false);
  CHECK(first.find("conv a") == "1 0 64");
  CHECK(first.find("conv b") == "2 0 0");
  CHECK(first.find("conv c").empty());
  CHECK(first.text() == book_text("GPU 1\nconv a = 1 0 64\nconv b = 2 0 0\n"));
  PlanBook second = warnings.book("GPU 1", file);
  CHECK(second.find("conv a") == "1 0 64");
  CHECK(second.find("conv b").empty());
  CHECK(second.text().empty());                                               // nothing is in use yet
  CHECK(std::distance(fs::directory_iterator(file.parent_path()), {}) == 1);  // nothing lies beside it
  CHECK(warnings.said.empty());
}

TEST_CASE("a damaged or foreign file of plans is named, ignored and written anew", "[cuda][plans]") {
  Folder folder;
  fs::create_directories(folder.path);
  const fs::path file = folder.path / "plans.txt";
  Warnings healthy;
  healthy.book("GPU 1", file).take("conv a", "1 0 64", true);
  const std::string good = contents(file);
  std::string older = good;
  older.replace(older.find("format 2"), 8, "format 1");
  std::vector<std::string> bad = {"", "not a file of plans\n", good.substr(0, good.size() - 3), good + "x",
                                  older};
  for (size_t at = 0; at < good.size(); ++at) {  // one bit at a time
    bad.push_back(good);
    bad.back()[at] ^= 1;
  }
  for (const std::string& text : bad) {
    INFO(text);
    replace(file, text);
    Warnings warnings;
    PlanBook book = warnings.book("GPU 1", file);
    CHECK(warnings.said.size() == 1);
    CHECK(book.find("conv a").empty());
    book.take("conv a", "1 0 64", true);
    CHECK(contents(file) == good);
  }
  Warnings warnings;
  PlanBook other = warnings.book("GPU 2", file);
  REQUIRE(warnings.said.size() == 1);
  CHECK_THAT(warnings.said[0], Catch::Contains("GPU 1"));
  CHECK(other.find("conv a").empty());
}

TEST_CASE("plans that cannot be kept are noted once, and stay in memory", "[cuda][plans]") {
  Folder folder;
  replace(folder.path, "a file where the folder should be");
  Warnings warnings;
  PlanBook book = warnings.book("GPU 1", folder.path / "stopgrad" / "plans.txt");
  book.take("conv a", "1 0 64", true);
  book.take("conv b", "2 0 64", true);
  CHECK(warnings.said.size() == 1);
  CHECK(book.find("conv b") == "2 0 64");
  Warnings none;
  PlanBook homeless = none.book("GPU 1", "");
  homeless.take("conv a", "1 0 64", true);
  CHECK(homeless.find("conv a") == "1 0 64");
  CHECK(none.said.empty());
}

TEST_CASE("plans of a checkpoint come before those of the file, unless they are of another device",
          "[cuda][plans]") {
  Folder folder;
  Warnings warnings;
  PlanBook first = warnings.book("GPU 1", folder.path / "plans.txt");
  first.take("conv a", "1 0 64", true);
  PlanBook second = warnings.book("GPU 1", folder.path / "plans.txt");
  CHECK(second.pin(book_text("GPU 1\nconv a = 2 0 0\n")).empty());
  CHECK(second.find("conv a") == "2 0 0");
  CHECK(second.text() == book_text("GPU 1\nconv a = 2 0 0\n"));
  CHECK_THAT(second.pin(book_text("GPU 2\nconv a = 3 0 0\n")), Catch::Contains("GPU 2 then, GPU 1 now"));
  CHECK_THAT(second.pin(book_text("GPU 1\nconv a\n")), Catch::Contains("damaged"));
  CHECK_THAT(second.pin("stopgrad library plans, format 2"), Catch::Contains("damaged"));
  CHECK_THAT(second.pin("GPU 1\nconv a = 1 0 64\n"), Catch::Contains("another version"));
  CHECK(second.find("conv a") == "2 0 0");
}

TEST_CASE("the file of plans lies where the environment says", "[cuda][plans]") {
  const auto with = [](const char* cache, const char* home) {
    const auto set = [](const char* name, const char* value) {
      if (value) setenv(name, value, 1);
      else unsetenv(name);
    };
    const auto copy = [](const char* name) {
      const char* const value = std::getenv(name);
      return value ? std::optional<std::string>(value) : std::nullopt;
    };
    const auto old_cache = copy("XDG_CACHE_HOME"), old_home = copy("HOME");
    set("XDG_CACHE_HOME", cache), set("HOME", home);
    const std::string out = cuda::plan_file("GPU 1");
    set("XDG_CACHE_HOME", old_cache ? old_cache->c_str() : nullptr);
    set("HOME", old_home ? old_home->c_str() : nullptr);
    return out;
  };
  CHECK_THAT(with("/cache", "/home/me"), Catch::StartsWith("/cache/stopgrad/plans-"));
  CHECK_THAT(with("", "/home/me"), Catch::StartsWith("/home/me/.cache/stopgrad/plans-"));
  CHECK(with(nullptr, nullptr).empty());
}
