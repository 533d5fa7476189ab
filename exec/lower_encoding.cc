#include "exec/node_lowering.h"
#include "kernels/encode.h"
#include "kernels/quantize.h"

namespace octet {
namespace {

class EncodingLowering : private NodeLowering {
 public:
  using NodeLowering::NodeLowering;

  void Run() {
    const Encoding* e = c_.graph.FindEncoding(n_.site);
    if (e == nullptr || !e->quantized() || v_ == c_.graph.logits) return;
    if (e->codec != Codec::kUniform) return EncodeFloats(*e);
    const ValuePlace place = Place(v_);
    auto scales = std::make_shared<const FloatVector>(e->scales);
    const bool per_token = e->source == ScaleSource::kPerToken;
    const bool kept = place.codes >= 0;
    QuantizeArgs base{};
    base.C = n_.width;
    base.x_stride = place.stride;
    base.n_scales = static_cast<int64_t>(scales->size());
    base.scales = per_token ? nullptr : scales->data();
    const auto choice = Pick(base, &QuantizeArgs::T, kTokenBlock, kTokenBlock * (base.C + 4));
    const int64_t local_offset = extra_offset_;
    const bool decode_back = c_.uses[static_cast<size_t>(v_)].floats;
    PushRows(choice.decode->name, choice.prefill->name,
             [=](const Frame& f, int64_t begin, int64_t end, const Workspace& w) {
               auto* local = static_cast<std::byte*>(w.scratch) + local_offset;
               QuantizeArgs a = base;
               a.T = end - begin;
               a.scales = per_token ? nullptr : scales->data();
               a.x = Floats(f, place) + begin * place.stride;
               a.token_scales =
                   !per_token ? nullptr
                   : kept     ? reinterpret_cast<float*>(f.values + place.token_scales) + begin
                              : reinterpret_cast<float*>(local);
               a.codes = reinterpret_cast<int8_t*>(kept ? f.values + place.codes + begin * a.C
                                                        : local + kTokenBlock * 4);
               if (decode_back) a.decoded = Floats(f, place) + begin * place.stride;
               choice.For(f).run(a, w);
             });
  }

 private:
  // No reader takes codes other than int8: the decoded values replace the floats.
  void EncodeFloats(const Encoding& encoding) {
    auto e = std::make_shared<const Encoding>(encoding);
    const ValuePlace place = Place(v_);
    EncodeArgs base{};
    base.C = n_.width;
    base.codec = e->codec;
    base.x_stride = base.y_stride = place.stride;
    base.scales = e->scales.data();
    base.zeros = e->zeros.empty() ? nullptr : e->zeros.data();
    base.n_scales = static_cast<int64_t>(e->scales.size());
    const auto choice = Pick(base, &EncodeArgs::T, kTokenBlock);
    PushRows(choice.decode->name, choice.prefill->name,
             [=](const Frame& f, int64_t begin, int64_t end, const Workspace& w) {
               (void)e;  // owns what base points to
               EncodeArgs a = base;
               a.T = end - begin;
               a.x = a.y = Floats(f, place) + begin * place.stride;
               choice.For(f).run(a, w);
             });
  }
};

}  // namespace

void LowerEncoding(ValueId v, LoweringContext* context, std::vector<Step>* steps) {
  const size_t before = steps->size();
  EncodingLowering(v, context, steps).Run();
  for (size_t s = before; s < steps->size(); ++s) {
    (*steps)[s].encoding = true;
  }
}

}  // namespace octet
