// Integer linear layers over panels (kernels/panels.h) by tiles of 16 lines of 64 bytes, those of
// AMX: the loops of kernels/amx/linear.cc, which kernels/tiles_test.cc runs over emulated tiles.
//
// Included like kernels/panels-inl.h, and after it and kernels/tile_config-inl.h. The file defines
// a class `I` as in the first (of which this needs Codes of 64 bytes, LoadI4, Dequantize16 and what
// adds up codes) and a class `T` as in the second.
// 16 rows by 64 columns of a panel of kI8 are such a tile of codes. 4-bit codes are widened to
// tiles first, those of a pair of panels at a time, for all tokens.

template <class I, class T>
class TileLinear : private PanelProblem<I> {
  using Problem = PanelProblem<I>;
  using Problem::a_, Problem::columns_, Problem::groups_, Problem::x_sums_;

 public:
  // scratch: ScratchBytes(a).
  static void Run(const LinearArgs& a, const Workspace& w) {
    const TileLinear self(a, static_cast<uint8_t*>(w.scratch));
    T::Configure(kWholeTiles);
    self.Panels();
    T::Release();
  }

  // Never less for more tokens: a caller books for the longest piece and runs shorter ones.
  static int64_t ScratchBytes(const LinearArgs& a) {
    return WidenedOffset(a) + (a.w.dtype == DType::kI4 ? 2 * WidenedTiles(a) * kTileBytes : 0);
  }

 private:
  static constexpr int64_t kTokens = 16, kTileBytes = 1024;

  static constexpr int64_t RoundUp(int64_t v, int64_t unit) { return (v + unit - 1) / unit * unit; }

  // Scratch: sums over x; copied tokens, all of them or those of the last block; widened codes.
  static int64_t CopyOffset(const LinearArgs& a) { return RoundUp(Problem::SumsBytes(a), 64); }
  static int64_t WidenedOffset(const LinearArgs& a) {
    const int64_t copied = a.K % kPanelColumns == 0 ? kTokens : RoundUp(a.M, kTokens);
    return CopyOffset(a) + copied * Problem::Columns(a.K);
  }

  // Tiles of a panel of 4-bit codes: where a group ends within a tile, the next begins with the
  // same columns in a tile of its own.
  static int64_t WidenedTiles(const LinearArgs& a) {
    int64_t tiles = Problem::Columns(a.K) / kPanelColumns;
    for (int64_t begin = a.w.group; begin < a.K; begin += a.w.group) {
      tiles += begin % kPanelColumns == 0 ? 0 : 1;
    }
    return tiles;
  }

  TileLinear(const LinearArgs& a, uint8_t* scratch)
      : Problem(a, scratch), widened_(scratch + WidenedOffset(a)) {
    const int64_t whole = a.M / kTokens * kTokens;
    const int64_t first = a.K == columns_ ? whole : 0;  // the first token that is copied
    auto* copy = reinterpret_cast<int8_t*>(scratch + CopyOffset(a));
    for (int64_t t = first; t < a.M; ++t) {
      this->CopyToken(t, copy + (t - first) * columns_);
    }
    const int64_t copied = (a.M - first) * columns_;
    __builtin_memset(copy + copied, 0,
                     static_cast<size_t>(RoundUp(a.M - first, kTokens) * columns_ - copied));
    x_ = first == 0 ? copy : static_cast<const int8_t*>(a.x);
    last_ = copy + (whole - first) * columns_;
    widened_tiles_ = a.w.dtype == DType::kI4 ? WidenedTiles(a) : 0;
  }

  // Tokens [t, t + 16), zeros after the last.
  const int8_t* Block(int64_t t) const { return t + kTokens <= a_.M ? x_ + t * columns_ : last_; }

  void Panels() const {
    int64_t p = this->FirstPanel();
    for (; p + 2 <= this->LastPanel(); p += 2) {
      Tokens<2>(p);
    }
    if (p < this->LastPanel()) Tokens<1>(p);
  }

