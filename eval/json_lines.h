// Files of one JSON value per line.
#ifndef OCTET_EVAL_JSON_LINES_H_
#define OCTET_EVAL_JSON_LINES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"

namespace octet {

// Calls `line` with the value of each line of `bytes` that is not blank and the number of the line,
// from 1, until it gives an error. Errors, also of the parser, start with `path` and the line.
Status ForEachJsonLine(const std::string& path, std::string_view bytes,
                       const std::function<Status(const Json& value, int64_t number)>& line);

// The same for the file `path`, a regular file of at most 1 GiB; errors as of ReadWholeFile.
Status ForEachJsonLine(const std::string& path,
                       const std::function<Status(const Json& value, int64_t number)>& line);

}  // namespace octet
#endif  // OCTET_EVAL_JSON_LINES_H_
