// The number codes that a site can be stored in, by name; each is defined in tensor/codecs/.
#ifndef OCTET_TENSOR_CODEC_H_
#define OCTET_TENSOR_CODEC_H_

#include <cstdint>
#include <string_view>

#include "base/status.h"

namespace octet {

enum class Codec : uint8_t {
  kUniform,     // "int8": codecs/uniform.h
  kAsymmetric,  // "uint8": codecs/asymmetric.h
  kInt16,       // "int16": codecs/int16.h
  kSe9,         // "se9", "se8u", "se8s": codecs/soft_edge.h
  kSe8u,
  kSe8s,
  kSeg8,  // "seg8": codecs/segmented.h
};
inline constexpr Codec kCodecs[] = {Codec::kUniform, Codec::kAsymmetric, Codec::kInt16, Codec::kSe9,
                                    Codec::kSe8u,    Codec::kSe8s,       Codec::kSeg8};

const char* CodecName(Codec codec);
// kInvalidArgument, listing the names, for any other.
Result<Codec> ParseCodec(std::string_view name);

// Bytes of a packed code, 1 or 2: int16 for two, else uint8 for the codecs that have zeros and int8
// for those that do not.
int CodeBytes(Codec codec);
// Largest `zero` of the codec: how many codes lie below the code of 0. 0: the codec has none.
int MaxZero(Codec codec);
inline bool HasZero(Codec codec) {
  return MaxZero(codec) > 0;
}
int MinCode(Codec codec);
int MaxCode(Codec codec);

// Normative. `scale` has 12 significant bits (RoundScale), `zero` lies in [0, MaxZero(codec)], so
// that every decoded value is exact and EncodeValue(DecodeValue(code)) is the code.
int EncodeValue(Codec codec, float x, float scale, int zero);
float DecodeValue(Codec codec, int code, float scale, int zero);
// decode(encode(x)): what a simulated site holds.
float FakeQuantize(Codec codec, float x, float scale, int zero);

// For integer dot products: the values of a codec without zeros are whole multiples, units, of
// UnitOf(codec, scale), which is the scale for int8 and scale / 4 for the others, and has its 12
// significant bits. MaxUnits: the largest; 0 for a codec with zeros, which has no units.
float UnitOf(Codec codec, float scale);
int MaxUnits(Codec codec);
// EncodeUnits(x) * UnitOf is FakeQuantize(x), for a codec that has units.
int EncodeUnits(Codec codec, float x, float scale);
// Whether a sum of `products` >= 0 products of units and int8 codes stays below 2^29, where it is
// exact in every run (docs/numerics.md). `products` is below 2^40.
inline bool UnitSumsAreExact(Codec codec, int64_t products) {
  return MaxUnits(codec) > 0 && products * MaxUnits(codec) * 127 < int64_t{1} << 29;
}

// Packs `code` as element `i` of an array of codes, at the codec's size; and reads it back.
void StoreCode(Codec codec, int code, void* codes, int64_t i);
int LoadCode(Codec codec, const void* codes, int64_t i);

struct ValueRange {
  float low, high;
};
// Beyond these, a value is further than half a step from the outermost code.
ValueRange CodecRange(Codec codec, float scale, int zero);

struct CodecFit {
  float scale;
  int zero;
};
// Scale and zero for values within [low, high], widened to contain 0; both finite. With w the
// larger magnitude:
//   int8             scale w / 127
//   se9, int16       w / 127, as the uniform code: what lies beyond a clipped w keeps its place
//   se8u             w / 127 and ceil(-low / (scale / 4)) negative codes; where these would be more
//                    than 63, the scale at which they are 63
//   se8s             w / 71, the end of its middle segment
//   uint8            (high - low) / 255, the zero nearest to -low / scale
//   seg8             the smallest step whose codes reach low and high: nothing is clipped
// Scales are rounded up to 12 bits; all zeros have scale 1.
CodecFit FitCodec(Codec codec, ValueRange range);

}  // namespace octet
#endif  // OCTET_TENSOR_CODEC_H_
