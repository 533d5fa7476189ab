// Integer linear layers over panels (kernels/panels.h): what their kernels share, and the loops for
// any instruction set that multiplies 4 unsigned by 4 signed bytes into an int32 lane.
//
// Included by one file per instruction set, inside its anonymous namespace, after <cstdint> and the
// headers below. That file defines a class `I`:
//   Sums, Codes           vectors: kRows sums of int32; 4 columns of kRows rows
//   kRows                 rows of a vector; 16 / kRows vectors make a row of panels
//   kTokens, kPanelsI8    tile of prefill: as many sums as the registers hold
//   kTokensI4, kPanelsI4  the same of 4-bit codes, with as many Parts
//   kColumnsI4            columns whose products with 4-bit codes Parts may hold, a multiple of 8;
//                         0: any number
//   kOffset8              what LoadI8 leaves added to a code: 128, or 0 where it is taken off
//   Parts                 sums of 4-bit codes times x: Sums, or what AddParts(sums, parts) adds to
//                         them where kColumnsI4 is not 0
//   Set(v), LoadI8(p), LoadI4(p, &low, &high), Dot(sums, codes, x4), DotI4(parts, codes, x4) for
//   codes of LoadI4, AddScaled(total, sums, m), Store(p, sums)
//   SumOf64(sums, x)      adds 64 signed bytes to the lanes in any way; Total(sums) adds the lanes
//   Dequantize16(acc, x_scale, row_scale, stride, out)   DequantizeAcc of 16 sums
// Everything here must be inlined or have internal linkage: tools/check_symbols.

// The sums over x that correct for unsigned codes: for each token, for each group.
struct Corrections {
  const int32_t* sums;  // [M, groups]
  int64_t groups;
};

// Tokens as the tiles read them: rows of `columns` codes, `stride` apart.
struct TokenCodes {
  const int8_t* x;
  int64_t stride;
};

// Adds up `n` codes.
template <class I>
inline int32_t SumOfCodes(const int8_t* x, int64_t n) {
  typename I::Sums sums = I::Set(0);
  int64_t k = 0;
  for (; k + 64 <= n; k += 64) {
    sums = I::SumOf64(sums, x + k);
  }
  int32_t sum = I::Total(sums);
  for (; k < n; ++k) {
    sum += x[k];
  }
  return sum;
}

// Asks for the lines of each panel at `byte`, beyond what is being read: the processor by itself
// stops at the end of a page, and while tokens go over panels in cache it does not begin the next.
template <int kPanels>
inline void PrefetchPanels(const uint8_t* const* panel, int64_t byte) {
#pragma GCC unroll 16
  for (int p = 0; p < kPanels; ++p) {
    __builtin_prefetch(panel[p] + byte);
  }
}

// kTokens tokens by kPanels panels of 8-bit codes. kFetch: lines `ahead` bytes beyond
// what is read are fetched. out: [kTokens, kPanels, 16].
template <class I, int kTokens, int kPanels, bool kFetch>
void TileI8(const TokenCodes& x, const uint8_t* const* panel, int64_t columns, const int32_t* x_sum,
            int64_t ahead, int32_t* out) {
  constexpr int kVectors = kPanels * 16 / I::kRows;
  typename I::Sums sums[kTokens][kVectors];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      sums[t][v] = I::Set(-I::kOffset8 * x_sum[t]);
    }
  }
  for (int64_t k = 0; k < columns; k += 4) {
    typename I::Codes codes[kVectors];
    if constexpr (kFetch) PrefetchPanels<kPanels>(panel, k * 16 + ahead);
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      const int row = v * I::kRows % 16;
      codes[v] = I::LoadI8(panel[v * I::kRows / 16] + (k * 16 + row * 4));
    }
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      const int8_t* x4 = x.x + t * x.stride + k;
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) {
        sums[t][v] = I::Dot(sums[t][v], codes[v], x4);
      }
    }
  }
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      I::Store(out + (t * kVectors + v) * I::kRows, sums[t][v]);
    }
  }
}

