#include "engine/file.h"

#include <fcntl.h>
#include <sys/file.h>

#include <map>
#include <optional>

#include <catch2/catch.hpp>
#include "tests/faulty_files.h"

using namespace stopgrad;
using Catch::Contains;

namespace {

const std::string old_text = "the old file";
const std::string new_text = "the new file, which is longer";

std::string temporary_of(const std::string& path, pid_t process) {
  return path + ".tmp." + std::to_string(process);
}

pid_t a_dead_process() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  return child;
}

// A machine that loses power at the n-th call. What was not synced is lost: bytes without fsync of their
// file; and a rename without fsync of its directory may or may not have reached the disk.
struct PowerCut : FaultyFiles {
  explicit PowerCut(const std::string& path) : watched(path), before(slurp(path)) { style = from_there_on; }

  int open(const char* path, int flags, mode_t mode) override {
    const int fd = FaultyFiles::open(path, flags, mode);
    if (fd != -1) opened[fd] = path;
    return fd;
  }
  int fsync(int fd) override {
    if (FaultyFiles::fsync(fd) == -1) return -1;
    if (std::filesystem::is_directory(opened[fd])) {
      if (renamed) before = *renamed;
      renamed.reset();
    } else {
      on_disk[opened[fd]] = slurp(opened[fd]);
    }
    return 0;
  }
  int rename(const char* from, const char* to) override {
    if (FaultyFiles::rename(from, to) == -1) return -1;
    if (to == watched) renamed = on_disk[from];  // empty when it was never synced
    return 0;
  }
  // What a reader may find under the name after the power is back.
  std::vector<std::string> possible() const {
    return renamed ? std::vector{before, *renamed} : std::vector{before};
  }

  std::string watched, before;
  std::optional<std::string> renamed;
  std::map<int, std::string> opened;
  std::map<std::string, std::string> on_disk;
};

}  // namespace

TEST_CASE("a file is read whole, through interruptions and short reads", "[file]") {
  TempDir dir;
  const std::string text("zero \0 and more", 15);
  spit(dir / "x", text);
  spit(dir / "empty", "");
  FaultyFiles calls;
  calls.piece = 2;
  calls.interruptions = 3;
  CHECK(read_file(dir / "x", 15, Exit::data, calls) == text);
  CHECK(read_file(dir / "empty", 0, Exit::data) == "");
}

TEST_CASE("reading refuses what is missing, too large or no regular file, and names it", "[file]") {
  TempDir dir;
  spit(dir / "large", "12345");
  REQUIRE(::mkfifo((dir / "fifo").c_str(), 0600) == 0);
  const auto read = [](const std::string& path) {
    return refusal(Exit::data, [&] { read_file(path, 4, Exit::data); });
  };
  CHECK_THAT(read(dir / "none"), Contains(dir / "none") && Contains("No such file"));
  CHECK_THAT(read(dir / "large"), Contains(dir / "large") && Contains("5 bytes, more than the limit of 4"));
  CHECK_THAT(read(dir / "fifo"), Contains(dir / "fifo") && Contains("not a regular file"));
  CHECK_THAT(read(dir.path), Contains(dir.path) && Contains("not a regular file"));
  CHECK_THAT(read("/dev/zero"), Contains("not a regular file"));
  CHECK_THAT(refusal(Exit::config, [&] { read_file(dir / "none", 4, Exit::config); }),
             Contains("No such file"));
}

TEST_CASE("a file that changes its size while it is read is refused", "[file]") {
  struct Liar : FileCalls {
    int stat(int fd, struct stat* out) override {
      const int result = FileCalls::stat(fd, out);
      out->st_size += lie;
      return result;
    }
    off_t lie = 0;
  };
  TempDir dir;
  spit(dir / "x", "12345");
  Liar calls;
  const auto read = [&] { read_file(dir / "x", 100, Exit::data, calls); };
  calls.lie = 1;
  CHECK_THAT(refusal(Exit::data, read), Contains("became shorter"));
  calls.lie = -1;
  CHECK_THAT(refusal(Exit::data, read), Contains("became longer"));
}