  // All tokens by panels p, p + 1, ...
  template <int kPanels>
  void Tokens(int64_t p) const {
    const bool i4 = a_.w.dtype == DType::kI4;
    for (int i = 0; i < kPanels && i4; ++i) {
      Widen(this->Panel(p + i), widened_ + i * widened_tiles_ * kTileBytes);
    }
    int64_t t = 0;
    for (; t + kTokens < a_.M; t += 2 * kTokens) {
      i4 ? BlockI4<2, kPanels>(t, p) : BlockI8<2, kPanels>(t, p);
    }
    if (t < a_.M) i4 ? BlockI4<1, kPanels>(t, p) : BlockI8<1, kPanels>(t, p);
  }

  // Tiles of group g of 4-bit codes: from column TileBegin(g), as many as TileEnd says.
  int64_t GroupEnd(int64_t g) const { return g + 1 == groups_ ? columns_ : (g + 1) * a_.w.group; }
  int64_t TileBegin(int64_t g) const { return g * a_.w.group / kPanelColumns * kPanelColumns; }
  int64_t TileEnd(int64_t g) const { return RoundUp(GroupEnd(g), kPanelColumns); }

  // 4-bit codes to tiles of 0 .. 15, zero in columns of other groups.
  void Widen(const uint8_t* panel, uint8_t* out) const {
    for (int64_t g = 0; g < groups_; ++g) {
      for (int64_t k = TileBegin(g); k < TileEnd(g); k += 8, out += 128) {
        if (k < g * a_.w.group || k >= GroupEnd(g)) {
          __builtin_memset(out, 0, 128);
          continue;
        }
        typename I::Codes low, high;
        static_assert(sizeof(low) == 64);
        I::LoadI4(panel + k * 8, &low, &high);
        __builtin_memcpy(out, &low, 64);
        __builtin_memcpy(out + 64, &high, 64);
      }
    }
  }

  // Tiles 0 .. 3: sums of blocks x[0], x[1] (from the same column on) by codes[0], codes[1].
  // Meanwhile kPanels times `lines` lines are fetched for each tile of columns, from `next` on.
  template <int kBlocks, int kPanels>
  void Multiply(const int8_t* const (&x)[2], const uint8_t* const (&codes)[2], int64_t tiles,
                const uint8_t* next, int64_t lines) const {
    T::template Zero<0>();
    if constexpr (kPanels == 2) T::template Zero<1>();
    if constexpr (kBlocks == 2) T::template Zero<2>();
    if constexpr (kBlocks == 2 && kPanels == 2) T::template Zero<3>();
    for (int64_t i = 0; i < tiles; ++i) {
      for (int64_t line = 0; line < kPanels * lines; ++line, next += 64) {
        __builtin_prefetch(next);
      }
      T::template Load<4>(x[0] + i * kPanelColumns, columns_);
      T::template Load<6>(codes[0] + i * kTileBytes, 64);
      T::template Dot<0, 4, 6>();
      if constexpr (kPanels == 2) {
        T::template Load<7>(codes[1] + i * kTileBytes, 64);
        T::template Dot<1, 4, 7>();
      }
      if constexpr (kBlocks == 2) {
        T::template Load<5>(x[1] + i * kPanelColumns, columns_);
        T::template Dot<2, 5, 6>();
        if constexpr (kPanels == 2) T::template Dot<3, 5, 7>();
      }
    }
  }

  // Lines of one of the next panels that a block fetches with each tile of columns, for the reason
  // that kernels/panels-inl.h gives: none before the last block, which ends at token `end`.
  int64_t LinesAhead(int64_t end) const {
    if (end < a_.M) return 0;
    return (a_.w.dtype == DType::kI4 ? kTileBytes / 2 : kTileBytes) / 64;
  }

  // [tokens, panels, 16], modulo 2^32.
  template <int kBlocks, int kPanels>
  struct alignas(64) Sums {
    uint32_t v[kBlocks * kTokens][kPanels][16];
  };

