#pragma once
// Which algorithm each library call takes: kept in memory, in a file for the next run, and as text for
// checkpoints. Keys and choices are words of the plans; the book only keeps them.
#include <functional>
#include <map>
#include <string>

namespace stopgrad::cuda {

class Context;

class PlanBook {
 public:
  /// `origin` names what choices hold for: device and library versions. `file` is read at once; a damaged or
  /// foreign one is no error, nor one that is not there. Empty: none.
  PlanBook(std::string origin, std::string file,
           std::function<void(const std::string&)> warn = warn_on_stderr);

  /// What was chosen before: pinned, taken in this process or read from the file; empty if nothing was.
  std::string find(const std::string& key) const;
  /// The choice is in use. A timed one goes into the file, which is replaced in one step.
  void take(const std::string& key, const std::string& choice, bool timed);

  /// The format, the origin, then a line for each choice in use or pinned.
  std::string text() const;
  /// Makes find() give these choices. Returns why not, if they are of another origin or version; empty when
  /// pinned.
  std::string pin(const std::string& text);

  static void warn_on_stderr(const std::string& message);

 private:
  using Choices = std::map<std::string, std::string>;
  void read();
  void write();

  std::string origin_, file_;
  std::function<void(const std::string&)> warn_;
  Choices used_, kept_;  // of this process and its checkpoint; of the file
};

/// The file for choices of this origin: in $XDG_CACHE_HOME/stopgrad or ~/.cache/stopgrad; empty if the
/// environment names neither.
std::string plan_file(const std::string& origin);

/// The text() of a context's book.
std::string library_plans(Context& context);
/// Pins in it, for all plans to come and those that are there. Returns why not; empty when pinned.
std::string pin_library_plans(Context& context, const std::string& text);

}  // namespace stopgrad::cuda
