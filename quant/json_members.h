// The members of a struct as JSON, each told once: written, read strictly, described as a schema.
//
//   template <class Visitor>
//   static void Members(Rule& r, Visitor& v) { v.Flag("optional", r.optional, "help"); ... }
//
// in the namespace of Rule; a visitor is one of the three classes below.
#ifndef OCTET_QUANT_JSON_MEMBERS_H_
#define OCTET_QUANT_JSON_MEMBERS_H_

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/json.h"
#include "base/status.h"

namespace octet {

using NamedIntegers = std::map<std::string, int, std::less<>>;

class JsonWriter {
 public:
  void Text(const char* name, const std::string& value, const char*) { json.Set(name, value); }
  void Flag(const char* name, bool value, const char*) { json.Set(name, value); }
  void Number(const char* name, double value, double, double, const char*) {
    json.Set(name, value);
  }
  void Integer(const char* name, std::integral auto value, int64_t, int64_t, const char*) {
    json.Set(name, static_cast<int64_t>(value));
  }
  void Integer(const char* name, int64_t value, std::span<const int64_t>, const char*) {
    json.Set(name, value);
  }
  template <class Enum, size_t n>
  void Choice(const char* name, Enum value, const std::array<const char*, n>& names, const char*) {
    json.Set(name, names[static_cast<size_t>(value)]);
  }
  template <class Rule>
  void Rules(const char* name, std::vector<Rule>& rules, const char*) {
    Json array = Json::MakeArray();
    for (Rule& r : rules) {
      JsonWriter writer;
      Members(r, writer);
      array.Append(std::move(writer.json));
    }
    json.Set(name, std::move(array));
  }
  template <class Part>
  void Object(const char* name, Part& part, const char*) {
    JsonWriter writer;
    Members(part, writer);
    json.Set(name, std::move(writer.json));
  }
  void Integers(const char* name, const NamedIntegers& values, int64_t, int64_t, const char*) {
    Json object = Json::MakeObject();
    for (const auto& [key, value] : values) {
      object.Set(key, value);
    }
    json.Set(name, std::move(object));
  }

  Json json = Json::MakeObject();
};

class JsonReader {
 public:
  explicit JsonReader(const Json& json) : json_(json) {}

  void Text(const char* name, std::string& value, const char*) {
    const Json* j = Take(name);
    if (j == nullptr) return;
    if (!j->is_string()) return Refuse(name, *j, "text");
    value = j->AsString();
  }
  void Flag(const char* name, bool& value, const char*) {
    const Json* j = Take(name);
    if (j == nullptr) return;
    if (!j->is_bool()) return Refuse(name, *j, "true or false");
    value = j->AsBool();
  }
  template <std::floating_point Real>
  void Number(const char* name, Real& value, double low, double high, const char*) {
    const Json* j = Take(name);
    if (j == nullptr) return;
    const Result<double> number = j->is_number() ? j->AsNumber() : InvalidArgument("no number");
    if (!number.ok() || !(*number >= low) || !(*number <= high)) {
      return Refuse(name, *j, fmt::format("a number between {} and {}", low, high));
    }
    value = static_cast<Real>(*number);
  }
  template <std::integral Int>
  void Integer(const char* name, Int& value, int64_t low, int64_t high, const char*) {
    const Json* j = Take(name);
    if (j != nullptr) Read(name, *j, value, low, high);
  }
  void Integer(const char* name, int64_t& value, std::span<const int64_t> allowed, const char*) {
    const Json* j = Take(name);
    if (j == nullptr) return;
    if (!j->is_int() || std::ranges::find(allowed, j->AsInt()) == allowed.end()) {
      return Refuse(name, *j, fmt::format("one of {}", fmt::join(allowed, ", ")));
    }
    value = j->AsInt();
  }
  template <class Enum, size_t n>
  void Choice(const char* name, Enum& value, const std::array<const char*, n>& names, const char*) {
    const Json* j = Take(name);
    if (j == nullptr) return;
    const auto found = j->is_string() ? std::ranges::find(names, j->AsString()) : names.end();
    if (found == names.end()) {
      return Refuse(name, *j, fmt::format("one of {}", fmt::join(names, ", ")));
    }
    value = static_cast<Enum>(found - names.begin());
  }
  template <class Rule>
  void Rules(const char* name, std::vector<Rule>& rules, const char*) {
    const Json* j = Take(name);
    if (j == nullptr) return;
    if (!j->is_array()) return Refuse(name, *j, "an array of objects");
    for (const Json& item : j->AsArray()) {
      Rule rule;
      JsonReader reader(item);
      Members(rule, reader);
      const Status s = reader.Finish();
      if (!s.ok() && status_.ok()) {
        status_ = s.Annotate(fmt::format("{}[{}]", name, &item - j->AsArray().data()));
      }
      rules.push_back(std::move(rule));
    }
  }

  template <class Part>
  void Object(const char* name, Part& part, const char*) {
    const Json* j = Take(name);
    if (j == nullptr) return;
    JsonReader reader(*j);
    Members(part, reader);
    const Status s = reader.Finish();
    if (!s.ok() && status_.ok()) status_ = s.Annotate(name);
  }
  // Names of the object replace those of `values`; the others stay.
  void Integers(const char* name, NamedIntegers& values, int64_t low, int64_t high, const char*) {
    const Json* j = Take(name);
    if (j == nullptr) return;
    if (!j->is_object()) return Refuse(name, *j, "an object of integers");
    for (const auto& [key, value] : j->AsObject()) {
      Read(fmt::format("{} of {}", name, key), value, values[key], low, high);
    }
  }

