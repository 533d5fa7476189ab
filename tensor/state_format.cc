#include "tensor/state_format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

constexpr std::array<std::pair<StateCodec, const char*>, 5> kCodecs = {
    {{StateCodec::kF32, "f32"},
     {StateCodec::kF16, "f16"},
     {StateCodec::kI16, "i16"},
     {StateCodec::kI8, "i8"},
     {StateCodec::kI8Static, "i8s"}}};
constexpr std::array<std::pair<StateRounding, const char*>, 3> kRoundings = {
    {{StateRounding::kNearest, ""},
     {StateRounding::kStochastic, "+sr"},
     {StateRounding::kFeedback, "+ef"}}};

bool Exists(StateCodec codec, StateRounding rounding) {
  switch (rounding) {
    case StateRounding::kNearest:
      return true;
    case StateRounding::kStochastic:
      return codec != StateCodec::kF32;
    case StateRounding::kFeedback:
      return codec == StateCodec::kI8 || codec == StateCodec::kI8Static;
  }
  return false;
}

// The seed after "+sr:", decimal without leading zeros and not 0; or 0 for any other text.
uint64_t ParseSeed(std::string_view digits) {
  uint64_t seed = 0;
  if (digits.empty() || digits.front() == '0') return 0;
  const char* end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, seed);
  return error == std::errc() && rest == end ? seed : 0;
}

}  // namespace

int64_t StateFormat::CodeBytes(int64_t count) const {
  switch (codec) {
    case StateCodec::kF32:
      return 4 * count;
    case StateCodec::kF16:
    case StateCodec::kI16:
      return 2 * count;
    case StateCodec::kI8:
    case StateCodec::kI8Static:
      return count;
  }
  return 0;
}

std::string ToText(const StateFormat& format) {
  std::string text;
  for (const auto& [codec, name] : kCodecs) {
    if (codec == format.codec) text += name;
  }
  for (const auto& [rounding, suffix] : kRoundings) {
    if (rounding == format.rounding) text += suffix;
  }
  if (format.seed != 0) text += fmt::format(":{}", format.seed);
  return text;
}

Result<StateFormat> ParseStateFormat(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  for (const auto& [codec, base] : kCodecs) {
    for (const auto& [rounding, suffix] : kRoundings) {
      if (!Exists(codec, rounding) || name != fmt::format("{}{}", base, suffix)) continue;
      StateFormat format{codec, rounding, 0};
      if (colon == std::string_view::npos) return format;
      format.seed = ParseSeed(text.substr(colon + 1));
      if (rounding == StateRounding::kStochastic && format.seed != 0) return format;
    }
  }
  return InvalidArgument(
      fmt::format("the state format \"{}\" is none of {}; a seed may follow +sr, as in i8+sr:7",
                  text, fmt::join(StateFormatNames(), ", ")));
}

const std::vector<std::string>& StateFormatNames() {
  static const auto* const kNames = [] {
    auto* names = new std::vector<std::string>();
    for (const auto& [codec, base] : kCodecs) {
      for (const auto& [rounding, suffix] : kRoundings) {
        if (Exists(codec, rounding)) names->push_back(fmt::format("{}{}", base, suffix));
      }
    }
    return names;
  }();
  return *kNames;
}

Status CheckStateScales(const StateScales& scales, int64_t rows, int64_t N) {
  const auto bad = [](std::string_view what) {
    return InvalidArgument(fmt::format("the static scales of the state {}", what));
  };
  if (scales.columns != 1 && scales.columns != N) {
    return bad(fmt::format("have {} columns, but must have 1 or {}", scales.columns, N));
  }
  const int64_t count = static_cast<int64_t>(scales.values.size());
  if (count == 0 || count % scales.columns != 0) return bad("do not fill their rows");
  const int64_t entries = scales.entries();
  if (scales.row_map.empty() ? entries != 1 && entries != rows
                             : static_cast<int64_t>(scales.row_map.size()) != rows) {
    return bad(fmt::format("are {} rows with a map of {}, for a state of {} rows", entries,
                           scales.row_map.size(), rows));
  }
  if (std::ranges::any_of(scales.row_map, [&](uint16_t k) { return k >= entries; })) {
    return bad("have a map to rows that do not exist");
  }
  const auto legal = [](float s) { return std::isfinite(s) && s > 0 && RoundScale(s) == s; };
  if (!std::ranges::all_of(scales.values, legal)) {
    return bad("are not positive numbers of 12 significant bits");
  }
  return {};
}

}  // namespace octet
