// JSON values: parse untrusted text, build, print deterministically.
#ifndef OCTET_BASE_JSON_H_
#define OCTET_BASE_JSON_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"

namespace octet {

// One JSON value. Objects keep the order in which members were added. Copying is deep.
// The library that parses is an implementation detail of json.cc (it is slow to compile).
class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;
  enum class Type : uint8_t { kNull, kBool, kInt, kDouble, kString, kArray, kObject };

  Json() = default;
  Json(bool v) : value_(v) {}                       // NOLINT: implicit by design
  Json(int v) : value_(static_cast<int64_t>(v)) {}  // NOLINT
  Json(int64_t v) : value_(v) {}                    // NOLINT
  Json(double v) : value_(v) {}                     // NOLINT
  Json(const char* v) : value_(std::string(v)) {}   // NOLINT
  Json(std::string v) : value_(std::move(v)) {}     // NOLINT
  Json(Array v) : value_(std::move(v)) {}           // NOLINT
  Json(Object v) : value_(std::move(v)) {}          // NOLINT
  static Json MakeObject() { return Json(Object{}); }
  static Json MakeArray() { return Json(Array{}); }

  // Parses UTF-8 `text`. Accepts what Python's json writes: RFC 8259 plus the bare words Infinity,
  // -Infinity and NaN, which become the strings "Infinity", "-Infinity" and "NaN" (see AsNumber).
  // An integer beyond int64 becomes a double (tokenizers store int(1e30) as a model's maximum).
  // kCorrupt, with line and column, on malformed text, invalid UTF-8, duplicate member names, a
  // number beyond double, or nesting deeper than 64. The message does not name the file.
  static Result<Json> Parse(std::string_view text);
  // Reads and parses the file; errors name it. kTooLarge above `max_bytes`.
  static Result<Json> ParseFile(const std::string& path, int64_t max_bytes);

  Type type() const { return static_cast<Type>(value_.index()); }
  bool is_null() const { return type() == Type::kNull; }
  bool is_bool() const { return type() == Type::kBool; }
  bool is_int() const { return type() == Type::kInt; }
  bool is_number() const { return type() == Type::kInt || type() == Type::kDouble; }
  bool is_string() const { return type() == Type::kString; }
  bool is_array() const { return type() == Type::kArray; }
  bool is_object() const { return type() == Type::kObject; }

  // The value; the type must match (programmer error otherwise).
  bool AsBool() const { return std::get<bool>(value_); }
  int64_t AsInt() const { return std::get<int64_t>(value_); }
  const std::string& AsString() const { return std::get<std::string>(value_); }
  const Array& AsArray() const { return std::get<Array>(value_); }
  Array& AsArray() { return std::get<Array>(value_); }
  const Object& AsObject() const { return std::get<Object>(value_); }
  Object& AsObject() { return std::get<Object>(value_); }
  // Any spelling of a number found in configs: an integer, a double, the strings "Infinity",
  // "-Infinity", "inf", "-inf", and transformers 5's {"__float__": "Infinity"}. NaN is refused.
  Result<double> AsNumber() const;

  // Member of an object, or nullptr when absent or when this is no object.
  const Json* Find(std::string_view key) const;
  // Sets a member, replacing an existing one in place; makes a null value an object first.
  void Set(std::string key, Json value);
  // Removes a member if present.
  void Erase(std::string_view key);
  void Append(Json value);  // makes a null value an array first

  // Text with `indent` spaces per level, or on one line when negative. Doubles are the shortest
  // text that reads back as the same double (1.0, not 1); non-finite ones become the strings that
  // Parse gives for them; ill-formed UTF-8 becomes U+FFFD. The same value always gives the same
  // bytes.
  std::string Dump(int indent = 2) const;

  friend bool operator==(const Json&, const Json&) = default;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
};

// The name of a type for error messages: "a string", "an array", ...
const char* TypeName(Json::Type type);

}  // namespace octet
#endif  // OCTET_BASE_JSON_H_