// Adds the products of columns [begin, end) to `parts`: 4-bit codes of kTokens tokens by kPanels
// panels.
template <class I, int kTokens, int kPanels, bool kFetch, int kVectors = kPanels * 16 / I::kRows>
inline __attribute__((always_inline)) void DotColumnsI4(const TokenCodes& x,
                                                        const uint8_t* const* panel, int64_t begin,
                                                        int64_t end, int64_t ahead,
                                                        typename I::Parts (*parts)[kVectors]) {
  for (int64_t k = begin; k < end; k += 8) {
    typename I::Codes low[kVectors], high[kVectors];
    if constexpr (kFetch) PrefetchPanels<kPanels>(panel, k * 8 + ahead);
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      const int row = v * I::kRows % 16;
      I::LoadI4(panel[v * I::kRows / 16] + (k * 8 + row * 4), &low[v], &high[v]);
    }
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
      const int8_t* x8 = x.x + t * x.stride + k;
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) {
        parts[t][v] = I::DotI4(parts[t][v], low[v], x8);
        parts[t][v] = I::DotI4(parts[t][v], high[v], x8 + 4);
      }
    }
  }
}

// The same for 4-bit codes with multipliers [groups, 16] of each panel.
template <class I, int kTokens, int kPanels, bool kFetch>
void TileI4(const TokenCodes& x, const uint8_t* const* panel, const uint8_t* const* multipliers,
            int64_t columns, int64_t group, const Corrections& x_sum, int64_t ahead, int32_t* out) {
  static_assert(I::kColumnsI4 % 8 == 0);
  constexpr int kVectors = kPanels * 16 / I::kRows;
  typename I::Sums total[kTokens][kVectors];
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      total[t][v] = I::Set(0);
    }
  }
  for (int64_t g = 0; g < x_sum.groups; ++g) {
    const int64_t end = g + 1 == x_sum.groups ? columns : (g + 1) * group;
    typename I::Sums sums[kTokens][kVectors];
#pragma GCC unroll 16
    for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) {
        sums[t][v] = I::Set(-8 * x_sum.sums[t * x_sum.groups + g]);
      }
    }
    if constexpr (I::kColumnsI4 == 0) {
      DotColumnsI4<I, kTokens, kPanels, kFetch>(x, panel, g * group, end, ahead, sums);
    } else {
      for (int64_t k = g * group; k < end; k += I::kColumnsI4) {
        typename I::Parts parts[kTokens][kVectors];
#pragma GCC unroll 16
        for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 16
          for (int v = 0; v < kVectors; ++v) {
            parts[t][v] = I::Set(0);
          }
        }
        const int64_t next = k + I::kColumnsI4 < end ? k + I::kColumnsI4 : end;
        DotColumnsI4<I, kTokens, kPanels, kFetch>(x, panel, k, next, ahead, parts);
#pragma GCC unroll 16
        for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 16
          for (int v = 0; v < kVectors; ++v) {
            sums[t][v] = I::AddParts(sums[t][v], parts[t][v]);
          }
        }
      }
    }
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      const int row = v * I::kRows % 16;
      const uint8_t* m = multipliers[v * I::kRows / 16] + g * 16 + row;
#pragma GCC unroll 16
      for (int t = 0; t < kTokens; ++t) {
        total[t][v] = I::AddScaled(total[t][v], sums[t][v], m);
      }
    }
  }
#pragma GCC unroll 16
  for (int t = 0; t < kTokens; ++t) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      I::Store(out + (t * kVectors + v) * I::kRows, total[t][v]);
    }
  }
}

// What every kernel over panels needs of a problem: its sizes, the sums over x, and the way from
// sums to outputs.
template <class I>
class PanelProblem {
 public:
  static int64_t Columns(int64_t K) {
    return (K + kPanelColumns - 1) / kPanelColumns * kPanelColumns;
  }
  static int64_t Groups(const LinearArgs& a) {
    return a.w.dtype == DType::kI4 ? (a.K + a.w.group - 1) / a.w.group : 1;
  }
  static int64_t SumsBytes(const LinearArgs& a) { return a.M * Groups(a) * 4; }

