#include "apps/cli/term.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

#include "base/utf8.h"
#include "io/temporary_folder.h"

namespace octet::cli {
namespace {

constexpr double kQuietSeconds = 2;  // what takes less is not worth a bar
constexpr double kRedrawSeconds = 0.1;
constexpr double kLineSeconds = 10;  // between lines when there is no terminal
constexpr int kBarWidth = 24;

bool IsTerminal(int fd) {
  const char* term = std::getenv("TERM");
  return isatty(fd) == 1 && term != nullptr && std::string_view(term) != "dumb";
}

// Bold when `on`; NO_COLOR (no-color.org) switches it off.
std::string Bold(std::string_view text) {
  const char* no_color = std::getenv("NO_COLOR");
  const bool on = IsTerminal(STDOUT_FILENO) && (no_color == nullptr || *no_color == '\0');
  return on ? fmt::format("\033[1m{}\033[0m", text) : std::string(text);
}

// Not through fmt::print, which throws where standard error cannot be written.
void PrintRaw(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
}

void PrintMessage(std::string_view kind, std::string_view message) {
  PrintRaw(Printable(fmt::format("octet: {}{}", kind, message)) + '\n');
}

// When the reader of the output went away, as `head` does: silently, like other programs.
void EndOnClosedPipe() {
  if (errno == EPIPE) EndBySignal(SIGPIPE);
}

std::string FormatSeconds(double s) {
  const int64_t n = std::llround(s);
  return n < 90 ? fmt::format("{} s", n) : fmt::format("{} min", (n + 30) / 60);
}

}  // namespace

void Print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) < text.size()) EndOnClosedPipe();
}

Status Flush() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return {};
  EndOnClosedPipe();
  return IoError("standard output could not be written");
}

Json WithSchema(std::string_view command, Json object) {
  Json all = Json::MakeObject();
  all.Set("schema", fmt::format("octet.{}/1", command));
  for (auto& [key, value] : object.AsObject()) {
    all.Set(key, std::move(value));
  }
  return all;
}

void PrintJson(std::string_view command, Json object) {
  Print(WithSchema(command, std::move(object)).Dump(2) + "\n");
}

std::string Printable(std::string_view text) {
  std::string printable;
  bool after_c2 = false;  // U+0080 to U+009F are C2 80 to C2 9F
  for (const char c : ReplaceIllFormed(text)) {
    const auto byte = static_cast<unsigned char>(c);
    if (after_c2 && byte < 0xa0) {
      printable.back() = '?';
    } else {
      printable += byte < 0x20 || byte == 0x7f ? '?' : c;
    }
    after_c2 = byte == 0xc2;
  }
  return printable;
}

void PrintError(std::string_view message) {
  PrintMessage("", message);
}

void PrintWarning(std::string_view message) {
  PrintMessage("warning: ", message);
}

void PrintNote(std::string_view message) {
  PrintMessage("", message);
}

void PrintStep(std::string_view what) {
  PrintRaw(fmt::format("{} ...\n", what));
}

ProgressBar::ProgressBar(std::function<double()> clock)
    : clock_(std::move(clock)), terminal_(IsTerminal(STDERR_FILENO)) {}

ProgressBar::~ProgressBar() {
  Erase();
}

void ProgressBar::Erase() {
  if (drawn_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

void ProgressBar::Update(std::string_view what, int64_t done, int64_t total) {
  const std::lock_guard lock(mutex_);
  const double now = clock_();
  const double fraction =
      static_cast<double>(done) / static_cast<double>(std::max<int64_t>(1, total));
  if (what != what_ || fraction < last_) {
    Erase();
    what_ = what;
    started_ = now;
    shown_ = now - kLineSeconds;
    first_ = fraction;
  }
  last_ = fraction;
  if (done >= total) return Erase();
  const double elapsed = now - started_;
  const bool slow = elapsed > kQuietSeconds ||
                    (elapsed > kQuietSeconds / 4 && elapsed / fraction > 2 * kQuietSeconds);
  if (!slow || now - shown_ < (terminal_ ? kRedrawSeconds : kLineSeconds)) return;
  shown_ = now;
  Draw(fraction, elapsed);
}

void ProgressBar::Draw(double fraction, double elapsed) {
  std::string left;
  if (const double gained = fraction - first_; gained > 0) {
    left = fmt::format(", {} left", FormatSeconds(elapsed / gained * (1 - fraction)));
  }
  if (!terminal_) {
    PrintRaw(fmt::format("{}: {:.0f} %{}\n", what_, 100 * fraction, left));
    return;
  }
  const int full = static_cast<int>(fraction * kBarWidth);
  PrintRaw(fmt::format("\r\033[K{} [{:#<{}}{:.<{}}] {:.0f} %{}", what_, "", full, "",
                       kBarWidth - full, 100 * fraction, left));
  std::fflush(stderr);
  drawn_ = true;
}

Progress ProgressBar::Callback(std::string prefix) {
  return [this, prefix = std::move(prefix)](std::string_view what, int64_t done, int64_t total) {
    Update(prefix + std::string(what), done, total);
  };
}

std::string Table::Text() const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      if (i > 0) line += "  ";
      line += i == 0 || others_ == Align::kLeft ? fmt::format("{:<{}}", row[i], widths[i])
                                                : fmt::format("{:>{}}", row[i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += (&row == &rows_.front() ? Bold(line) : line) + "\n";
  }
  return text;
}

std::string Wrap(std::string_view text, size_t columns, size_t indent) {
  std::string wrapped;
  size_t column = 0;
  bool first = true;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (!first && column + 1 + word.size() > columns) {
      wrapped += '\n' + std::string(indent, ' ');
      column = indent;
    } else if (!first) {
      wrapped += ' ';
      ++column;
    }
    first = false;
    wrapped += word;
    column += word.size();
  }
  return wrapped;
}

std::string FormatBytes(int64_t bytes) {
  const char* const units[] = {"kB", "MB", "GB", "TB"};
  if (bytes < 1000) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1000;
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < std::size(units)) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0, units[unit]);
}

std::string FormatCount(int64_t n) {
  const std::string digits = fmt::format("{}", n);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0 && digits[i - 1] != '-') text += ',';
    text += digits[i];
  }
  return text;
}

std::string FormatNumber(int64_t n, std::string_view noun) {
  return fmt::format("{} {}{}", FormatCount(n), noun, n == 1 ? "" : "s");
}

std::string FormatPercent(double share) {
  return fmt::format("{:.2f} %", 100 * share);
}

std::string FormatDecimals(double value) {
  const double size = std::abs(value);
  if (size >= 100) return fmt::format("{:.1f}", value);
  if (size >= 0.1 || size == 0) return fmt::format("{:.4f}", value);
  return fmt::format("{:.3g}", value);
}

}  // namespace octet::cli
