// Typed reading of config.json, with one sentence for each kind of nonsense.
#ifndef OCTET_ARCH_CONFIG_READER_H_
#define OCTET_ARCH_CONFIG_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"

namespace octet {

// Reads members of one JSON object; `where` prefixes errors ("config.json: ssm_cfg.").
class ConfigReader {
 public:
  ConfigReader(const Json& object, std::string where) : object_(object), where_(std::move(where)) {}

  // A size in [1, 2^31), or nothing when absent or null. kInvalidArgument when it is something
  // else: negative, zero, fractional, a string.
  Result<std::optional<int64_t>> Size(std::string_view key) const;
  // `fallback` when absent or null.
  Result<bool> Bool(std::string_view key, bool fallback) const;
  // A finite or infinite number; `fallback` when absent or null.
  Result<double> Number(std::string_view key, double fallback) const;
  const Json* Find(std::string_view key) const { return object_.Find(key); }
  Status Bad(std::string_view key, std::string_view wanted) const;

 private:
  const Json& object_;
  std::string where_;
};

}  // namespace octet
#endif  // OCTET_ARCH_CONFIG_READER_H_
