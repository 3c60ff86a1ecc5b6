#include "kernels/cuda_plan_book.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "kernels/hash.h"

namespace stopgrad::cuda {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFormat = "stopgrad library plans, format 2";
constexpr const char* kBetween = " = ";

std::string lines(const std::string& origin, const std::map<std::string, std::string>& choices) {
  std::string out = origin + "\n";
  for (const auto& [key, choice] : choices) out += key + kBetween + choice + "\n";
  return out;
}

/// False unless every line after the origin is a key and a choice.
bool parse(const std::string& text, std::string& origin, std::map<std::string, std::string>& choices) {
  std::istringstream in(text);
  std::getline(in, origin);
  for (std::string line; std::getline(in, line);) {
    const size_t at = line.find(kBetween);
    if (at == 0 || at == std::string::npos || at + 3 == line.size()) return false;
    choices[line.substr(0, at)] = line.substr(at + 3);
  }
  return !origin.empty();
}

}  // namespace

PlanBook::PlanBook(std::string origin, std::string file, std::function<void(const std::string&)> warn)
    : origin_(std::move(origin)), file_(std::move(file)), warn_(std::move(warn)) {
  if (!file_.empty()) read();
}

std::string PlanBook::find(const std::string& key) const {
  for (const Choices* choices : {&used_, &kept_})
    if (const auto found = choices->find(key); found != choices->end()) return found->second;
  return {};
}

void PlanBook::take(const std::string& key, const std::string& choice, bool timed) {
  used_[key] = choice;
  if (!timed) return;
  kept_[key] = choice;
  if (!file_.empty()) write();
}

std::string PlanBook::text() const {
  return used_.empty() ? "" : fmt::format("{}\n{}", kFormat, lines(origin_, used_));
}

std::string PlanBook::pin(const std::string& text) {
  std::istringstream in(text);
  std::string format, origin;
  std::getline(in, format);
  if (format != kFormat) return "its library plans are damaged or of another version";
  const std::string rest((std::istreambuf_iterator<char>(in)), {});
  Choices choices;
  if (!parse(rest, origin, choices)) return "its library plans are damaged";
  if (origin != origin_) return fmt::format("library plans of {} then, {} now", origin, origin_);
  for (const auto& [key, choice] : choices) used_[key] = choice;
  return {};
}

/// A file: the format, the hash of all that follows, the origin, the choices.
void PlanBook::read() {
  std::ifstream in(file_, std::ios::binary);
  if (!in) return;
  std::string format, sum, origin;
  std::getline(in, format);
  std::getline(in, sum);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  Choices choices;
  if (format != kFormat || sum != fmt::format("{:016x}", fnv1a(text)) || !parse(text, origin, choices))
    warn_(fmt::format("{} is damaged or of another version: it is ignored and written anew", file_));
  else if (origin != origin_)
    warn_(fmt::format("{} is of {}: it is ignored and written anew", file_, origin));
  else kept_ = choices;
}

void PlanBook::write() {
  const std::string text = lines(origin_, kept_), beside = fmt::format("{}.{}", file_, getpid());
  std::error_code error;
  fs::create_directories(fs::path(file_).parent_path(), error);
  {
    std::ofstream out(beside, std::ios::binary);
    out << kFormat << "\n" << fmt::format("{:016x}", fnv1a(text)) << "\n" << text;
    if (!out.flush()) error = std::make_error_code(std::errc::io_error);
  }
  if (!error) fs::rename(beside, file_, error);
  if (!error) return;
  warn_(fmt::format("{} cannot be written: the next run searches again and may choose others", file_));
  fs::remove(beside, error);
  file_.clear();
}

void PlanBook::warn_on_stderr(const std::string& message) {
  std::fprintf(stderr, "library plans: %s\n", message.c_str());
}

std::string plan_file(const std::string& origin) {
  const char *cache = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
  fs::path folder;
  if (cache && *cache) folder = cache;
  else if (home && *home) folder = fs::path(home) / ".cache";
  else return {};
  return folder / "stopgrad" / fmt::format("plans-{:016x}.txt", fnv1a(origin));
}

}  // namespace stopgrad::cuda