  // Also refuses members that nobody asked for.
  Status Finish() {
    if (!json_.is_object()) return InvalidArgument("must be a JSON object");
    for (const auto& [name, value] : json_.AsObject()) {
      if (std::ranges::find(known_, name) == known_.end() && status_.ok()) {
        status_ = InvalidArgument(
            fmt::format("unknown member {} (known: {})", name, fmt::join(known_, ", ")));
      }
    }
    return status_;
  }

 private:
  const Json* Take(const char* name) {
    known_.emplace_back(name);
    return json_.is_object() ? json_.Find(name) : nullptr;
  }
  template <std::integral Int>
  void Read(std::string_view name, const Json& j, Int& value, int64_t low, int64_t high) {
    if (!j.is_int() || j.AsInt() < low || j.AsInt() > high) {
      return Refuse(name, j, fmt::format("an integer between {} and {}", low, high));
    }
    value = static_cast<Int>(j.AsInt());
  }
  void Refuse(std::string_view name, const Json& given, std::string_view wanted) {
    if (!status_.ok()) return;
    status_ =
        InvalidArgument(fmt::format("{} is {}, but must be {}", name, given.Dump(-1), wanted));
  }

  const Json& json_;
  std::vector<std::string> known_;
  Status status_;
};

// JSON Schema of an object.
class JsonDescriber {
 public:
  void Text(const char* name, const std::string& value, const char* help) {
    Add(name, "string", Json(value), help);
  }
  void Flag(const char* name, bool value, const char* help) {
    Add(name, "boolean", Json(value), help);
  }
  void Number(const char* name, double value, double low, double high, const char* help) {
    Json& j = Add(name, "number", Json(value), help);
    j.Set("minimum", low);
    j.Set("maximum", high);
  }
  void Integer(const char* name, std::integral auto value, int64_t low, int64_t high,
               const char* help) {
    Json& j = Add(name, "integer", Json(static_cast<int64_t>(value)), help);
    j.Set("minimum", low);
    j.Set("maximum", high);
  }
  void Integer(const char* name, int64_t value, std::span<const int64_t> allowed,
               const char* help) {
    AddNames(&Add(name, "integer", Json(value), help), allowed);
  }
  template <class Enum, size_t n>
  void Choice(const char* name, Enum value, const std::array<const char*, n>& names,
              const char* help) {
    AddNames(&Add(name, "string", Json(names[static_cast<size_t>(value)]), help), names);
  }
  template <class Rule>
  void Rules(const char* name, std::vector<Rule>&, const char* help) {
    Rule rule;
    JsonDescriber items;
    Members(rule, items);
    Add(name, "array", Json::MakeArray(), help).Set("items", items.Schema());
  }
  template <class Part>
  void Object(const char* name, Part& part, const char* help) {
    JsonDescriber describer;
    Members(part, describer);
    JsonWriter writer;
    Members(part, writer);
    Json& j = Add(name, "object", std::move(writer.json), help);
    const Json schema = describer.Schema();
    j.Set("additionalProperties", false);
    j.Set("properties", *schema.Find("properties"));
  }
  void Integers(const char* name, const NamedIntegers&, int64_t low, int64_t high,
                const char* help) {
    Json values = Json::MakeObject();
    values.Set("type", "integer");
    values.Set("minimum", low);
    values.Set("maximum", high);
    Add(name, "object", Json::MakeObject(), help).Set("additionalProperties", std::move(values));
  }

  Json Schema() const {
    Json schema = Json::MakeObject();
    schema.Set("type", "object");
    schema.Set("additionalProperties", false);
    Json properties = Json::MakeObject();
    for (const auto& [name, description] : members_) {
      properties.Set(name, description);
    }
    schema.Set("properties", std::move(properties));
    return schema;
  }

 private:
  Json& Add(const char* name, const char* type, Json fallback, const char* help) {
    Json j = Json::MakeObject();
    j.Set("type", type);
    j.Set("description", help);
    j.Set("default", std::move(fallback));
    return members_.emplace_back(name, std::move(j)).second;
  }
  template <class Names>
  static void AddNames(Json* j, const Names& names) {
    Json choices = Json::MakeArray();
    for (const auto& name : names) {
      choices.Append(name);
    }
    j->Set("enum", std::move(choices));
  }

  std::vector<std::pair<std::string, Json>> members_;
};

// The three whole: an object with every member, members changed by an object, and its schema.
template <class Part>
Json MembersToJson(Part part) {
  JsonWriter writer;
  Members(part, writer);
  return std::move(writer.json);
}
template <class Part>
Status MembersFromJson(const Json& j, Part* part) {
  JsonReader reader(j);
  Members(*part, reader);
  return reader.Finish();
}
template <class Part>
Json MembersSchema() {
  Part part;
  JsonDescriber describer;
  Members(part, describer);
  return describer.Schema();
}

}  // namespace octet
#endif  // OCTET_QUANT_JSON_MEMBERS_H_
