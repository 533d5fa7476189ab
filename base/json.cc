#include "base/json.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/file.h"
#include "base/utf8.h"

namespace octet {
namespace {

constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxReason = 160;

bool IsJsonSpace(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// The text with quotes around bare Infinity, -Infinity and NaN, and where the quotes went.
struct Quoted {
  std::string text;
  std::vector<size_t> inserted;  // offsets in `text`, ascending
};

// Length of the bare word at `text[at]`, or 0. A word before a colon is a member name, which JSON
// requires to be quoted: the parser shall refuse it.
size_t BareWord(std::string_view text, size_t at) {
  for (const std::string_view word : {"Infinity", "-Infinity", "NaN"}) {
    if (text.substr(at, word.size()) != word) continue;
    size_t next = at + word.size();
    while (next < text.size() && IsJsonSpace(text[next]))
      ++next;
    return next < text.size() && text[next] == ':' ? 0 : word.size();
  }
  return 0;
}

Quoted QuoteBareWords(std::string_view text) {
  Quoted out;
  bool in_string = false;
  size_t copied = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_string = !in_string;
    } else if (!in_string && (c == 'I' || c == '-' || c == 'N')) {
      const size_t length = BareWord(text, i);
      if (length == 0) continue;
      out.text.append(text, copied, i - copied);
      out.inserted.push_back(out.text.size());
      out.text.append("\"").append(text, i, length).append("\"");
      out.inserted.push_back(out.text.size() - 1);
      copied = i + length;
      i = copied - 1;
    }
  }
  if (!out.inserted.empty()) out.text.append(text, copied);
  return out;
}

// Feeds the parser and tells how far it has read, which its callbacks do not.
class Cursor {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  Cursor(const char* at, const char** furthest) : at_(at), furthest_(furthest) {}
  reference operator*() const { return *at_; }
  Cursor& operator++() {
    *furthest_ = ++at_;
    return *this;
  }
  Cursor operator++(int) {
    const Cursor old = *this;
    ++*this;
    return old;
  }
  friend bool operator==(const Cursor& a, const Cursor& b) { return a.at_ == b.at_; }

 private:
  const char* at_;
  const char** furthest_;
};

// What the parser says, without its error number, its position (that of the quoted text) and the
// excerpt of the input, which may be long and not be UTF-8.
std::string Reason(std::string_view what) {
  if (const size_t at = what.find("] "); at != what.npos) what.remove_prefix(at + 2);
  if (what.starts_with("parse error")) {
    if (const size_t at = what.find(": "); at != what.npos) what.remove_prefix(at + 2);
  }
  what = what.substr(0, what.find("; last read"));
  return std::string(what.substr(0, kMaxReason));
}

// Builds the value from the parser's events; the method names are the parser's. A false return
// stops it, with the reason in error().
class Builder {
 public:
  bool null() { return Add(Json()); }
  bool boolean(bool v) { return Add(Json(v)); }
  bool number_integer(int64_t v) { return Add(Json(v)); }
  bool number_unsigned(uint64_t v) {
    if (v > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Add(Json(static_cast<double>(v)));
    }
    return Add(Json(static_cast<int64_t>(v)));
  }
  bool number_float(double v, const std::string&) { return Add(Json(v)); }
  bool string(std::string& v) { return Add(Json(std::move(v))); }
  bool binary(std::vector<uint8_t>&) { return Fail("binary value"); }
  bool start_object(size_t) { return Open(Json::MakeObject()); }
  bool start_array(size_t) { return Open(Json::MakeArray()); }
  bool end_object() { return Close(); }
  bool end_array() { return Close(); }
  bool key(std::string& name) {
    Level& level = open_.back();
    if (!level.names.insert(name).second) {
      return Fail("duplicate member name \"" + name.substr(0, kMaxReason) + "\"");
    }
    level.name = std::move(name);
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::json::exception& e) {
    return Fail(Reason(e.what()));
  }

