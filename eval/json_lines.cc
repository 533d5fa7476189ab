#include "eval/json_lines.h"

#include <fmt/format.h>

#include "base/file.h"

namespace octet {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{1} << 30;

// The parser calls each line the first.
Status AtLine(const Status& parsed, const std::string& path, int64_t number) {
  std::string_view message = parsed.message();
  constexpr std::string_view kFirst = "line 1, ";
  if (message.starts_with(kFirst)) message.remove_prefix(kFirst.size());
  return {parsed.code(), fmt::format("{}: line {}, {}", path, number, message)};
}

}  // namespace

Status ForEachJsonLine(const std::string& path, std::string_view bytes,
                       const std::function<Status(const Json& value, int64_t number)>& line) {
  for (int64_t number = 1; !bytes.empty(); ++number) {
    const size_t end = bytes.find('\n');
    const std::string_view text = bytes.substr(0, end);
    bytes.remove_prefix(end == bytes.npos ? bytes.size() : end + 1);
    if (text.find_first_not_of(" \t\r\v\f") == text.npos) continue;
    const Result<Json> value = Json::Parse(text);
    if (!value.ok()) return AtLine(value.status(), path, number);
    const Status status = line(*value, number);
    if (!status.ok()) return status.Annotate(fmt::format("{}: line {}", path, number));
  }
  return {};
}

Status ForEachJsonLine(const std::string& path,
                       const std::function<Status(const Json& value, int64_t number)>& line) {
  OCTET_ASSIGN(const std::string bytes, ReadWholeFile(path, kMaxFileBytes));
  return ForEachJsonLine(path, bytes, line);
}

}  // namespace octet