TEST_CASE("every call that fails while reading becomes an error that names it", "[file]") {
  TempDir dir;
  spit(dir / "x", "12345");
  FaultyFiles calls;
  int failures = 0;
  for (calls.at = 1;; ++calls.at) {
    calls.count = 0;
    calls.log.clear();
    const std::string message = refusal(Exit::data, [&] { read_file(dir / "x", 100, Exit::data, calls); });
    if (calls.count < calls.at) break;
    const std::string& failed = calls.log[static_cast<size_t>(calls.at - 1)];
    if (failed == "close") continue;  // nothing is lost when a file that was read is not closed well
    CHECK_THAT(message, Contains(dir / "x") && Contains(failed + " failed"));
    CHECK(std::count(calls.log.begin(), calls.log.end(), "close") == (failed == "open" ? 0 : 1));
    ++failures;
  }
  CHECK(failures == 4);  // open, stat, read, read at the end
}

TEST_CASE("a committed file replaces the old one and leaves nothing beside it", "[file]") {
  TempDir dir;
  spit(dir / "x", old_text);
  AtomicFile file(dir / "x");
  file.write("the new file");
  file.write(new_text.substr(12));
  CHECK(file.written() == new_text.size());
  CHECK(slurp(dir / "x") == old_text);
  file.commit();
  CHECK(slurp(dir / "x") == new_text);
  CHECK(dir.names() == std::vector<std::string>{"x"});
  write_file(dir / "y", old_text);
  CHECK(slurp(dir / "y") == old_text);
}

TEST_CASE("a file in the working directory needs no directory in its name", "[file]") {
  TempDir dir;
  const auto here = std::filesystem::current_path();
  std::filesystem::current_path(dir.path);
  const std::string message = refusal(Exit::write, [] { write_file("x", new_text); });
  std::filesystem::current_path(here);
  CHECK(message == "");
  CHECK(slurp(dir / "x") == new_text);
}

TEST_CASE("without commit the old file stays and the temporary one goes", "[file]") {
  TempDir dir;
  spit(dir / "x", old_text);
  {
    AtomicFile file(dir / "x");
    file.write(new_text);
    CHECK(dir.names().size() == 2);
  }
  CHECK(slurp(dir / "x") == old_text);
  CHECK(dir.names() == std::vector<std::string>{"x"});
}

TEST_CASE("short writes and interruptions lose no byte", "[file]") {
  TempDir dir;
  FaultyFiles calls;
  calls.piece = 3;
  calls.interruptions = 5;
  AtomicFile file(dir / "x", calls);
  calls.interruptions = 2;
  file.write(new_text);
  calls.interruptions = 4;  // fsync of the file
  file.commit();
  CHECK(slurp(dir / "x") == new_text);
}

TEST_CASE("a full disk leaves the last good file and a message that says so", "[file]") {
  TempDir dir;
  spit(dir / "x", old_text);
  FaultyFiles calls;
  calls.room = 7;
  const std::string message = refusal(Exit::write, [&] { write_file(dir / "x", new_text, calls); });
  CHECK_THAT(message, Contains(dir / "x") && Contains("write failed at byte 7") &&
                          Contains("No space left on device") &&
                          Contains("what was there before is as it was") && Contains("free some space"));
  CHECK(slurp(dir / "x") == old_text);
  CHECK(dir.names() == std::vector<std::string>{"x"});
}

TEST_CASE("a disk that takes no byte and gives no reason does not hang the writer", "[file]") {
  struct Silent : FileCalls {
    ssize_t write(int, const void*, size_t) override { return 0; }
  };
  TempDir dir;
  Silent calls;
  CHECK_THAT(refusal(Exit::write, [&] { write_file(dir / "x", new_text, calls); }), Contains("write failed"));
}

TEST_CASE("whichever call fails, the old file or the new one is there", "[file]") {
  const auto style = GENERATE(FaultyFiles::once, FaultyFiles::from_there_on);
  int kept = 0, replaced = 0;
  for (int at = 1;; ++at) {
    TempDir dir;
    spit(dir / "x", old_text);
    FaultyFiles calls;
    calls.style = style;
    calls.at = at;
    const std::string message = refusal(Exit::write, [&] { write_file(dir / "x", new_text, calls); });
    if (calls.count < at) break;
    const std::string& failed = calls.log[static_cast<size_t>(at - 1)];
    CAPTURE(at, failed, message);
    const std::string found = slurp(dir / "x");
    const bool renamed = std::count(calls.log.begin(), calls.log.end(), "rename") == 1 && failed != "rename";
    CHECK(found == (renamed ? new_text : old_text));
    if (message != "") {
      CHECK_THAT(message, Contains(dir / "x") && Contains("Input/output error"));
      // Without a list or a lock only the tidying up is lost, and the error is that of the next call.
      if (failed != "list" && failed != "lock") CHECK_THAT(message, Contains(failed + " "));
      CHECK_THAT(message,
                 Contains(renamed ? "the new file is in its place" : "what was there before is as it was"));
    }
    if (!renamed) CHECK(message != "");
    if (style == FaultyFiles::once) CHECK(dir.names() == std::vector<std::string>{"x"});
    ++(renamed ? replaced : kept);
  }
  CHECK(kept >= 5);      // open, write, fsync, close, rename
  CHECK(replaced >= 2);  // open and fsync of the directory
}

