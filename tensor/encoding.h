// What a site stores: decided offline, saved with the model.
#ifndef OCTET_TENSOR_ENCODING_H_
#define OCTET_TENSOR_ENCODING_H_

#include <cstdint>
#include <vector>

#include "tensor/codec.h"
#include "tensor/dtype.h"

namespace octet {

// Where the scale of a site's code comes from.
enum class ScaleSource : uint8_t {
  kStatic,    // `scales`, from calibration
  kPerToken,  // computed at run time from the token's absolute maximum
  kPerChunk,  // inner sites of an Ssd: computed at run time for each chunk (SsdScales)
};

// How the values of one site are encoded. A default Encoding stores fp32 unchanged.
struct Encoding {
  DType dtype = DType::kF32;  // kF32: unchanged; kI8: as codes of `codec`
  ScaleSource source = ScaleSource::kStatic;
  // kStatic: one scale, or one for each entry of the site's scale axis (a channel, an SSM group or
  // a (head, head_dim) pair), each at most 12 significant bits (codecs/uniform.h). Channel c uses
  // scales[c * scales.size() / channels].
  std::vector<float> scales = {};
  // Another one at node sites, with kStatic scales, and at "ssd.x_scaled" where MaxUnits allows it.
  Codec codec = Codec::kUniform;
  // One for each scale, at most MaxZero(codec); empty for a codec without zeros.
  std::vector<uint8_t> zeros = {};

  bool quantized() const { return dtype != DType::kF32; }
};

}  // namespace octet
#endif  // OCTET_TENSOR_ENCODING_H_