 protected:
  // x_sums: SumsBytes(a), or null for a kernel that needs no sums.
  PanelProblem(const LinearArgs& a, void* x_sums)
      : a_(a), columns_(Columns(a.K)), groups_(Groups(a)) {
    const bool i4 = a.w.dtype == DType::kI4;
    panel_bytes_ = i4 ? columns_ * 8 : columns_ * 16;
    auto* sums = static_cast<int32_t*>(x_sums);
    for (int64_t t = 0; t < a.M && sums != nullptr; ++t) {
      const int8_t* x = static_cast<const int8_t*>(a.x) + t * a.K;
      for (int64_t g = 0; g < groups_; ++g) {
        const int64_t begin = i4 ? g * a.w.group : 0;
        const int64_t end = g + 1 == groups_ ? a.K : begin + a.w.group;
        sums[t * groups_ + g] = SumOfCodes<I>(x + begin, end - begin);
      }
    }
    x_sums_ = sums;
  }

  // Panels [first, last) hold the outputs.
  int64_t FirstPanel() const { return a_.n_begin / kPanelRows; }
  int64_t LastPanel() const { return (a_.n_end + kPanelRows - 1) / kPanelRows; }
  const uint8_t* Panel(int64_t p) const {
    return static_cast<const uint8_t*>(a_.w.data) + p * panel_bytes_;
  }
  const uint8_t* Multipliers(int64_t p) const { return a_.w.group_scale + p * groups_ * 16; }

  // Token t with zeros up to columns_.
  void CopyToken(int64_t t, int8_t* out) const {
    const auto* x = static_cast<const int8_t*>(a_.x) + t * a_.K;
    __builtin_memcpy(out, x, static_cast<size_t>(a_.K));
    __builtin_memset(out + a_.K, 0, static_cast<size_t>(columns_ - a_.K));
  }

  // Outputs [n, n + 16) of token t, those in range.
  void Finish(int64_t t, int64_t n, const int32_t* acc) const {
    const double x_scale = static_cast<double>(a_.x_scale[t * a_.x_scale_stride]);
    const float* row_scale = a_.w.row_scale + n * a_.w.row_scale_stride;
    float* y = a_.y + t * a_.y_stride + n;
    if (n >= a_.n_begin && n + 16 <= a_.n_end) {
      I::Dequantize16(acc, x_scale, row_scale, a_.w.row_scale_stride, y);
      for (int i = 0; i < 16 && a_.bias != nullptr; ++i) {
        y[i] += a_.bias[n + i];
      }
      return;
    }
    for (int64_t i = 0; i < 16; ++i) {
      if (n + i < a_.n_begin || n + i >= a_.n_end) continue;
      const double scale = x_scale * static_cast<double>(row_scale[i * a_.w.row_scale_stride]);
      const auto v = static_cast<float>(static_cast<double>(acc[i]) * scale);
      y[i] = a_.bias == nullptr ? v : v + a_.bias[n + i];
    }
  }

  const LinearArgs& a_;
  int64_t columns_, groups_, panel_bytes_ = 0;
  const int32_t* x_sums_ = nullptr;  // [M, groups_], or null
};

template <class I>
class PanelLinear : private PanelProblem<I> {
  using Problem = PanelProblem<I>;
  using Problem::a_, Problem::columns_, Problem::groups_, Problem::x_sums_;

 public:
  // scratch: ScratchBytes(a).
  static void Run(const LinearArgs& a, const Workspace& w) {
    const PanelLinear self(a, static_cast<int8_t*>(w.scratch));
    if (a.w.dtype == DType::kI8) {
      self.template Tiles<I::kTokens, I::kPanelsI8, false>();
    } else {
      self.template Tiles<I::kTokensI4, I::kPanelsI4, true>();
    }
  }

  static int64_t ScratchBytes(const LinearArgs& a) {
    return Problem::SumsBytes(a) + (a.K % kPanelColumns == 0 ? 0 : a.M * Problem::Columns(a.K)) +
           64;
  }

 private:
  static constexpr int kDecodePanels = 4;          // as many streams through memory
  static constexpr int64_t kBytesInFlight = 8192;  // of all panels of a tile

