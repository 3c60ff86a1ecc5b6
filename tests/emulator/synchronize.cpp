// How threads of a block wait for each other: barriers and warp operations.
#include <algorithm>
#include <cstring>

#include "tests/emulator/block.h"

namespace emulator {

/// Two tags take turns, by the barrier's parity: with one, a late leaver would acquire what an early thread
/// released at the next barrier, and a write after a read would go unseen.
EMULATOR_UNWATCHED int Block::barrier(bool predicate, Place place) {
  const Quiet quiet;
  Thread& self = *thread;
  self.place = place;
  char* const tag = barrier_tags_.get() + 8 * (barriers_ & 1);
  release(tag);
  votes_ += predicate;
  ++at_barrier_;
  self.state = State::at_barrier;
  if (at_barrier_ < count_ - done_) {
    wait();
  } else if (done_ > 0) {
    stop("barrier at " + to_string(place) + " reached by " + std::to_string(at_barrier_) + " of " +
         std::to_string(count_) + " threads, " + std::to_string(done_) + " have returned");
  } else {
    release_barrier(place);
  }
  acquire(tag);
  return self.votes;
}

/// All blocks of a cooperative launch wait; the launch lets them go on together.
EMULATOR_UNWATCHED void Block::grid_barrier(Place place) {
  const Quiet quiet;
  Thread& self = *thread;
  self.place = place;
  if (!launch->manner.together)
    stop("a grid's barrier in a launch that is not cooperative, at " + to_string(place));
  char* const tag = grid_tags_ + 8 * (grid_barriers_ & 1);
  release(tag);
  ++outside_;
  self.state = State::at_grid_barrier;
  wait();
  acquire(tag);
}

/// A second wait finds the kernel before ended, and so does one in a launch that need not wait.
EMULATOR_UNWATCHED void Block::await_kernel(Place place) {
  const Quiet quiet;
  if (may_touch_) return;
  thread->place = place;
  ++outside_;
  thread->state = State::awaits_kernel;
  wait();
}

void Block::release_kernel() {
  const Quiet quiet;
  for (int i = 0; i < count_; ++i) threads_[static_cast<size_t>(i)].state = State::ready;
  outside_ = 0;
  may_touch_ = true;
}

void Block::release_grid(const Launch& launch, Block* const* blocks, size_t count) {
  const Quiet quiet;
  const Place place = blocks[0]->threads_[0].place;
  for (size_t b = 0; b < count; ++b) {
    Block& block = *blocks[b];
    for (int i = 0; i < block.count_; ++i) {
      Thread& t = block.threads_[static_cast<size_t>(i)];
      if (!(t.place == place))
        throw Error(std::string(launch.name) + ": divergent barrier of the grid: some threads wait at " +
                    to_string(place) + ", others at " + to_string(t.place));
      t.state = State::ready;
    }
    block.outside_ = 0;
  }
  ++grid_barriers_;
}

/// A thread that waits may never run again, if another one stops the block; the launch's end comes after it
/// too.
EMULATOR_UNWATCHED void Block::wait() {
  release(&end_tag_);
  thread->fiber.give_way(host_);
}

EMULATOR_UNWATCHED void Block::release_barrier(Place last) {
  for (int i = 0; i < count_; ++i) {
    Thread& t = threads_[static_cast<size_t>(i)];
    if (!(t.place == last))
      stop("divergent barrier: some threads wait at " + to_string(last) + ", others at " +
           to_string(t.place));
    t.state = State::ready;
    t.votes = votes_;
  }
  at_barrier_ = votes_ = 0;
  ++barriers_;
}

EMULATOR_UNWATCHED void Block::check_mask(uint32_t mask, Place place) {
  if (!(mask >> thread->lane & 1))
    stop("a lane calls a warp operation whose mask leaves it out, at " + to_string(place));
  uint32_t live = 0;
  for (int lane = 0, first = 32 * thread->warp; lane < std::min(32, count_ - first); ++lane)
    if (threads_[static_cast<size_t>(first + lane)].state != State::done) live |= uint32_t{1} << lane;
  if (mask & ~live)
    stop("the mask of a warp operation names lanes that do not exist or have returned, at " +
         to_string(place));
}

/// Lanes meet by mask, operation and place, not by overlap: halves of a warp may use masks of their own. A
/// meeting is freed after use; a kept one would carry its clock to another warp and hide races.
EMULATOR_UNWATCHED Meeting* Block::meet(WarpOperation operation, uint32_t mask, uint64_t value, Place place) {
  const Quiet quiet;
  Thread& self = *thread;
  self.place = place;
  check_mask(mask, place);
  auto& meetings = open_[static_cast<size_t>(self.warp)];
  const uint32_t me = uint32_t{1} << self.lane;
  auto at = std::find_if(meetings.begin(), meetings.end(), [&](const Meeting* m) {
    return m->mask == mask && m->operation == operation && m->place == place && !(m->arrived & me) &&
           m->arrived != m->mask;
  });
  if (at == meetings.end()) {
    auto* const fresh = new Meeting{};
    fresh->mask = mask;
    fresh->operation = operation;
    fresh->place = place;
    at = meetings.insert(meetings.end(), fresh);
  }
  Meeting* const meeting = *at;
  meeting->arrived |= me;
  meeting->value[self.lane] = value;
  if (operation == WarpOperation::sync) release(meeting);  // shuffles and votes order no memory
  if (meeting->arrived != mask) {
    self.state = State::in_warp;
    wait();
  } else {
    for (int lane = 0; lane < 32; ++lane)
      if (mask >> lane & 1) threads_[static_cast<size_t>(32 * self.warp + lane)].state = State::ready;
  }
  if (operation == WarpOperation::sync) acquire(meeting);
  return meeting;
}

EMULATOR_UNWATCHED void Block::leave(Meeting* meeting) {
  const Quiet quiet;
  meeting->left |= uint32_t{1} << thread->lane;
  if (meeting->left != meeting->mask) return;
  auto& meetings = open_[static_cast<size_t>(thread->warp)];
  meetings.erase(std::find(meetings.begin(), meetings.end(), meeting));
  delete meeting;
}

}  // namespace emulator
