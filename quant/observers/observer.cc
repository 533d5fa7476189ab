#include "quant/observers/observer.h"

namespace octet {

Result<std::vector<ValueRange>> Observer::Ranges() const {
  return Unsupported("this observer measures magnitudes only");
}

Encoding ChooseCodec(const std::vector<ValueRange>& ranges, Codec codec) {
  Encoding e{DType::kI8, ScaleSource::kStatic, {}, codec, {}};
  for (const ValueRange& range : ranges) {
    const CodecFit fit = FitCodec(codec, range);
    e.scales.push_back(fit.scale);
    if (HasZero(codec)) e.zeros.push_back(static_cast<uint8_t>(fit.zero));
  }
  return e;
}

Result<Encoding> ChooseCodec(const Observer& observer, Codec codec) {
  OCTET_ASSIGN(const std::vector<ValueRange> ranges, observer.Ranges());
  return ChooseCodec(ranges, codec);
}

}  // namespace octet
