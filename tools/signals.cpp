#include "tools/signals.h"

#include <pthread.h>

#include <atomic>
#include <csignal>
#include <thread>

namespace stopgrad::tools {

namespace {

// They outlive every object: the thread that waits is never joined.
std::atomic<bool> remembers = false;
std::atomic<int> first_seen = 0;

[[noreturn]] void end_by(int number) {
  std::signal(number, SIG_DFL);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, number);
  pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
  std::raise(number);
  std::abort();
}

}  // namespace

StopSignals::StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals] {
    for (int number = 0; sigwait(&signals, &number) == 0;)
      if (!remembers || first_seen.exchange(number) != 0) end_by(number);
  }).detach();
}

void StopSignals::remember() { remembers = true; }

int StopSignals::seen() const { return first_seen; }

}  // namespace stopgrad::tools
