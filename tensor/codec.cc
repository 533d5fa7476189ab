#include "tensor/codec.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>

#include <fmt/format.h>

#include "tensor/codecs/asymmetric.h"
#include "tensor/codecs/int16.h"
#include "tensor/codecs/segmented.h"
#include "tensor/codecs/soft_edge.h"
#include "tensor/codecs/uniform.h"

namespace octet {

const char* CodecName(Codec codec) {
  switch (codec) {
    case Codec::kUniform:
      return "int8";
    case Codec::kAsymmetric:
      return "uint8";
    case Codec::kInt16:
      return "int16";
    case Codec::kSe9:
      return "se9";
    case Codec::kSe8u:
      return "se8u";
    case Codec::kSe8s:
      return "se8s";
    case Codec::kSeg8:
      return "seg8";
  }
  return "?";
}

Result<Codec> ParseCodec(std::string_view name) {
  std::string names;
  for (const Codec codec : kCodecs) {
    if (name == CodecName(codec)) return codec;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", CodecName(codec));
  }
  return InvalidArgument(fmt::format("unknown code {}; there are {}", name, names));
}

int CodeBytes(Codec codec) {
  return codec == Codec::kInt16 || codec == Codec::kSe9 ? 2 : 1;
}

int MaxZero(Codec codec) {
  if (codec == Codec::kSe8u) return kSe8uMaxZero;
  return codec == Codec::kAsymmetric || codec == Codec::kSeg8 ? 255 : 0;
}

int MaxCode(Codec codec) {
  switch (codec) {
    case Codec::kUniform:
      return 127;
    case Codec::kInt16:
      return kInt16MaxCode;
    case Codec::kSe9:
      return kSe9MaxCode;
    case Codec::kSe8s:
      return kSe8sMaxCode;
    case Codec::kAsymmetric:
    case Codec::kSe8u:
    case Codec::kSeg8:
      break;
  }
  return 255;
}

int MinCode(Codec codec) {
  return HasZero(codec) ? 0 : -MaxCode(codec);
}

int EncodeValue(Codec codec, float x, float scale, int zero) {
  switch (codec) {
    case Codec::kUniform:
      return QuantizeI8(x, 1.0f / scale);
    case Codec::kAsymmetric:
      return EncodeAsymmetric(x, scale, zero);
    case Codec::kInt16:
      return EncodeInt16(x, scale);
    case Codec::kSe9:
      return EncodeSignedSoftEdge(kSoftEdge9, kSe9MaxCode, x, scale);
    case Codec::kSe8u:
      return EncodeSe8u(x, scale, zero);
    case Codec::kSe8s:
      return EncodeSignedSoftEdge(kSoftEdge8s, kSe8sMaxCode, x, scale);
    case Codec::kSeg8:
      return EncodeSeg8(x, scale, zero);
  }
  return 0;
}

float DecodeValue(Codec codec, int code, float scale, int zero) {
  switch (codec) {
    case Codec::kUniform:
      return scale * static_cast<float>(code);
    case Codec::kAsymmetric:
      return DecodeAsymmetric(code, scale, zero);
    case Codec::kInt16:
      return DecodeInt16(code, scale);
    case Codec::kSe9:
      return DecodeSignedSoftEdge(kSoftEdge9, code, scale);
    case Codec::kSe8u:
      return DecodeSe8u(code, scale, zero);
    case Codec::kSe8s:
      return DecodeSignedSoftEdge(kSoftEdge8s, code, scale);
    case Codec::kSeg8:
      return DecodeSeg8(code, scale, zero);
  }
  return 0;
}

float FakeQuantize(Codec codec, float x, float scale, int zero) {
  return DecodeValue(codec, EncodeValue(codec, x, scale, zero), scale, zero);
}

float UnitOf(Codec codec, float scale) {
  return codec == Codec::kUniform ? scale : 0.25f * scale;
}

int MaxUnits(Codec codec) {
  switch (codec) {
    case Codec::kUniform:
      return 127;
    case Codec::kInt16:
      return kInt16MaxCode;
    case Codec::kSe9:
      return kSoftEdge9.Units(kSe9MaxCode);
    case Codec::kSe8s:
      return kSoftEdge8s.Units(kSe8sMaxCode);
    case Codec::kAsymmetric:
    case Codec::kSe8u:
    case Codec::kSeg8:
      break;
  }
  return 0;
}

int EncodeUnits(Codec codec, float x, float scale) {
  const int code = EncodeValue(codec, x, scale, 0);
  if (codec != Codec::kSe9 && codec != Codec::kSe8s) return code;
  const int units = (codec == Codec::kSe9 ? kSoftEdge9 : kSoftEdge8s).Units(std::abs(code));
  return code < 0 ? -units : units;
}

void StoreCode(Codec codec, int code, void* codes, int64_t i) {
  if (CodeBytes(codec) == 2) {
    static_cast<int16_t*>(codes)[i] = static_cast<int16_t>(code);
  } else if (HasZero(codec)) {
    static_cast<uint8_t*>(codes)[i] = static_cast<uint8_t>(code);
  } else {
    static_cast<int8_t*>(codes)[i] = static_cast<int8_t>(code);
  }
}

int LoadCode(Codec codec, const void* codes, int64_t i) {
  if (CodeBytes(codec) == 2) return static_cast<const int16_t*>(codes)[i];
  if (HasZero(codec)) return static_cast<const uint8_t*>(codes)[i];
  return static_cast<const int8_t*>(codes)[i];
}

ValueRange CodecRange(Codec codec, float scale, int zero) {
  const auto beyond = [&](int end, int inner) {
    const float last = DecodeValue(codec, end, scale, zero);
    return last + 0.5f * (last - DecodeValue(codec, inner, scale, zero));
  };
  const int low = MinCode(codec), high = MaxCode(codec);
  return {beyond(low, low + 1), beyond(high, high - 1)};
}

namespace {

CodecFit FitAsymmetric(float low, float high) {
  const float scale = RoundScale(high / 255.0f - low / 255.0f);
  return {scale, std::clamp(static_cast<int>(std::nearbyintf(-low / scale)), 0, 255)};
}

CodecFit FitSe8u(float low, float largest) {
  const float scale = ScaleForAbsMax(largest);
  const float negative = std::ceil(-low / (0.25f * scale));
  if (negative <= static_cast<float>(kSe8uMaxZero)) return {scale, static_cast<int>(negative)};
  return {RoundScale(-low / (0.25f * static_cast<float>(kSe8uMaxZero))), kSe8uMaxZero};
}

// More negative codes allow a finer step below zero, and leave a lower top code above.
CodecFit FitSeg8(float low, float high) {
  CodecFit best{0.0f, 0};
  for (int zero = low < 0.0f ? 1 : 0; zero <= 255; ++zero) {
    const float below = zero == 0 ? 0.0f : -low / static_cast<float>(zero);
    const int top = Seg8Units(255 - zero);
    if (top == 0 && high > 0.0f) break;
    const float above = top == 0 ? 0.0f : high / static_cast<float>(top);
    const float scale = RoundScale(std::max(below, above));
    if (best.scale == 0.0f || scale < best.scale) best = {scale, zero};
  }
  return best;
}

}  // namespace

CodecFit FitCodec(Codec codec, ValueRange range) {
  const float low = std::min(range.low, 0.0f), high = std::max(range.high, 0.0f);
  const float largest = std::max(-low, high);
  if (largest == 0.0f) return {1.0f, 0};
  switch (codec) {
    case Codec::kAsymmetric:
      return FitAsymmetric(low, high);
    case Codec::kSe8u:
      return FitSe8u(low, largest);
    case Codec::kSe8s:
      return {ScaleForAbsMax(largest, kSoftEdge8s.middle_end()), 0};
    case Codec::kSeg8:
      return FitSeg8(low, high);
    case Codec::kUniform:
    case Codec::kInt16:
    case Codec::kSe9:
      break;
  }
  return {ScaleForAbsMax(largest), 0};
}

}  // namespace octet
