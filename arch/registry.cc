#include <fmt/format.h>

#include "arch/architecture.h"
#include "arch/mamba2.h"

namespace octet {
namespace {

const ArchSpec kArchitectures[] = {
    {"mamba2", IsMamba2, BuildMamba2},
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

Status CheckFinite(const std::string& name, const Weight& w) {
  bool finite = true;
  if (w.dtype == DType::kF32) finite = AllFinite<uint32_t>(w.data, w.count(), 0x7f800000u);
  if (w.dtype == DType::kBF16) finite = AllFinite<uint16_t>(w.data, w.count(), 0x7f80);
  if (w.dtype == DType::kF16) finite = AllFinite<uint16_t>(w.data, w.count(), 0x7c00);
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
      OCTET_TRY(CheckFinite(name, weight));
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
