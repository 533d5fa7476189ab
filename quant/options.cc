#include <algorithm>
#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include "quant/recipe.h"

namespace octet {
namespace {

Status BadValue(const RecipeOption& option, const Json& given, std::string_view wanted) {
  return InvalidArgument(
      fmt::format("option {} is {}, but must be {}", option.name, given.Dump(-1), wanted));
}

// "128" as a number, for options that come from a command line.
Json NumberFromText(const Json& given, Json::Type type) {
  if (!given.is_string()) return given;
  const std::string& text = given.AsString();
  const char* end = text.data() + text.size();
  if (type == Json::Type::kInt) {
    int64_t value = 0;
    const auto parsed = std::from_chars(text.data(), end, value);
    return parsed.ec == std::errc() && parsed.ptr == end ? Json(value) : given;
  }
  double value = 0;
  const auto parsed = std::from_chars(text.data(), end, value);
  return parsed.ec == std::errc() && parsed.ptr == end ? Json(value) : given;
}

Result<Json> Check(const RecipeOption& option, const Json& given) {
  if (option.fallback.is_string()) {
    if (!given.is_string()) return BadValue(option, given, "text");
    const bool known =
        option.choices.empty() || std::ranges::any_of(option.choices, [&](const char* choice) {
          return given.AsString() == choice;
        });
    if (!known) return BadValue(option, given, fmt::format("{}", fmt::join(option.choices, ", ")));
    return given;
  }
  const Json value = NumberFromText(given, option.fallback.type());
  const bool integral = option.fallback.is_int();
  const std::string wanted = fmt::format(
      "{} between {} and {}", integral ? "an integer" : "a number", option.low, option.high);
  if (!value.is_number() || (integral && !value.is_int())) return BadValue(option, given, wanted);
  const Result<double> number = value.AsNumber();
  if (!number.ok() || *number < option.low || *number > option.high) {
    return BadValue(option, given, wanted);
  }
  return integral ? value : Json(*number);
}

}  // namespace

Result<RecipeOptions> RecipeOptions::Parse(std::span<const RecipeOption> known, const Json& given) {
  RecipeOptions options;
  for (const RecipeOption& o : known) {
    options.values_.Set(o.name, o.fallback);
  }
  if (given.is_null()) return options;
  if (!given.is_object()) return InvalidArgument("recipe options must be a JSON object");
  for (const Json::Member& member : given.AsObject()) {
    const std::string& name = member.first;
    const auto option = std::ranges::find_if(known, [&](const auto& o) { return name == o.name; });
    if (option == known.end()) {
      std::string names;
      for (const RecipeOption& o : known) {
        names += fmt::format("{}{}", names.empty() ? "" : ", ", o.name);
      }
      return InvalidArgument(
          fmt::format("unknown option {} (known: {})", name, names.empty() ? "none" : names));
    }
    OCTET_ASSIGN(Json checked, Check(*option, member.second));
    options.values_.Set(name, std::move(checked));
  }
  return options;
}

const std::string& RecipeOptions::String(std::string_view name) const {
  return values_.Find(name)->AsString();
}

int64_t RecipeOptions::Int(std::string_view name) const {
  return values_.Find(name)->AsInt();
}

double RecipeOptions::Double(std::string_view name) const {
  const Result<double> number = values_.Find(name)->AsNumber();
  return *number;
}

}  // namespace octet