TEST_CASE("a file system that cannot sync a directory is no failure", "[file]") {
  TempDir dir;
  FaultyFiles calls;
  write_file(dir / "x", old_text, calls);
  calls.at = calls.count - 1;
  REQUIRE(calls.log[static_cast<size_t>(calls.at - 1)] == "fsync");
  calls.error = EINVAL;
  calls.count = 0;
  CHECK(refusal(Exit::write, [&] { write_file(dir / "x", new_text, calls); }) == "");
}

TEST_CASE("killed at any call, a writer leaves the old file or the new one", "[file]") {
  TempDir dir;
  FaultyFiles calls;
  calls.style = FaultyFiles::die;
  calls.piece = 4;
  const bool tidy =
      GENERATE(true, false);  // with the leftover of the one before, there are calls to remove it
  int torn = 0;
  for (calls.at = 1;; ++calls.at) {
    if (tidy) {
      for (const std::string& name : dir.names()) std::filesystem::remove(dir / name);
    }
    spit(dir / "x", old_text);
    if (!dies([&] { write_file(dir / "x", new_text, calls); })) break;
    const std::string found = slurp(dir / "x");
    CHECK((found == old_text || found == new_text));
    torn += dir.names().size() > 1;
  }
  CHECK(calls.at > 10);
  CHECK(torn > 5);  // some died with the temporary file half written
  CHECK(slurp(dir / "x") == new_text);
  CHECK(dir.names() == std::vector<std::string>{"x"});
}

TEST_CASE("when the power goes at any call, the old file or the new one comes back", "[file]") {
  bool done = false;
  for (int at = 1; !done; ++at) {
    TempDir dir;
    spit(dir / "x", old_text);
    PowerCut calls(dir / "x");
    calls.at = at;
    done = refusal(Exit::write, [&] { write_file(dir / "x", new_text, calls); }) == "" && calls.count < at;
    for (const std::string& found : calls.possible()) {
      CAPTURE(at, found);
      CHECK((found == new_text || (!done && found == old_text)));
    }
  }
}

TEST_CASE("opening removes what dead writers left and nothing else", "[file]") {
  TempDir dir;
  const std::string path = dir / "x";
  const pid_t dead = a_dead_process(), other_dead = a_dead_process();
  const std::string leftover = temporary_of(path, dead), held = temporary_of(path, other_dead);
  const std::string own = temporary_of(path, ::getpid()), alive = temporary_of(path, ::getppid());
  for (const std::string& name : {leftover, own, held, alive}) spit(name, "torn");
  spit(leftover + "a", "not ours");
  for (const char* name : {".tmp.", ".tmp.0", ".tmp.-1", ".tmp.99999999999", "y.tmp.1"}) {
    spit(path + name, "not ours");
  }
  const int lock = ::open(held.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(::flock(lock, LOCK_EX) == 0);

  std::vector<std::string> stale = {leftover, own};
  std::sort(stale.begin(), stale.end());
  CHECK(stale_temporaries(path) == stale);
  write_file(path, new_text);
  CHECK(dir.names().size() == 9);  // x, held, alive and the six others
  CHECK(stale_temporaries(path).empty());
  ::close(lock);
  CHECK(stale_temporaries(path) == std::vector<std::string>{held});
}

TEST_CASE("a second writer of the same file in one process is refused and the first one finishes", "[file]") {
  TempDir dir;
  AtomicFile first(dir / "x");
  first.write("fir");
  CHECK_THAT(refusal(Exit::write, [&] { write_file(dir / "x", new_text); }),
             Contains("File exists") && Contains("another writer"));
  first.write("st");
  first.commit();
  CHECK(slurp(dir / "x") == "first");
}