  PanelLinear(const LinearArgs& a, int8_t* scratch) : Problem(a, scratch) {
    x_ = {static_cast<const int8_t*>(a.x), a.K};
    if (a.K == columns_) return;
    int8_t* padded = scratch + Problem::SumsBytes(a);
    for (int64_t t = 0; t < a.M; ++t) {
      this->CopyToken(t, padded + t * columns_);
    }
    x_ = {padded, columns_};
  }

  // All panels of the range: kPanels at a time, those of one tile far from each other, so that each
  // is one stream through memory, however many tokens there are.
  template <int kTokens, int kPanels, bool kI4>
  void Tiles() const {
    const int64_t first = this->FirstPanel();
    const int64_t last = this->LastPanel();
    const bool few = a_.M < kTokens && kPanels < kDecodePanels;
    if (few && a_.M == 1) {
      const int64_t stride = (last - first) / kDecodePanels;
      for (int64_t i = 0; i < stride; ++i) {
        Tile<1, kDecodePanels, kI4>(0, first + i, stride);
      }
      for (int64_t p = first + stride * kDecodePanels; p < last; ++p) {
        Tile<1, 1, kI4>(0, p, 0);
      }
      return;
    }
    const int64_t stride = (last - first) / kPanels;
    for (int64_t i = 0; i < stride; ++i) {
      Tokens<kTokens, kPanels, kI4>(first + i, stride);
    }
    for (int64_t p = first + stride * kPanels; p < last; ++p) {
      Tokens<kTokens, 1, kI4>(p, 0);
    }
  }

  // All tokens by panels p, p + stride, ...
  template <int kTokens, int kPanels, bool kI4>
  void Tokens(int64_t p, int64_t stride) const {
    int64_t t = 0;
    for (; t + kTokens < a_.M; t += kTokens) {
      Tile<kTokens, kPanels, kI4, false>(t, p, stride);
    }
    Rest<kTokens, kPanels, kI4>(t, p, stride);
  }

  // The last a_.M - t <= kTokens tokens.
  template <int kTokens, int kPanels, bool kI4>
  void Rest(int64_t t, int64_t p, int64_t stride) const {
    if constexpr (kTokens > 0) {
      if (a_.M - t == kTokens) {
        Tile<kTokens, kPanels, kI4>(t, p, stride);
      } else {
        Rest<kTokens - 1, kPanels, kI4>(t, p, stride);
      }
    }
  }

  // A tile that holds all tokens waits for memory and fetches what it reads soon; of several the
  // last (kFetch) fetches the panels that come next.
  template <int kTokens, int kPanels, bool kI4, bool kFetch = true>
  void Tile(int64_t t, int64_t p, int64_t stride) const {
    alignas(64) int32_t sums[kTokens * kPanels * 16];
    const uint8_t* panel[kPanels];
    const uint8_t* multipliers[kPanels];
    for (int i = 0; i < kPanels; ++i) {
      panel[i] = this->Panel(p + i * stride);
      multipliers[i] = kI4 ? this->Multipliers(p + i * stride) : nullptr;
    }
    const TokenCodes x{x_.x + t * x_.stride, x_.stride};
    const int32_t* x_sum = x_sums_ + t * groups_;
    const int64_t ahead = a_.M == kTokens ? kBytesInFlight / kPanels : this->panel_bytes_;
    if constexpr (kI4) {
      TileI4<I, kTokens, kPanels, kFetch>(x, panel, multipliers, columns_, a_.w.group,
                                          {x_sum, groups_}, ahead, sums);
    } else {
      TileI8<I, kTokens, kPanels, kFetch>(x, panel, columns_, x_sum, ahead, sums);
    }
    for (int i = 0; i < kTokens; ++i) {
      for (int j = 0; j < kPanels; ++j) {
        this->Finish(t + i, (p + j * stride) * 16, sums + (i * kPanels + j) * 16);
      }
    }
  }

  TokenCodes x_{};
};

inline const char* WhyNotPanels(const LinearArgs& a) {
  if (a.x_dtype != DType::kI8) return "float inputs";
  return a.w.layout == WeightLayout::kPanels ? nullptr : "codes in rows";
}
