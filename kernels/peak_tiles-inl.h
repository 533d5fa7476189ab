// The loop of products of tiles, for kernels/amx/peak.cc and the test of its emulated tiles.
//
// Included after kernels/peak.h and kernels/tile_config-inl.h, like the latter.

template <class T>
struct PeakTiles {
  // Products of a round, each of 16 by 16 sums of 64 products.
  static constexpr int64_t kDots = 4;

  // scratch: ScratchBytes().
  static void Run(const PeakArgs& a, const Workspace& w) {
    auto* bytes = static_cast<uint8_t*>(w.scratch);
    __builtin_memset(bytes, 1, 1024);
    T::Configure(kWholeTiles);
    T::template Zero<0>();
    T::template Zero<1>();
    T::template Zero<2>();
    T::template Zero<3>();
    T::template Load<4>(bytes, 64);
    T::template Load<5>(bytes, 64);
    T::template Load<6>(bytes, 64);
    T::template Load<7>(bytes, 64);
    for (int64_t r = 0; r < a.rounds; ++r) {
      T::template Dot<0, 4, 6>();
      T::template Dot<1, 4, 7>();
      T::template Dot<2, 5, 6>();
      T::template Dot<3, 5, 7>();
    }
    uint32_t total = AddUp<0>(bytes);
    total += AddUp<1>(bytes);
    total += AddUp<2>(bytes);
    total += AddUp<3>(bytes);
    T::Release();
    *a.sum = total;
    *a.done = 2.0 * kDots * 16 * 16 * 64 * static_cast<double>(a.rounds);
  }

  static int64_t ScratchBytes(const PeakArgs&) { return 1024; }

 private:
  template <int t>
  static uint32_t AddUp(uint8_t* bytes) {
    T::template Store<t>(bytes, 64);
    uint32_t total = 0;
    for (int64_t i = 0; i < 1024; i += 4) {
      uint32_t sum = 0;
      __builtin_memcpy(&sum, bytes + i, sizeof(sum));
      total += sum;
    }
    return total;
  }
};
