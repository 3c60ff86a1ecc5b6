#include "tools/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>

#include "tools/commands/commands.h"

namespace stopgrad::tools {

namespace {
constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr auto kLine = std::chrono::seconds(5);
constexpr int kBar = 20;

std::string bar(double share) {
  const int full = static_cast<int>(std::lround(share * kBar));
  std::string out = "[";
  for (int i = 0; i < kBar; ++i) out += i < full ? '#' : '.';
  return out + "]";
}

size_t terminal_columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}
}  // namespace

Progress::Progress(int64_t first_step, int64_t images_per_step, bool quiet)
    : quiet_(quiet),
      terminal_(isatty(STDERR_FILENO) != 0),
      images_per_step_(images_per_step),
      last_draw_(Clock::now() - std::chrono::hours(1)),
      first_step_(first_step) {}

void Progress::step(const StepReport& r) {
  // An average that forgets: the first steps are slow, and the machine has other work.
  const double weight =
      r.step == first_step_ ? 1 : std::max(0.02, 1.0 / static_cast<double>(r.step - first_step_ + 1));
  seconds_per_step_ += weight * (r.seconds - seconds_per_step_);
  rate_ = static_cast<double>(images_per_step_) / seconds_per_step_;
  if (r.rank) rank_ = *r.rank;
  const auto now = Clock::now();
  const bool last = r.step + 1 == r.total_steps;
  const auto pause = terminal_ ? Clock::duration(kRedraw) : Clock::duration(kLine);
  if (quiet_ || (!last && now - last_draw_ < pause)) return;
  last_draw_ = now;
  const double done = static_cast<double>(r.step + 1), total = static_cast<double>(r.total_steps);
  const std::string text = fmt::format(
      "step {}/{} epoch {}  loss {:+.4f}  spread {:.3f}  rank {:.1f}  left {}  {:.0f} views/s  rate "
      "{:.4f}/{:.4f}",
      r.step + 1, r.total_steps, r.epoch, r.loss, r.spread, rank_,
      clock_text((total - done) * seconds_per_step_), rate_, r.rate, r.predictor_rate);
  if (!terminal_) return say(text);
  // One character less than the terminal is wide: a line that wraps could not be drawn over.
  const std::string whole = fmt::format("{} {}", bar(done / total), text);
  std::fputs(("\r\033[K" + whole.substr(0, terminal_columns() - 1)).c_str(), stderr);
  std::fflush(stderr);
  drawn_ = terminal_;
}

void Progress::line(const std::string& text) {
  say((drawn_ ? "\r\033[K" : "") + text);
  drawn_ = false;
}

void Progress::finish() {
  if (drawn_) say("");
  drawn_ = false;
}

std::function<void(int64_t, int64_t)> count_images(std::string what) {
  const bool terminal = isatty(STDERR_FILENO) != 0;
  return [what = std::move(what), terminal, last = std::chrono::steady_clock::now(), drawn = false](
             int64_t done, int64_t total) mutable {
    const auto now = std::chrono::steady_clock::now();
    if (done == total && drawn) std::fputs("\r\033[K", stderr);
    if (done == total || now - last < (terminal ? std::chrono::seconds(1) : kLine)) return;
    last = now;
    const std::string text = fmt::format("{}: {} of {}", what, done, total);
    if (!terminal) return say(text);
    std::fputs(("\r\033[K" + text.substr(0, terminal_columns() - 1)).c_str(), stderr);
    std::fflush(stderr);
    drawn = true;
  };
}

}  // namespace stopgrad::tools
