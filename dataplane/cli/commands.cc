#include "dataplane/cli/commands.h"

#include <algorithm>
#include <optional>
#include <thread>

#include "dataplane/cli/admin_client.h"
#include "dataplane/control/admin.h"
#include "dataplane/control/admin_reply.h"
#include "dataplane/control/config_check.h"
#include "dataplane/explain/question.h"

namespace headgate::cli {
namespace {

using control::Command;
using control::Options;

constexpr int kChangeTurns = 100;
constexpr Duration kAnswerLimit = std::chrono::seconds(60);  // an upgrade may take 30

void print_line(std::FILE* file, const std::string& line) { std::fprintf(file, "%s\n", line.c_str()); }

int print_report(const control::ConfigReport& report, const Output& output) {
  for (const std::string& line : report.problems) print_line(output.err, line);
  std::fputs(report.text.c_str(), output.out);
  // A full disk must not look like success to what reads the output.
  return std::fflush(output.out) == 0 && report.ok ? 0 : 1;
}

// Where the running process listens: -admin, the file's "admin", or the default. Exit code in `code` when there is none.
std::optional<SocketAddress> find_admin(const Options& options, const Output& output, int& code) {
  const std::string text = !options.admin.empty() ? options.admin : control::configured_admin(options);
  code = 2;
  if (text.empty()) {
    SocketAddress address = control::default_admin_address();
    if (address.family() != SocketAddress::Family::kNone) return address;
    print_line(output.err, "headgate: no XDG_RUNTIME_DIR: say with -admin where the process listens");
    return std::nullopt;
  }
  auto address = control::parse_admin_address(text);
  if (!address) {
    print_line(output.err, "headgate: admin address '" + text + "': " + address.error().detail);
    return std::nullopt;
  }
  if (address->family() != SocketAddress::Family::kNone) return *address;
  print_line(output.err, "headgate: the admin listener is off");
  return std::nullopt;
}

std::optional<AdminResponse> ask(const Options& options, const Output& output, std::string_view method,
                                 std::string_view path, int& code) {
  const auto address = find_admin(options, output, code);
  if (!address) return std::nullopt;
  code = 1;
  auto response = ask_admin(*address, method, path, kAnswerLimit);
  if (response) return std::move(*response);
  std::string line = "headgate: " + address->to_string() + ": ";
  if (response.error().code == Errc::kRefused) {
    line += "no process listens here (is it running, and with this -admin?)";
  } else {
    line += to_string(response.error());
  }
  print_line(output.err, line);
  return std::nullopt;
}

const char* path_of(Command command) {
  switch (command) {
    case Command::kReload: return "/reload";
    case Command::kDrain: return "/drain";
    case Command::kReopen: return "/reopen";
    case Command::kUpgrade: return "/upgrade";
    case Command::kStatus: return "/stats";
    case Command::kHealthCheck: return "/readyz";
    case Command::kServe:
    case Command::kExplain: return "/explain";
    case Command::kCheck:
    case Command::kPrint:
    case Command::kHelp:
    case Command::kVersion: break;
  }
  return "/";
}

std::string problem_line(const control::AdminProblem& problem) {
  std::string line = problem.file;
  if (problem.line > 0) {
    line += (line.empty() ? "" : ":") + std::to_string(problem.line) + ":" + std::to_string(problem.column);
  }
  if (!line.empty()) line += ": ";
  if (!problem.path.empty()) line += problem.path + ": ";
  return line + problem.message;
}

}  // namespace

int run_check(const Options& options, const Output& output) {
  return print_report(control::check_config(options), output);
}

int run_print(const Options& options, const Output& output) {
  return print_report(control::print_config(options), output);
}

int run_explain(const Options& options, const Output& output) {
  explain::Question question{.url = options.explain.url, .headers = options.explain.headers};
  if (!options.explain.method.empty()) question.method = options.explain.method;
  if (!options.explain.client.empty()) question.client = options.explain.client;
  if (!options.config.empty()) return print_report(control::explain_config(options, std::move(question)), output);
  const std::string path = std::string(path_of(options.command)) + "?" + explain::to_query(question);
  int code = 0;
  auto response = ask(options, output, "GET", path, code);
  // While a change is on its way to the workers, which takes milliseconds.
  for (int turn = 0; response && response->status == 503 && turn < kChangeTurns; ++turn) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    response = ask(options, output, "GET", path, code);
  }
  if (!response) return code;
  if (response->status != 200) {
    std::fprintf(output.err, "headgate: %s", response->body.c_str());
    return 1;
  }
  std::fputs(response->body.c_str(), output.out);
  return std::fflush(output.out) == 0 ? 0 : 1;
}

int run_status(const Options& options, const Output& output) {
  int code = 0;
  const auto response = ask(options, output, "GET", path_of(options.command), code);
  if (!response) return code;
  const auto reply = control::read_stats(response->body);
  if (response->status != 200 || !reply) {
    print_line(output.err, "headgate: unexpected answer, status " + std::to_string(response->status));
    return 1;
  }
  std::fputs(status_table(*reply).c_str(), output.out);
  return std::fflush(output.out) == 0 ? 0 : 1;
}

int run_health_check(const Options& options, const Output& output) {
  int code = 0;
  const auto response = ask(options, output, "GET", path_of(options.command), code);
  if (!response) return code;
  if (response->status == 200) return 0;
  const std::string_view reason(response->body.data(), std::min(response->body.find('\n'), response->body.size()));
  print_line(output.err, "headgate: not ready: " + std::string(reason));
  return 1;
}

int run_action(const Options& options, const Output& output) {
  int code = 0;
  const auto response = ask(options, output, "POST", path_of(options.command), code);
  if (!response) return code;
  const auto outcome = control::read_outcome(response->body);
  if (!outcome) {
    print_line(output.err, "headgate: unexpected answer, status " + std::to_string(response->status));
    return 1;
  }
  for (const control::AdminProblem& problem : outcome->problems) print_line(output.err, problem_line(problem));
  if (!outcome->message.empty()) print_line(outcome->ok ? output.out : output.err, outcome->message);
  return outcome->ok ? 0 : 1;
}

int run_command(const Options& options, const Output& output) {
  switch (options.command) {
    case Command::kCheck: return run_check(options, output);
    case Command::kPrint: return run_print(options, output);
    case Command::kExplain: return run_explain(options, output);
    case Command::kStatus: return run_status(options, output);
    case Command::kHealthCheck: return run_health_check(options, output);
    case Command::kReload:
    case Command::kDrain:
    case Command::kReopen:
    case Command::kUpgrade: return run_action(options, output);
    case Command::kHelp: std::fputs(control::help_text().c_str(), output.out); return 0;
    case Command::kVersion: std::fputs(control::version_text().c_str(), output.out); return 0;
    case Command::kServe: break;
  }
  return 2;
}

}  // namespace headgate::cli
