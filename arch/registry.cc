#include <fmt/format.h>

#include "arch/architecture.h"
#include "arch/mamba1.h"
#include "arch/mamba2.h"
#include "arch/s4d.h"

namespace octet {
namespace {

const ArchSpec kArchitectures[] = {
    {"mamba", IsMamba1, BuildMamba1},
    {"falcon_mamba", IsFalconMamba, BuildMamba1},
    {"mamba2", IsMamba2, BuildMamba2},
    {"s4d", IsS4d, BuildS4d},
};

// True when no element is NaN or infinite; written so that the compiler vectorises it.
template <class Bits>
bool AllFinite(const std::byte* data, int64_t count, Bits exponent_mask) {
  const auto* values = reinterpret_cast<const Bits*>(data);
  int64_t bad = 0;
  for (int64_t i = 0; i < count; ++i) {
    bad += (values[i] & exponent_mask) == exponent_mask;
  }
  return bad == 0;
}

// Floats must be finite; codes need the scales that AttachScales gives them.
Status CheckValues(const std::string& name, const Weight& w) {
  bool finite = true;
  switch (w.dtype) {
    case DType::kF32:
      finite = AllFinite<uint32_t>(w.data, w.count(), 0x7f800000u);
      break;
    case DType::kBF16:
      finite = AllFinite<uint16_t>(w.data, w.count(), 0x7f80);
      break;
    case DType::kF16:
      finite = AllFinite<uint16_t>(w.data, w.count(), 0x7c00);
      break;
    default:
      if (w.quantized() && w.row_scale != nullptr) break;
      return Corrupt(fmt::format("tensor {} is {}, but the config does not say how it is quantized",
                                 name, DTypeName(w.dtype)));
  }
  if (finite) return {};
  return Corrupt(fmt::format("tensor {} contains NaN or infinite values", name));
}

}  // namespace

std::span<const ArchSpec> Architectures() {
  return kArchitectures;
}

Result<Architecture> BuildArchitecture(const Json& config, const WeightMap& weights) {
  if (!config.is_object()) return InvalidArgument("config.json is not a JSON object");
  for (const ArchSpec& spec : Architectures()) {
    if (!spec.accepts(config)) continue;
    OCTET_ASSIGN(Architecture built, spec.build(config, weights));
    built.model_type = spec.model_type;
    for (const auto& [name, weight] : built.weights.all()) {
      OCTET_TRY(CheckValues(name, weight));
    }
    OCTET_TRY(Verify(built.graph));
    return built;
  }
  const Json* type = config.Find("model_type");
  std::string supported;
  for (const ArchSpec& spec : Architectures()) {
    supported += fmt::format("{}{}", supported.empty() ? "" : ", ", spec.model_type);
  }
  return Unsupported(fmt::format("config.json: model_type {} is not supported (supported: {})",
                                 type != nullptr ? type->Dump(-1) : "is absent and", supported));
}

}  // namespace octet
