#pragma once
// What a program accepts on its command line. CLI11 reads it; its headers, which cost a file ten seconds to
// compile, are in command_line.cpp alone.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace CLI {
class App;
}

namespace stopgrad::tools {

/// Which values an option takes. Others are usage errors that name the option.
struct Allowed {
  std::optional<double> least, most;  // of a number
  std::vector<std::string> choices;   // of a text; empty: any
  bool required = false;
  std::optional<std::string> bare;  // what the option stands for without a value; none: it needs one
};

class CommandLine {
 public:
  /// What an option fills. Its value at that moment is the default, which --help shows.
  using Place = std::variant<std::string*, std::vector<std::string>*, int*, int64_t*, uint64_t*, double*>;

  CommandLine(const std::string& description, const std::string& name);

  /// "--name", or "name" for an argument by position.
  void option(const std::string& name, Place place, const std::string& help, const Allowed& allowed = {});
  void flag(const std::string& name, bool& place, const std::string& help);
  void footer(const std::string& text);
  void version(const std::string& text);
  /// One of several things that a program does; `run` gives its exit code.
  CommandLine command(const std::string& name, const std::string& description, std::function<int()> run);

  /// What is no option stays, for another reader of the command line: `rest`, after it was read.
  void keep_unknown();
  std::vector<std::string> rest() const;

  /// Reads the arguments and does what they ask for: help, or the command that they name, or `body`. The
  /// exit code; what was thrown is said on stderr and has the code that the README lists.
  int run(int argc, char** argv, const std::function<int()>& body = {});

 private:
  CommandLine() = default;
  std::string name_;
  std::shared_ptr<CLI::App> app_;
  std::shared_ptr<int> exit_code_ = std::make_shared<int>(0);
};

/// A line on stderr; one that cannot be written is not worth more than what it tells of.
void say(const std::string& text);

}  // namespace stopgrad::tools