  const std::string& error() const { return error_; }
  Json Take() { return std::move(root_); }

 private:
  struct Level {
    Json value;
    std::string name;  // of the member to come
    std::unordered_set<std::string> names;
  };

  bool Fail(std::string reason) {
    error_ = std::move(reason);
    return false;
  }
  bool Open(Json empty) {
    if (open_.size() == kMaxDepth) {
      return Fail("nested deeper than " + std::to_string(kMaxDepth) + " levels");
    }
    open_.push_back({std::move(empty), {}, {}});
    return true;
  }
  bool Close() {
    Json done = std::move(open_.back().value);
    open_.pop_back();
    return Add(std::move(done));
  }
  bool Add(Json v) {
    if (open_.empty()) {
      root_ = std::move(v);
    } else if (Level& level = open_.back(); level.value.is_array()) {
      level.value.AsArray().push_back(std::move(v));
    } else {
      level.value.AsObject().emplace_back(std::move(level.name), std::move(v));
    }
    return true;
  }

  Json root_;
  std::vector<Level> open_;
  std::string error_;
};

// "line 3, column 7: reason" for the byte before `end`, the last one that was read.
Status At(std::string_view text, size_t end, const std::string& reason) {
  const std::string_view before = text.substr(0, end == 0 ? 0 : std::min(end, text.size()) - 1);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t newline = before.rfind('\n');
  const size_t column = newline == before.npos ? before.size() + 1 : before.size() - newline;
  return Corrupt("line " + std::to_string(line) + ", column " + std::to_string(column) + ": " +
                 reason);
}

Result<double> NamedNumber(std::string_view name) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (name == "Infinity" || name == "inf") return kInfinity;
  if (name == "-Infinity" || name == "-inf") return -kInfinity;
  return Corrupt("expected a number, found the string \"" +
                 std::string(name.substr(0, kMaxReason)) + "\"");
}