  template <int kBlocks, int kPanels>
  static void StoreSums(Sums<kBlocks, kPanels>* sums) {
    constexpr int64_t kStride = kPanels * 64;
    T::template Store<0>(sums->v[0][0], kStride);
    if constexpr (kPanels == 2) T::template Store<1>(sums->v[0][1], kStride);
    if constexpr (kBlocks == 2) T::template Store<2>(sums->v[kTokens][0], kStride);
    if constexpr (kBlocks == 2 && kPanels == 2) T::template Store<3>(sums->v[kTokens][1], kStride);
  }

  template <int kBlocks, int kPanels>
  void BlockI8(int64_t t, int64_t p) const {
    Sums<kBlocks, kPanels> sums;
    Multiply<kBlocks, kPanels>(
        {Block(t), Block(t + kTokens)}, {this->Panel(p), this->Panel(p + kPanels - 1)},
        columns_ / kPanelColumns, this->Panel(p + kPanels), LinesAhead(t + kBlocks * kTokens));
    StoreSums(&sums);
    const int64_t tokens = kBlocks * kTokens < a_.M - t ? kBlocks * kTokens : a_.M - t;
    for (int64_t i = 0; i < tokens; ++i) {
      const uint32_t excess = 128 * static_cast<uint32_t>(x_sums_[t + i]);
      for (int j = 0; j < kPanels; ++j) {
        for (uint32_t& sum : sums.v[i][j]) {
          sum -= excess;
        }
      }
    }
    FinishAll(sums.v[0][0], t, tokens, p, kPanels);
  }

  template <int kBlocks, int kPanels>
  void BlockI4(int64_t t, int64_t p) const {
    Sums<kBlocks, kPanels> total, sums;
    __builtin_memset(&total, 0, sizeof(total));
    const int64_t tokens = kBlocks * kTokens < a_.M - t ? kBlocks * kTokens : a_.M - t;
    int64_t before = 0;  // tiles of groups before g
    for (int64_t g = 0; g < groups_; ++g) {
      const int64_t begin = TileBegin(g);
      const int64_t tiles = (TileEnd(g) - begin) / kPanelColumns;
      const uint8_t* codes = widened_ + before * kTileBytes;
      Multiply<kBlocks, kPanels>({Block(t) + begin, Block(t + kTokens) + begin},
                                 {codes, codes + widened_tiles_ * kTileBytes}, tiles,
                                 this->Panel(p + kPanels) + kPanels * begin * 8,
                                 LinesAhead(t + kBlocks * kTokens));
      StoreSums(&sums);
      before += tiles;
      for (int j = 0; j < kPanels; ++j) {
        const uint8_t* m = this->Multipliers(p + j) + g * 16;
        for (int64_t i = 0; i < tokens; ++i) {
          const uint32_t excess = 8 * static_cast<uint32_t>(x_sums_[(t + i) * groups_ + g]);
          for (int n = 0; n < 16; ++n) {
            total.v[i][j][n] += (sums.v[i][j][n] - excess) * m[n];
          }
        }
      }
    }
    FinishAll(total.v[0][0], t, tokens, p, kPanels);
  }

  // sums: [tokens, panels, 16].
  void FinishAll(const uint32_t* sums, int64_t t, int64_t tokens, int64_t p, int64_t panels) const {
    for (int64_t i = 0; i < tokens; ++i) {
      for (int64_t j = 0; j < panels; ++j, sums += 16) {
        int32_t acc[16];
        __builtin_memcpy(acc, sums, sizeof(acc));
        this->Finish(t + i, (p + j) * 16, acc);
      }
    }
  }

  const int8_t* x_ = nullptr;     // whole blocks, columns_ apart
  const int8_t* last_ = nullptr;  // the block that is not whole
  uint8_t* widened_;
  int64_t widened_tiles_ = 0;  // of a panel
};
