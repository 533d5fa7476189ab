#include "quant/s4d/sensitivity.h"

namespace octet {
namespace {

S4dPlan OnlyState(const S4dStatePlan& x) {
  S4dPlan p;
  p.x = x;
  return p;
}

// As the paper's code has it: three roundings a step, parts cut off at +-50. 0 bits: only that.
S4dStatePlan PublishedState(int bits) {
  S4dStatePlan x;
  x.code = {bits, S4dGrain::kHead, false};
  x.published = true;
  x.limit = 50;
  return x;
}

S4dPlan PublishedFloat() {
  return OnlyState(PublishedState(0));
}

S4dStatePlan OwnState(int bits, S4dGrain grain, StateRounding rounding) {
  S4dStatePlan x;
  x.code = {bits, grain, true};
  x.rounding = rounding;
  return x;
}

S4dPlan Everything(int bits, S4dGrain grain, bool symmetric) {
  S4dPlan p;
  p.A = {PoleCodec::kCartesian, bits, 0, grain, symmetric};
  p.B = p.C = p.D = {bits, grain, symmetric};
  p.linears = {bits, S4dGrain::kTensor, symmetric};
  p.x = PublishedState(bits);
  p.x.code = {bits, grain, symmetric};
  p.activations = {bits, symmetric, false, grain == S4dGrain::kTensor};
  return p;
}

S4dPlan Poles(PoleCodec codec, int bits) {
  S4dPlan p = PublishedFloat();
  p.A.codec = codec;
  p.A.bits = codec == PoleCodec::kCartesian ? bits : 4;
  p.A.phase_bits = codec == PoleCodec::kCartesian ? 0 : bits;
  return p;
}

// Poles as in Octet's form (the radius in 4 bits), matrices with a scale per row and the state as
// above; all else as in the paper's everything, per head.
S4dPlan EverythingOwn(int bits) {
  S4dPlan p = Everything(bits, S4dGrain::kHead, false);
  p.A = Poles(PoleCodec::kLogPolar, bits).A;
  p.linears.grain = S4dGrain::kHead;
  p.x = OwnState(bits, S4dGrain::kMode, StateRounding::kStochastic);
  return p;
}

constexpr S4dVariant kVariants[] = {
    {"A", true, [](int b) { return Poles(PoleCodec::kCartesian, b); }},
    {"B", true,
     [](int b) {
       S4dPlan p = PublishedFloat();
       p.B.bits = b;
       return p;
     }},
    {"C", true,
     [](int b) {
       S4dPlan p = PublishedFloat();
       p.C.bits = b;
       return p;
     }},
    {"D", true,
     [](int b) {
       S4dPlan p = PublishedFloat();
       p.D.bits = b;
       return p;
     }},
    {"x, static", true, [](int b) { return OnlyState(PublishedState(b)); }},
    {"x, dynamic", true,
     [](int b) {
       S4dStatePlan x = PublishedState(b);
       x.dynamic = true;
       return OnlyState(x);
     }},
    {"other activations, static", true,
     [](int b) {
       S4dPlan p = PublishedFloat();
       p.activations.bits = b;
       return p;
     }},
    {"other activations, dynamic", true,
     [](int b) {
       S4dPlan p = PublishedFloat();
       p.activations = {b, false, true, false};
       return p;
     }},
    {"everything, per tensor", true, [](int b) { return Everything(b, S4dGrain::kTensor, false); }},
    {"everything, per head, asymmetric", true,
     [](int b) { return Everything(b, S4dGrain::kHead, false); }},
    {"everything, per head, symmetric", true,
     [](int b) { return Everything(b, S4dGrain::kHead, true); }},
    {"A, polar: radius in 4 bits", false, [](int b) { return Poles(PoleCodec::kPolar, b); }},
    {"A, log-polar: radius in 4 bits", false, [](int b) { return Poles(PoleCodec::kLogPolar, b); }},
    {"x, per head, one rounding", false,
     [](int b) { return OnlyState(OwnState(b, S4dGrain::kHead, StateRounding::kNearest)); }},
    {"x, per head, stochastic", false,
     [](int b) { return OnlyState(OwnState(b, S4dGrain::kHead, StateRounding::kStochastic)); }},
    {"x, per mode, one rounding", false,
     [](int b) { return OnlyState(OwnState(b, S4dGrain::kMode, StateRounding::kNearest)); }},
    {"x, per mode, stochastic", false,
     [](int b) { return OnlyState(OwnState(b, S4dGrain::kMode, StateRounding::kStochastic)); }},
    {"x, per mode, error feedback", false,
     [](int b) { return OnlyState(OwnState(b, S4dGrain::kMode, StateRounding::kFeedback)); }},
    {"everything: log-polar A, x per mode, stochastic", false, EverythingOwn},
};

}  // namespace

std::span<const S4dVariant> S4dVariants() {
  return kVariants;
}

}  // namespace octet
