#pragma once
// The end of a run by SIGINT, SIGTERM or SIGHUP. No handler runs on the stack of a thread that computes:
// libraries may use the stack pointer as one more register, as oneDNN's AVX2 product does, and the frame of a
// handler would be written into their data.

namespace stopgrad::tools {

class StopSignals {
 public:
  /// Before any other thread starts: those that follow leave the signals to one that waits for them. Until
  /// remember() a signal ends the program, as does a second one after it.
  StopSignals();
  void remember();
  /// The signal that came since remember(); 0 if none did.
  int seen() const;
};

}  // namespace stopgrad::tools