// Ill-formed UTF-8, as file names may have it, becomes U+FFFD: no parser would take the text back.
void DumpString(std::string_view text, std::string* out) {
  const std::string s = ReplaceIllFormed(text);
  constexpr std::string_view kHex = "0123456789abcdef";
  constexpr std::string_view kEscaped = "\"\\\b\f\n\r\t";
  constexpr std::string_view kLetter = "\"\\bfnrt";
  out->push_back('"');
  for (const char c : s) {
    if (const size_t at = kEscaped.find(c); at != kEscaped.npos) {
      out->push_back('\\');
      out->push_back(kLetter[at]);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out->append("\\u00").push_back(kHex[static_cast<size_t>(c) >> 4]);
      out->push_back(kHex[static_cast<size_t>(c) & 15]);
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

void DumpDouble(double v, std::string* out) {
  if (!std::isfinite(v)) {
    DumpString(std::isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity", out);
    return;
  }
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, v).ptr;
  const std::string_view text(digits, static_cast<size_t>(end - digits));
  out->append(text);
  // 1 would read back as an integer.
  if (text.find_first_of(".e") == text.npos) out->append(".0");
}

void Break(int indent, int level, std::string* out) {
  if (indent < 0) return;
  out->push_back('\n');
  out->append(static_cast<size_t>(indent) * static_cast<size_t>(level), ' ');
}

void DumpValue(const Json& v, int indent, int level, std::string* out) {
  switch (v.type()) {
    case Json::Type::kNull:
      out->append("null");
      return;
    case Json::Type::kBool:
      out->append(v.AsBool() ? "true" : "false");
      return;
    case Json::Type::kInt:
      out->append(std::to_string(v.AsInt()));
      return;
    case Json::Type::kDouble:
      // AsNumber refuses exactly one double.
      DumpDouble(v.AsNumber().ok() ? *v.AsNumber() : std::nan(""), out);
      return;
    case Json::Type::kString:
      DumpString(v.AsString(), out);
      return;
    case Json::Type::kArray: {
      const char* separator = "[";
      for (const Json& item : v.AsArray()) {
        out->append(separator);
        Break(indent, level + 1, out);
        DumpValue(item, indent, level + 1, out);
        separator = indent < 0 ? ", " : ",";
      }
      if (v.AsArray().empty()) out->append("[");
      if (!v.AsArray().empty()) Break(indent, level, out);
      out->push_back(']');
      return;
    }
    case Json::Type::kObject: {
      const char* separator = "{";
      for (const auto& [name, item] : v.AsObject()) {
        out->append(separator);
        Break(indent, level + 1, out);
        DumpString(name, out);
        out->append(": ");
        DumpValue(item, indent, level + 1, out);
        separator = indent < 0 ? ", " : ",";
      }
      if (v.AsObject().empty()) out->append("{");
      if (!v.AsObject().empty()) Break(indent, level, out);
      out->push_back('}');
      return;
    }
  }
}

}  // namespace

Result<Json> Json::Parse(std::string_view text) {
  // The parser takes a zero byte for the end of the input and would ignore what follows.
  if (const size_t zero = text.find('\0'); zero != text.npos) {
    return At(text, zero + 1, "zero byte");
  }
  const Quoted quoted = QuoteBareWords(text);
  const std::string_view source = quoted.inserted.empty() ? text : std::string_view(quoted.text);
  const char* furthest = source.data();
  Builder builder;
  const bool parsed = nlohmann::json::sax_parse(
      Cursor(source.data(), &furthest), Cursor(source.data() + source.size(), &furthest), &builder);
  if (parsed) return builder.Take();
  const auto end = static_cast<size_t>(furthest - source.data());
  const auto extra = std::lower_bound(quoted.inserted.begin(), quoted.inserted.end(), end) -
                     quoted.inserted.begin();
  return At(text, end - static_cast<size_t>(extra), builder.error());
}

Result<Json> Json::ParseFile(const std::string& path, int64_t max_bytes) {
  const Result<std::string> text = ReadWholeFile(path, max_bytes);
  if (!text.ok()) return text.status();
  Result<Json> json = Parse(*text);
  if (!json.ok()) return json.status().Annotate(path);
  return json;
}

Result<double> Json::AsNumber() const {
  if (is_int()) return static_cast<double>(AsInt());
  if (const double* v = std::get_if<double>(&value_)) {
    if (std::isnan(*v)) return Corrupt("expected a number, found NaN");
    return *v;
  }
  if (is_string()) return NamedNumber(AsString());
  if (const Json* v = Find("__float__"); v != nullptr && v->is_string()) {
    return NamedNumber(v->AsString());
  }
  return Corrupt(std::string("expected a number, found ") + TypeName(type()));
}

const Json* Json::Find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const Member& m : AsObject()) {
    if (m.first == key) return &m.second;
  }
  return nullptr;
}

void Json::Set(std::string key, Json value) {
  if (is_null()) value_ = Object{};
  for (Member& m : AsObject()) {
    if (m.first != key) continue;
    m.second = std::move(value);
    return;
  }
  AsObject().emplace_back(std::move(key), std::move(value));
}

void Json::Erase(std::string_view key) {
  if (!is_object()) return;
  std::erase_if(AsObject(), [key](const Member& m) { return m.first == key; });
}

void Json::Append(Json value) {
  if (is_null()) value_ = Array{};
  AsArray().push_back(std::move(value));
}

std::string Json::Dump(int indent) const {
  std::string out;
  DumpValue(*this, indent, 0, &out);
  return out;
}

const char* TypeName(Json::Type type) {
  switch (type) {
    case Json::Type::kNull:
      return "null";
    case Json::Type::kBool:
      return "a boolean";
    case Json::Type::kInt:
      return "an integer";
    case Json::Type::kDouble:
      return "a number";
    case Json::Type::kString:
      return "a string";
    case Json::Type::kArray:
      return "an array";
    case Json::Type::kObject:
      return "an object";
  }
  return "nothing";
}

}  // namespace octet
