#include "edge/stored_sizes.h"

#include "edge/c_source.h"
#include "quant/s4d/ranges.h"

namespace octet {

S4dSizes StoredSizes(const IntegerS4d& m) {
  S4dSizes s;
  s.tensors["encoder"] = std::ssize(m.encoder.w);
  s.tensors["logits"] = std::ssize(m.decoder.w);
  for (size_t i = 0; i < m.layers.size(); ++i) {
    const IntegerLayer& l = m.layers[i];
    const auto set = [&](const char* what, int64_t bytes) {
      s.tensors[S4dRangeSite(static_cast<int>(i), what)] = bytes;
    };
    set("A", BytesOfA(l));
    set("B", BytesOfB(l));
    set("C", 2 * std::ssize(l.C));
    set("x", (l.most_state <= INT8_MAX ? 1 : 2) * std::ssize(l.A));
    set("y", std::ssize(l.gelu));
    set("z", std::ssize(l.value.w) + std::ssize(l.gate.w));
  }
  const CSizes all = SizesOf(m);
  s.ram = all.context;
  s.rest = all.tables() + all.context - s.total();
  return s;
}

}  // namespace octet
