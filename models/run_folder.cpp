#include "models/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "engine/file.h"
#include "engine/safetensors.h"

namespace stopgrad {

namespace fs = std::filesystem;

namespace {

int64_t step_of_name(const fs::path& path) {
  const std::string name = path.filename().string();
  constexpr std::string_view before = "checkpoint-", after = ".safetensors";
  if (!name.starts_with(before) || !name.ends_with(after)) return -1;
  const std::string digits = name.substr(before.size(), name.size() - before.size() - after.size());
  if (digits.empty() || digits.size() > 12 || digits.find_first_not_of("0123456789") != std::string::npos)
    return -1;
  return std::stoll(digits);
}

/// Checkpoints of a folder, newest first.
std::vector<fs::path> checkpoints_of(const std::string& folder) {
  std::vector<fs::path> out;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (step_of_name(entry.path()) >= 0) out.push_back(entry.path());
  std::sort(out.begin(), out.end(),
            [](const fs::path& a, const fs::path& b) { return step_of_name(a) > step_of_name(b); });
  return out;
}

bool lies_in(const std::string& file, const std::string& folder) {
  std::error_code ignored;
  return fs::equivalent(fs::absolute(file).parent_path(), folder, ignored);
}

}  // namespace

RunFolder::RunFolder(std::string path) : path_(std::move(path)) {
  if (!exists()) return;
  std::error_code error;
  fs::create_directories(path_, error);
  if (error) fail(Exit::write, "cannot make the folder {}: {}", path_, error.message());
}

/// From the first change on until the end.
void RunFolder::keep_others_out() {
  if (!exists() || lock_ >= 0) return;
  lock_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_ < 0 || ::flock(lock_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(std::exchange(lock_, -1));
  fail(Exit::usage, "another run is under way in {}; choose another --out, or wait for its end", path_);
}

RunFolder::~RunFolder() {
  if (lock_ >= 0) ::close(lock_);
}

void RunFolder::write_recipe(const Recipe& recipe) {
  keep_others_out();
  if (exists()) write_file(path_ + "/recipe.toml", to_toml(recipe));
}

std::string RunFolder::checkpoint_path(int64_t step) const {
  return fmt::format("{}/checkpoint-{:06}.safetensors", path_, step);
}

void RunFolder::prune(int64_t step, int64_t keep) const {
  std::error_code ignored;
  for (const fs::path& path : checkpoints_of(path_))
    if (step_of_name(path) <= step && --keep < 0) fs::remove(path, ignored);
}

/// Returns what went wrong; nothing if all is in the file.
std::string RunFolder::write_waiting() {
  const std::string path = metrics_path();
  std::error_code error;
  const auto present = fs::file_size(path, error);
  metrics_bytes_ = error ? 0 : std::min<uint64_t>(present, metrics_bytes_);
  std::FILE* file = std::fopen(path.c_str(), metrics_bytes_ == 0 ? "w" : "r+");
  // Behind the last whole line, over what a full disk may have taken of the next.
  bool good = file && fseeko(file, static_cast<off_t>(metrics_bytes_), SEEK_SET) == 0 &&
              std::fwrite(waiting_.data(), 1, waiting_.size(), file) == waiting_.size();
  if (file && std::fclose(file) != 0) good = false;
  if (!good) return fmt::format("cannot write {}: {}", path, std::strerror(errno));
  metrics_bytes_ += waiting_.size();
  waiting_.clear();
  told_ = false;
  return {};
}

void RunFolder::add_line(const std::string& json, const Alarm& alarm) {
  constexpr size_t kMostWaiting = size_t{1} << 20;
  if (!exists()) return;
  if (waiting_.size() < kMostWaiting) waiting_ += json + "\n";
  const std::string fault = write_waiting();
  if (fault.empty()) return;
  if (!alarm) fail(Exit::write, "{}", fault);
  if (!told_) alarm(fault + "; training goes on, the lines wait for space");
  told_ = true;
}

void RunFolder::finish_lines() {
  if (waiting_.empty()) return;
  if (const std::string fault = write_waiting(); !fault.empty())
    fail(Exit::write, "{}; the last {} bytes of the record are lost", fault, waiting_.size());
}

namespace {
/// How many of the first `bytes` of a record end with a whole line: a power cut may have taken the end of
/// one.
uint64_t whole_lines(const std::string& path, uint64_t bytes) {
  std::ifstream in(path, std::ios::binary);
  for (; bytes > 0; --bytes)
    if (in.seekg(static_cast<std::streamoff>(bytes - 1)); in.peek() == '\n') break;
  return bytes;
}
}  // namespace

void RunFolder::go_on(const std::string& checkpoint, uint64_t metrics_bytes) {
  keep_others_out();
  waiting_.clear();
  metrics_bytes_ = 0;
  if (!exists() || !lies_in(checkpoint, path_)) return;
  std::error_code error;
  const auto present = fs::file_size(metrics_path(), error);
  if (error) return;
  metrics_bytes_ = whole_lines(metrics_path(), std::min<uint64_t>(present, metrics_bytes));
  if (present > metrics_bytes_) fs::resize_file(metrics_path(), metrics_bytes_, error);
  if (error)
    fail(Exit::write, "cannot cut {} to the {} bytes of the steps done: {}; is another program using it?",
         metrics_path(), metrics_bytes_, error.message());
}

std::string latest_checkpoint(const std::string& folder) {
  for (const fs::path& path : checkpoints_of(folder)) {
    try {
      read_header(path.string());
      return path.string();
    } catch (const Error&) {  // torn or foreign: the one before it
    }
  }
  return {};
}

std::string find_checkpoint(const std::string& path) {
  if (!fs::is_directory(path)) return path;
  if (const std::string newest = latest_checkpoint(path); !newest.empty()) return newest;
  fail(Exit::checkpoint, "{} holds no checkpoint that can be read; name the folder of a run, or a file",
       path);
}

void require_unmixed(const std::string& folder, const std::string& from) {
  const std::string newest = latest_checkpoint(folder);
  if (newest.empty()) return;
  if (from.empty())
    fail(Exit::usage, "{} holds a run already; go on with --resume auto, or name another folder with --out",
         folder);
  if (!lies_in(from, folder))
    fail(Exit::usage, "{} holds another run than that of {}; name another folder with --out", folder, from);
  if (step_of_name(newest) > step_of_name(from))
    fail(Exit::usage,
         "{} is newer than {}, and its steps would mix with the new ones; go on with --resume auto, or name "
         "another folder with --out",
         newest, from);
}

void remove_checkpoints(const std::string& folder) {
  for (const fs::path& path : checkpoints_of(folder)) {
    std::error_code error;
    fs::remove(path, error);
    if (error)
      fail(Exit::write, "cannot remove {} of an earlier run: {}; name another folder with --out",
           path.string(), error.message());
  }
}

}  // namespace stopgrad
