#include "tools/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <new>

#include "kernels/check.h"

namespace stopgrad::tools {

namespace {
/// A number in the limits; what CLI11 cannot read as a number it reports itself.
CLI::Validator within(const Allowed& allowed) {
  const std::string range = !allowed.most    ? fmt::format("at least {}", *allowed.least)
                            : !allowed.least ? fmt::format("at most {}", *allowed.most)
                                             : fmt::format("{} to {}", *allowed.least, *allowed.most);
  return {[allowed, range](std::string& text) {
            double value = 0;
            if (!CLI::detail::lexical_cast(text, value)) return text + " is not a number";
            const bool fits = value >= allowed.least.value_or(value) && value <= allowed.most.value_or(value);
            return fits ? std::string() : fmt::format("{} is not {}", text, range);
          },
          range};
}
}  // namespace

void say(const std::string& text) {
  std::fputs((text + "\n").c_str(), stderr);
  std::fflush(stderr);
}

CommandLine::CommandLine(const std::string& description, const std::string& name)
    : name_(name), app_(std::make_shared<CLI::App>(description, name)) {
  app_->option_defaults()->always_capture_default();
}

void CommandLine::option(const std::string& name, Place place, const std::string& help,
                         const Allowed& allowed) {
  CLI::Option* const option =
      std::visit([&](auto* value) { return app_->add_option(name, *value, help); }, place);
  if (std::holds_alternative<std::vector<std::string>*>(place)) option->expected(1, -1);
  if (allowed.bare) option->expected(0, 1)->default_str(*allowed.bare);
  if (allowed.least || allowed.most) option->check(within(allowed));
  if (!allowed.choices.empty()) option->check(CLI::IsMember(allowed.choices));
  option->required(allowed.required);
}

void CommandLine::flag(const std::string& name, bool& place, const std::string& help) {
  app_->add_flag(name, place, help);
}

void CommandLine::footer(const std::string& text) { app_->footer(text); }
void CommandLine::version(const std::string& text) { app_->set_version_flag("--version", text); }
void CommandLine::keep_unknown() { app_->allow_extras(); }
std::vector<std::string> CommandLine::rest() const { return app_->remaining(); }

CommandLine CommandLine::command(const std::string& name, const std::string& description,
                                 std::function<int()> run) {
  app_->require_subcommand(1);
  CommandLine out;
  out.app_ = {app_, app_->add_subcommand(name, description)};  // lives as long as the program's
  out.app_->callback([run = std::move(run), code = exit_code_] { *code = run(); });
  return out;
}

int CommandLine::run(int argc, char** argv, const std::function<int()>& body) {
  const auto failed = [this](const std::exception& e, Exit code) {
    say(fmt::format("{}: {}", name_, e.what()));
    return static_cast<int>(code);
  };
  try {
    app_->parse(argc, argv);
    if (body) *exit_code_ = body();
    if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return *exit_code_;
    say(name_ + ": cannot write the output");
    return static_cast<int>(Exit::write);
  } catch (const CLI::ParseError& e) {
    return app_->exit(e) == 0 ? 0 : static_cast<int>(Exit::usage);
  } catch (const Error& e) {
    return failed(e, e.code());
  } catch (const std::bad_alloc&) {
    say(name_ + ": out of memory; use a smaller batch or fewer images");
    return static_cast<int>(Exit::memory);
  } catch (const std::system_error& e) {
    return failed(e, Exit::write);
  } catch (const std::exception& e) {
    return failed(e, Exit::failed);
  }
}

}  // namespace stopgrad::tools
