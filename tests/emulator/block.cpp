#include "tests/emulator/block.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace emulator {

Options& options() {
  static Options made = [] {
    Options fresh;
    if (const char* seed = std::getenv("EMULATOR_SEED")) fresh.seed = std::strtoull(seed, nullptr, 0);
    return fresh;
  }();
  return made;
}

bool Place::operator==(const Place& other) const {
  return line == other.line && std::strcmp(file, other.file) == 0;
}
std::string to_string(const Place& place) {
  return std::string(place.file) + ":" + std::to_string(place.line);
}

Block* Block::current_ = nullptr;
char Block::launch_tag_, Block::end_tag_;
char* Block::grid_tags_ = nullptr;
uint64_t Block::grid_barriers_ = 0;

namespace {
void shuffle(int* values, int count, uint64_t& state) {
  for (int i = count - 1; i > 0; --i) {
    state = mix(state);
    std::swap(values[i], values[state % static_cast<uint64_t>(i + 1)]);
  }
}
}  // namespace

void Block::begin_launch() {
  release(&launch_tag_);
  std::free(grid_tags_);
  grid_tags_ = static_cast<char*>(std::malloc(16));
  grid_barriers_ = 0;
}

void Block::start(const Launch& of, uint64_t number, int identity) {
  const Quiet quiet;
  launch = &of;
  identity_ = identity;
  const dim3 grid = of.grid, block = of.block;
  index = {static_cast<unsigned>(number % grid.x), static_cast<unsigned>(number / grid.x % grid.y),
           static_cast<unsigned>(number / grid.x / grid.y)};
  count_ = static_cast<int>(block.x * block.y * block.z);
  const int warps = (count_ + 31) / 32;
  if (threads_.size() < static_cast<size_t>(count_)) threads_.resize(static_cast<size_t>(count_));
  open_.resize(static_cast<size_t>(warps));
  lane_order_.resize(static_cast<size_t>(count_));
  warp_order_.resize(static_cast<size_t>(warps));
  for (int i = 0; i < count_; ++i) {
    Thread& t = threads_[static_cast<size_t>(i)];
    const unsigned n = static_cast<unsigned>(i);
    t.index = {n % block.x, n / block.x % block.y, n / block.x / block.y};
    t.warp = i / 32;
    t.lane = i % 32;
    t.state = State::fresh;
    lane_order_[n] = i;
  }
  for (int w = 0; w < warps; ++w) warp_order_[static_cast<size_t>(w)] = w;
  if (options().shuffle) {
    uint64_t state = mix(of.seed ^ mix(number));
    shuffle(warp_order_.data(), warps, state);
    for (int w = 0; w < warps; ++w)
      shuffle(lane_order_.data() + 32 * w, std::min(32, count_ - 32 * w), state);
  }
  done_ = at_barrier_ = outside_ = votes_ = 0;
  may_touch_ = !of.manner.waits;
  barriers_ = 0;
  error_.clear();
  barrier_tags_.reset();
  barrier_tags_.reset(static_cast<char*>(std::malloc(16)));
  memory_.reset();
  if (of.dynamic_shared) memory_.find(&dynamic_key_, of.dynamic_shared, 1024, "dynamic shared memory");
}

bool Block::advance() {
  const Quiet quiet;
  current_ = this;
  host_.enter();
  run_threads();
  if (!error_.empty()) {
    clean_up();
    throw Error(std::string(launch->name) + ": " + error_);
  }
  return done_ < count_;
}

void Block::finish() {
  const Quiet quiet;
  error_ = memory_.damage();
  if (error_.empty() && memory_.bytes_used() > options().shared_limit)
    error_ = "a block uses " + std::to_string(memory_.bytes_used()) +
             " bytes of shared memory, the limit is " + std::to_string(options().shared_limit);
  clean_up();
  if (!error_.empty()) throw Error(std::string(launch->name) + ": " + error_);
}

/// A warp runs until all its lanes wait, then the next one has its turn.
void Block::run_threads() {
  while (done_ < count_ && outside_ < count_ && error_.empty()) {
    bool any = false;
    for (const int warp : warp_order_)
      for (bool again = true; again && error_.empty();) {
        again = false;
        for (int i = 32 * warp; i < std::min(count_, 32 * warp + 32) && error_.empty(); ++i) {
          Thread& next = threads_[static_cast<size_t>(lane_order_[static_cast<size_t>(i)])];
          if (next.state != State::ready && next.state != State::fresh) continue;
          resume(next);
          again = any = true;
        }
      }
    if (!any && error_.empty()) error_ = stuck();
  }
}

EMULATOR_UNWATCHED void Block::resume(Thread& next) {
  if (next.state == State::fresh) next.fiber.start(host_, enter_thread, identity_);
  next.state = State::ready;
  thread = &next;
  next.fiber.resume(host_);
  if (next.state != State::done) return;
  next.fiber.retire(host_, false);
  ++done_;
}

EMULATOR_UNWATCHED void Block::enter_thread() {
  Block& block = current();
  Thread& self = *block.thread;
  self.fiber.arrive(block.host_);
  acquire(&block.launch_tag_);
  block.launch->body(block.launch->arguments.get());
  if (!block.may_touch_) block.stop("has ended without waiting for the kernel before it");
  release(&block.end_tag_);
  self.state = State::done;
  self.fiber.give_way(block.host_, true);
  std::abort();
}

void Block::clean_up() {
  const Quiet quiet;
  for (int i = 0; i < count_; ++i) threads_[static_cast<size_t>(i)].fiber.retire(host_, true);
  for (auto& meetings : open_) {
    for (Meeting* meeting : meetings) delete meeting;
    meetings.clear();
  }
  thread = nullptr;
}

/// The thread that found an error never runs again; the block ends with it.
EMULATOR_UNWATCHED void Block::stop(std::string what) {
  {
    const Quiet quiet;
    const std::string taken = std::move(what);
    if (error_.empty()) error_ = taken + where(*thread);
  }
  release(&end_tag_);
  thread->state = State::at_barrier;
  thread->fiber.give_way(host_);
  std::abort();
}

std::string Block::where(const Thread& t) const {
  const auto triple = [](uint3 v) {
    return "(" + std::to_string(v.x) + "," + std::to_string(v.y) + "," + std::to_string(v.z) + ")";
  };
  return " [thread " + triple(t.index) + " of block " + triple(index) + "]";
}

std::string Block::stuck() const {
  std::string out = "deadlock:";
  const Thread* last = nullptr;
  int shown = 0;
  for (int i = 0; i < count_ && shown < 4; ++i) {
    const Thread& t = threads_[static_cast<size_t>(i)];
    if (t.state == State::done || (last && last->state == t.state && last->place == t.place)) continue;
    last = &t;
    out += " thread " + std::to_string(i) +
           (t.state == State::at_barrier        ? " at the barrier "
            : t.state == State::at_grid_barrier ? " at the grid's barrier "
            : t.state == State::awaits_kernel   ? " at the wait for the kernel before "
                                                : " in the warp operation ") +
           to_string(t.place) + ";";
    ++shown;
  }
  return out + " " + std::to_string(done_) + " of " + std::to_string(count_) + " threads have returned";
}

void* Block::shared(const void* key, size_t bytes, size_t alignment, const char* name) {
  void* const found = memory_.find(key, bytes, alignment, name);
  if (found == nullptr)
    stop(std::string(name) + ": no room for " + std::to_string(bytes) + " bytes of shared memory");
  return found;
}

}  // namespace emulator
