#include "quant/observers/observer.h"

namespace octet {

Encoding ChooseCodec(const std::vector<ValueRange>& ranges, Codec codec) {
  Encoding e{DType::kI8, ScaleSource::kStatic, {}, codec, {}};
  for (const ValueRange& range : ranges) {
    const CodecFit fit = FitCodec(codec, range);
    e.scales.push_back(fit.scale);
    if (HasZero(codec)) e.zeros.push_back(static_cast<uint8_t>(fit.zero));
  }
  return e;
}

}  // namespace octet
