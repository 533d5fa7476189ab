// What a person sees: progress, tables, messages.
#ifndef OCTET_APPS_CLI_TERM_H_
#define OCTET_APPS_CLI_TERM_H_

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "eval/machine_load.h"
#include "eval/progress.h"

namespace octet::cli {

// Writes to standard output. Errors show when Flush is called.
void Print(std::string_view text);
// kIo when something printed so far could not be written.
Status Flush();
// The object with "schema": "octet.<command>/1" in front.
Json WithSchema(std::string_view command, Json object);
// That to standard output.
void PrintJson(std::string_view command, Json object);

// `text`, which an untrusted file may have supplied, without what a terminal would obey or a line
// cannot hold: control characters (U+0000 to U+001F, U+007F to U+009F) become '?', bytes that are
// no UTF-8 U+FFFD.
std::string Printable(std::string_view text);

// "octet: <message>", made Printable, on one line of standard error.
void PrintError(std::string_view message);
void PrintWarning(std::string_view message);
void PrintNote(std::string_view message);
// "<what> ..." on standard error, before work that takes a while.
void PrintStep(std::string_view what);

// A bar on standard error, redrawn in place when it is a terminal, else a line now and then. Shows
// nothing for what takes less than about two seconds. Another phrase, or less done than before, is
// another piece of work, whose remaining time is its own. Thread-safe.
class ProgressBar {
 public:
  // `clock` in seconds.
  explicit ProgressBar(std::function<double()> clock = WallSeconds);
  ~ProgressBar();  // removes the bar
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void Update(std::string_view what, int64_t done, int64_t total);
  // For the library; the bar must outlive it. `prefix` goes before each phrase ("absmax: ").
  Progress Callback(std::string prefix = "");

 private:
  void Draw(double fraction, double elapsed);
  void Erase();

  std::mutex mutex_;
  const std::function<double()> clock_;
  const bool terminal_;
  bool drawn_ = false;
  std::string what_;
  double first_ = 0;  // share that was done when it started: a run may go on with an earlier one
  double last_ = 0;   // share at the last update
  double started_ = 0, shown_ = 0;
};

// Columns as wide as their content: the first to the left, the others as told. The header is bold
// on a terminal.
class Table {
 public:
  enum class Align : uint8_t { kLeft, kRight };
  explicit Table(std::vector<std::string> header, Align others = Align::kRight)
      : rows_{std::move(header)}, others_(others) {}
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string Text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
  Align others_;
};

// `text` with a line break for the last blank that keeps a line within `columns`; lines after the
// first start with `indent` blanks.
std::string Wrap(std::string_view text, size_t columns, size_t indent = 0);

std::string FormatBytes(int64_t bytes);    // "9.55 MB": powers of 1000
std::string FormatCount(int64_t n);        // "4,773,888"
std::string FormatPercent(double share);   // "97.31 %"
std::string FormatDecimals(double value);  // "1.0234", "0.000123": about 4 significant digits
std::string FormatNumber(int64_t n, std::string_view noun);  // "1 site", "2,000 sites"

}  // namespace octet::cli
#endif  // OCTET_APPS_CLI_TERM_H_
