#include "edge/lower_layer.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdlib>

#include <fmt/format.h>

#include "edge/lower_modes.h"
#include "kernels/ssd_state.h"

namespace octet {
namespace {

using Complex = std::complex<double>;

constexpr double kLargestY = 1000;  // of S4dSimulation: y without D u is cut off there

class LayerLowering {
 public:
  LayerLowering(const FloatLayer& layer, const S4dStatePlan& state, double stream_unit)
      : f_(layer),
        state_(state),
        stream_unit_(stream_unit),
        site_(S4dRangeSite(layer.node->layer, "x")),
        H_(static_cast<size_t>(layer.node->width)),
        N_(static_cast<size_t>(layer.node->s4d.modes)) {}

  Result<IntegerLayer> Lower() {
    l_.modes = static_cast<int64_t>(N_);
    l_.most_state = (1 << (state_.code.bits - 1)) - 1;
    l_.dithered = state_.rounding == StateRounding::kStochastic;
    l_.noise_key = l_.dithered ? NoiseKey(state_.seed, f_.node->layer) : 0;
    l_.y_ssm_coded = !f_.y_ssm.empty();
    modes_.site = site_;
    modes_.most_state = l_.most_state;
    for (size_t h = 0; h < H_; ++h) {
      modes_.most_u.push_back(MostU(h));
      for (size_t n = 0; n < N_; ++n) {
        modes_.modes.push_back(ModeOf(h, n));
      }
    }
    OCTET_TRY(LowerModes(modes_, &l_));
    RoundOutputs();
    for (size_t h = 0; h < H_; ++h) {
      OCTET_TRY(LowerHead(h, &l_.heads[h]));
    }
    return std::move(l_);
  }

 private:
  FloatMode ModeOf(size_t h, size_t n) const {
    const double sigma = f_.x[h * N_ + n].scale;
    if (sigma == 0) return {};
    const size_t re = h * 2 * N_ + n, im = re + N_;
    const auto at = [&](const std::vector<float>& v) { return Complex(v[re], v[im]); };
    return {at(f_.s.A), at(f_.s.B) * (f_.u[h].scale / sigma), at(f_.s.C) * sigma};
  }

  // The largest |u|, in codes less the zero point.
  int64_t MostU(size_t h) const {
    const AffineCode& u = f_.u[h];
    return static_cast<int64_t>(std::max(std::fabs(u.low - u.zero), std::fabs(u.high - u.zero)));
  }

  static double Part(const Complex& v) {
    return std::max(std::fabs(v.real()), std::fabs(v.imag()));
  }

  // C, 15 bits and a scale for each head, and how far Y can go.
  void RoundOutputs() {
    int64_t most = 0;
    for (size_t h = 0; h < H_; ++h) {
      double largest = 0;
      for (size_t n = 0; n < N_; ++n) {
        largest = std::max(largest, Part(modes_.modes[h * N_ + n].c));
      }
      c_unit_.push_back(largest / INT16_MAX);
      int64_t sum = 0;
      for (size_t n = 0; n < N_; ++n) {
        for (const double part :
             {modes_.modes[h * N_ + n].c.real(), modes_.modes[h * N_ + n].c.imag()}) {
          l_.C.push_back(largest == 0 ? int16_t{0}
                                      : static_cast<int16_t>(std::nearbyint(part / c_unit_[h])));
          sum += std::abs(int64_t{l_.C.back()}) * l_.most_state;
        }
      }
      most_y_.push_back(sum);
      most = std::max(most, sum);
    }
    // Of the 32 bits that remain after the shift, one is left for its rounding.
    while ((most >> l_.y_shift) >= INT32_MAX / 2 && most > INT32_MAX) {
      ++l_.y_shift;
    }
  }

  Status LowerHead(size_t h, IntegerHead* to) const {
    const AffineCode &u = f_.u[h], &y = f_.y[h];
    IntegerHead& head = *to;
    SetCode(u, &head.u_zero, &head.u_low, &head.u_high);
    SetCode(y, &head.y_zero, &head.y_low, &head.y_high);
    const auto requant = [&](const char* what, double factor, double bound) {
      return MakeRequant(factor, bound,
                         fmt::format("{}, head {}", S4dRangeSite(f_.node->layer, what), h));
    };
    const auto over = [](double a, double b) { return b > 0 ? a / b : 0.0; };
    OCTET_ASSIGN(head.from_stream, requant("u", over(stream_unit_, u.scale), 0x1p30));
    const double y_unit = std::ldexp(c_unit_[h], l_.y_shift), fine = over(256, y.scale);
    double s_unit = y_unit;
    double most_s = std::ldexp(static_cast<double>(most_y_[h]), -l_.y_shift) + (l_.y_shift > 0);
    if (l_.y_ssm_coded) {
      const AffineCode code = CutOff(f_.y_ssm[h]);
      SetCode(code, &head.y_ssm_zero, &head.y_ssm_low, &head.y_ssm_high);
      OCTET_ASSIGN(head.from_sum, requant("y_ssm", over(y_unit, code.scale), most_s));
      s_unit = code.scale;
      most_s = std::max(std::fabs(code.low - code.zero), std::fabs(code.high - code.zero));
    }
    OCTET_ASSIGN(head.from_s, requant("y", s_unit * fine, most_s));
    OCTET_ASSIGN(head.from_u,
                 requant("y", f_.D[h] * u.scale * fine, static_cast<double>(MostU(h))));
    return {};
  }

  static void SetCode(const AffineCode& code, int32_t* zero, int8_t* low, int8_t* high) {
    *zero = static_cast<int32_t>(code.zero);
    *low = static_cast<int8_t>(code.low);
    *high = static_cast<int8_t>(code.high);
  }

  // The code with the codes of +-kLargestY as its limits, where it goes beyond them.
  static AffineCode CutOff(AffineCode code) {
    if (code.scale == 0) return code;
    const float low = code.low, high = code.high;
    const auto at = [&](float v) { return RoundHalfEven(std::clamp(code.Place(v), low, high)); };
    code.low = at(-kLargestY);
    code.high = at(kLargestY);
    return code;
  }

  const FloatLayer& f_;
  const S4dStatePlan& state_;
  double stream_unit_;
  std::string site_;
  size_t H_, N_;
  FloatModes modes_;
  std::vector<double> c_unit_;   // [H]: what 1 of Y stands for before its shift
  std::vector<int64_t> most_y_;  // [H]: |Y| before its shift
  IntegerLayer l_;
};

}  // namespace

Result<IntegerLayer> LowerRecurrence(const FloatLayer& layer, const S4dStatePlan& state,
                                     double stream_unit) {
  return LayerLowering(layer, state, stream_unit).Lower();
}

}  // namespace octet
