#include "arch/config_reader.h"

#include <fmt/format.h>

namespace octet {

Status ConfigReader::Bad(std::string_view key, std::string_view wanted) const {
  const Json* value = object_.Find(key);
  return InvalidArgument(fmt::format("{}{} is {}, but must be {}", where_, key,
                                     value == nullptr ? "absent" : value->Dump(-1).substr(0, 200),
                                     wanted));
}

Result<std::optional<int64_t>> ConfigReader::Size(std::string_view key) const {
  const Json* value = object_.Find(key);
  if (value == nullptr || value->is_null()) return std::optional<int64_t>();
  if (!value->is_int() || value->AsInt() < 1 || value->AsInt() >= (int64_t{1} << 31)) {
    return Bad(key, "a positive integer below 2^31");
  }
  return std::optional<int64_t>(value->AsInt());
}

Result<bool> ConfigReader::Bool(std::string_view key, bool fallback) const {
  const Json* value = object_.Find(key);
  if (value == nullptr || value->is_null()) return fallback;
  if (!value->is_bool()) return Bad(key, "true or false");
  return value->AsBool();
}

Result<double> ConfigReader::Number(std::string_view key, double fallback) const {
  const Json* value = object_.Find(key);
  if (value == nullptr || value->is_null()) return fallback;
  Result<double> number = value->AsNumber();
  if (!number.ok()) return Bad(key, "a number");
  return *number;
}

}  // namespace octet
