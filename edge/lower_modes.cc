#include "edge/lower_modes.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <span>
#include <utility>

#include <fmt/format.h>

namespace octet {
namespace {

using Complex = std::complex<double>;

constexpr int kLeastBits = 15, kMostBits = 30;  // of k: dither has 15 bits
constexpr double kMostMove = 1.0 / 16;

struct Form {
  bool packed, wide;
};

struct Head {
  int k = 0, b_shift = 0;
  bool near_one = false;
  std::vector<int32_t> A, B;
};

double Part(const Complex& v) {
  return std::max(std::fabs(v.real()), std::fabs(v.imag()));
}

int64_t Round(double v, int exponent) {
  return static_cast<int64_t>(std::nearbyint(std::ldexp(v, exponent)));
}

// The fewest low bits to drop of v 2^exponent so that what remains is at most `most`.
int BitsAbove(double v, int exponent, int64_t most) {
  int bits = 0;
  while (Round(v, exponent - bits) > most) {
    ++bits;
  }
  return bits;
}

// One head in one form. Where something does not fit, `mode` and `why` say what.
class HeadRounding {
 public:
  HeadRounding(Form form, std::span<const FloatMode> modes, int64_t most_state, int64_t most_u)
      : form_(form), modes_(modes), X_(most_state), u_(most_u) {}

  // With the largest k that fits.
  bool Lower(Head* head) {
    bool found = false;
    for (const bool near_one : {false, true}) {
      if (near_one && !form_.packed) continue;
      for (int k = kMostBits; k >= kLeastBits && (!found || k > head->k); --k) {
        Head at;
        at.k = k;
        at.near_one = near_one;
        if (!Fits(&at)) continue;
        *head = std::move(at);
        found = true;
      }
    }
    return found && ((form_.wide && !form_.packed) || KeepsPoles(*head));
  }

  size_t mode = 0;
  std::string why;

 private:
  bool Fail(size_t n, std::string text) {
    mode = n;
    why = std::move(text);
    return false;
  }

  // Sets b_shift, A and B.
  bool Fits(Head* head) {
    const int64_t most_B = form_.packed ? kMostPackedB : INT32_MAX;
    double largest = 0;
    for (const FloatMode& m : modes_) {
      largest = std::max(largest, Part(m.b));
    }
    const int above = BitsAbove(largest, head->k, most_B);
    head->b_shift = std::max(0, above - (form_.packed ? kMostPackedShift : 0));
    for (size_t n = 0; n < modes_.size(); ++n) {
      if (!Add(n, head)) return false;
    }
    return true;
  }

  bool Add(size_t n, Head* head) {
    const FloatMode& m = modes_[n];
    const int b_bits = head->k - head->b_shift;
    const int drop = form_.packed ? BitsAbove(Part(m.b), b_bits, kMostPackedB) : 0;
    const int64_t one = head->near_one ? int64_t{1} << head->k : 0;
    const int64_t A[] = {Round(m.A.real(), head->k), Round(m.A.imag(), head->k)};
    const int64_t B[] = {Round(m.b.real(), b_bits - drop) * (int64_t{1} << drop),
                         Round(m.b.imag(), b_bits - drop) * (int64_t{1} << drop)};
    const int64_t most_A = form_.packed ? kMostPackedA : INT32_MAX;
    if (std::max(std::abs(A[0] - one), std::abs(A[1])) > most_A) {
      return Fail(n, fmt::format("a pole of {:.4g} is too large", Part(m.A)));
    }
    const int64_t decay = (std::abs(A[0]) + std::abs(A[1])) * X_;                            // 2^48
    const int64_t input = std::max(std::abs(B[0]), std::abs(B[1])) * (u_ << head->b_shift);  // 2^62
    if (decay + input + (int64_t{1} << head->k) > (form_.wide ? INT64_MAX : INT32_MAX)) {
      return Fail(n, fmt::format("A x up to {} and B u up to {} exceed {} bits", decay, input,
                                 form_.wide ? 64 : 32));
    }
    head->A.insert(head->A.end(), {static_cast<int32_t>(A[0]), static_cast<int32_t>(A[1])});
    head->B.insert(head->B.end(), {static_cast<int32_t>(B[0]), static_cast<int32_t>(B[1])});
    return true;
  }

  bool KeepsPoles(const Head& head) {
    for (size_t n = 0; n < modes_.size(); ++n) {
      const Complex rounded(std::ldexp(head.A[2 * n], -head.k),
                            std::ldexp(head.A[2 * n + 1], -head.k));
      const double distance = std::fabs(1 - std::abs(modes_[n].A));
      const double move = std::abs(rounded - modes_[n].A);
      if (move > kMostMove * distance) {
        return Fail(n, fmt::format("{} bits of fraction move a pole by {:.2g}, and {:.2g} part it "
                                   "from the unit circle",
                                   head.k, move, distance));
      }
    }
    return true;
  }

  Form form_;
  std::span<const FloatMode> modes_;
  int64_t X_, u_;
};

class ModesLowering {
 public:
  ModesLowering(const FloatModes& f, IntegerLayer* layer)
      : f_(f), l_(*layer), N_(f.modes.size() / std::max<size_t>(f.most_u.size(), 1)) {}

  Status Lower() {
    for (size_t i = 0; i < f_.modes.size(); ++i) {
      const double moved = Part(f_.modes[i].b) * static_cast<double>(f_.most_u[i / N_]);
      if (moved < 0x1p31) continue;
      return InvalidArgument(
          At(i / N_, i % N_,
             fmt::format("one input moves the state by up to {:.4g} of its codes", moved)));
    }
    for (const bool wide : {false, true}) {
      if (Try({true, wide})) return {};
      l_.plain_because = why_;
      if (Try({false, wide})) return {};
    }
    return InvalidArgument(why_);
  }

 private:
  std::string At(size_t h, size_t n, const std::string& why) const {
    return fmt::format("{}, head {}, mode {}: {}", f_.site, h, n, why);
  }

  bool Try(Form form) {
    std::vector<Head> heads;
    for (size_t h = 0; h < f_.most_u.size(); ++h) {
      HeadRounding rounding(form, std::span(f_.modes).subspan(h * N_, N_), f_.most_state,
                            f_.most_u[h]);
      if (!rounding.Lower(&heads.emplace_back())) {
        why_ = At(h, rounding.mode, rounding.why);
        return false;
      }
    }
    Take(form, heads);
    return true;
  }

  void Take(Form form, const std::vector<Head>& heads) {
    l_.packed = form.packed;
    l_.wide = form.wide;
    if (form.packed) l_.plain_because.clear();
    l_.heads.resize(heads.size());
    for (size_t h = 0; h < heads.size(); ++h) {
      l_.heads[h].k = heads[h].k;
      l_.heads[h].b_shift = heads[h].b_shift;
      l_.heads[h].near_one = heads[h].near_one;
      l_.A.insert(l_.A.end(), heads[h].A.begin(), heads[h].A.end());
      l_.B.insert(l_.B.end(), heads[h].B.begin(), heads[h].B.end());
    }
  }

  const FloatModes& f_;
  IntegerLayer& l_;
  size_t N_;
  std::string why_;
};

}  // namespace

Status LowerModes(const FloatModes& modes, IntegerLayer* layer) {
  return ModesLowering(modes, layer).Lower();
}

}  // namespace octet
