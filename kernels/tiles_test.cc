// Contracts of kernels/tiles-inl.h, over tiles emulated as Intel's manual describes AMX:
// - The exact integer sums of kernels/linear_test.cc (int64 oracle), bit for bit, for any number of
//   tokens: ends of blocks, of tiles, of groups and of panels.
// - Nothing that faults: tiles are configured before their use, released at the end, and whole.
// - No byte beyond ScratchBytes is written, and fewer tokens never need more scratch.
// Of the emulation: one product worked out by hand, and what faults.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/buffer.h"
#include "kernels/linear_testing.h"
#include "kernels/peak.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

#include "kernels/panels-inl.h"
#include "kernels/tile_config-inl.h"
#include "kernels/tiles-inl.h"

#include "kernels/peak_tiles-inl.h"

struct Plain {
  using Sums = int32_t;
  struct Codes {
    uint8_t v[64];
  };

  static Sums Set(int32_t v) { return v; }
  static void LoadI4(const uint8_t* p, Codes* low, Codes* high) {
    for (int i = 0; i < 64; ++i) {
      low->v[i] = p[i] & 15;
      high->v[i] = p[i] >> 4;
    }
  }
  static Sums SumOf64(Sums sums, const int8_t* x) {
    for (int i = 0; i < 64; ++i) {
      sums += x[i];
    }
    return sums;
  }
  static int32_t Total(Sums sums) { return sums; }
  static void Dequantize16(const int32_t* acc, double x_scale, const float* row_scale,
                           int64_t stride, float* out) {
    for (int i = 0; i < 16; ++i) {
      out[i] = DequantizeAcc(acc[i], static_cast<float>(x_scale), row_scale[i * stride]);
    }
  }
};

struct TileState {
  bool configured = false;
  uint8_t lines[8] = {};
  uint16_t bytes[8] = {};
  uint8_t data[8][16][64] = {};
  std::string fault;
};

// What would fault on a processor does nothing and is noted.
struct EmulatedTiles {
  static inline TileState s;

  static void Fault(const char* what) {
    if (s.fault.empty()) s.fault = what;
  }

  static void Configure(const TileConfig& config) {
    uint8_t raw[64];
    std::memcpy(raw, &config, sizeof(raw));
    const auto bytes_of = [&](int t) { return raw[16 + 2 * t] | raw[17 + 2 * t] << 8; };
    if (raw[0] != 1) return Fault("palette");
    for (int i = 2; i < 16; ++i) {
      if (raw[i] != 0) return Fault("reserved byte");
    }
    for (int t = 0; t < 16; ++t) {
      const int bytes = bytes_of(t), lines = raw[48 + t];
      if (t >= 8 && (bytes != 0 || lines != 0)) return Fault("tile that does not exist");
      if (bytes > 64 || lines > 16) return Fault("tile too large");
      if ((bytes == 0) != (lines == 0)) return Fault("empty lines");
    }
    s.configured = true;
    for (int t = 0; t < 8; ++t) {
      s.bytes[t] = static_cast<uint16_t>(bytes_of(t));
      s.lines[t] = raw[48 + t];
    }
    std::memset(s.data, 0, sizeof(s.data));
  }

  static void Release() { s.configured = false; }

  static bool Usable(int t) {
    if (s.configured && s.lines[t] != 0) return true;
    Fault("tile not configured");
    return false;
  }

  template <int t>
  static void Zero() {
    if (Usable(t)) std::memset(s.data[t], 0, sizeof(s.data[t]));
  }
  template <int t>
  static void Load(const void* p, int64_t stride) {
    if (!Usable(t)) return;
    std::memset(s.data[t], 0, sizeof(s.data[t]));  // the rest of the tile
    for (int i = 0; i < s.lines[t]; ++i) {
      std::memcpy(s.data[t][i], static_cast<const uint8_t*>(p) + i * stride, s.bytes[t]);
    }
  }
  template <int t>
  static void Store(void* p, int64_t stride) {
    if (!Usable(t)) return;
    for (int i = 0; i < s.lines[t]; ++i) {
      std::memcpy(static_cast<uint8_t*>(p) + i * stride, s.data[t][i], s.bytes[t]);
    }
  }
  template <int sums, int x, int codes>
  static void Dot() {
    if (!Usable(sums) || !Usable(x) || !Usable(codes)) return;
    if (sums == x || sums == codes || x == codes) return Fault("one tile twice");
    if (s.lines[sums] != s.lines[x] || s.bytes[sums] != s.bytes[codes] ||
        s.bytes[x] != 4 * s.lines[codes] || s.bytes[sums] % 4 != 0) {
      return Fault("shapes");
    }
    for (int m = 0; m < s.lines[sums]; ++m) {
      for (int k = 0; k < s.bytes[x] / 4; ++k) {
        for (int n = 0; n < s.bytes[sums] / 4; ++n) {
          uint32_t sum = 0;
          std::memcpy(&sum, &s.data[sums][m][4 * n], 4);
          for (int b = 0; b < 4; ++b) {
            const int product =
                static_cast<int8_t>(s.data[x][m][4 * k + b]) * s.data[codes][k][4 * n + b];
            sum += static_cast<uint32_t>(product);
          }
          std::memcpy(&s.data[sums][m][4 * n], &sum, 4);
        }
      }
    }
  }
};

using Tiles = TileLinear<Plain, EmulatedTiles>;

void Check(IntegerProblem* p, int64_t n_begin, int64_t n_end) {
  const std::vector<float> expected = p->ExpectedY(n_begin, n_end);
  constexpr int64_t kGuard = 4096;
  const int64_t bytes = Tiles::ScratchBytes(p->args);
  Buffer scratch(bytes + kGuard);
  std::fill_n(scratch.data(), bytes + kGuard, std::byte{0xff});
  p->y.assign(p->y.size(), kUntouched);
  EmulatedTiles::s = {};
  Tiles::Run(p->args, {scratch.data()});
  EXPECT_EQ(p->y, expected) << p->Description();
  EXPECT_EQ(EmulatedTiles::s.fault, "") << p->Description();
  EXPECT_FALSE(EmulatedTiles::s.configured) << "tiles must be released";
  EXPECT_EQ(std::count(scratch.data() + bytes, scratch.data() + bytes + kGuard, std::byte{0xff}),
            kGuard)
      << p->Description();
}

TEST(Tiles, IntegersAreExact) {
  uint64_t seed = 700;
  for (const DType dtype : {DType::kI8, DType::kI4}) {
    for (const int64_t M : {1, 2, 15, 16, 17, 31, 32, 33, 48, 70}) {
      for (const LinearShape& s : CodeShapes(M)) {
        ++seed;
        IntegerProblem p(dtype, s, seed, false, seed % 2 == 0, seed % 3 != 0);
        if (seed % 5 == 0) p.args.bias = nullptr;
        p.UsePanels();
        Check(&p, 0, s.N);
        if (s.N > 20) {
          Check(&p, 1, s.N - 1);
          Check(&p, 17, 18);
        }
      }
    }
  }
}

TEST(Tiles, ExtremesDoNotOverflow) {
  for (const int64_t M : {4, 16}) {
    for (const DType dtype : {DType::kI4, DType::kI8}) {
      IntegerProblem p(dtype, {M, 5, 64 * 128, 128}, 7, true, true, true);
      p.UsePanels();
      Check(&p, 0, 5);
    }
  }
}

TEST(Tiles, FewerTokensNeverNeedMoreScratch) {
  for (const DType dtype : {DType::kI8, DType::kI4}) {
    for (const int64_t K : {64, 100, 128}) {
      int64_t before = 0;
      for (int64_t M = 1; M <= 70; ++M) {
        IntegerProblem p(dtype, {M, 3, K, 32}, 1, false, false, false);
        EXPECT_GE(Tiles::ScratchBytes(p.args), before) << "M " << M << " K " << K;
        before = Tiles::ScratchBytes(p.args);
      }
    }
  }
}

TEST(EmulatedTiles, ProductIsSignedByUnsignedInQuads) {
  // Tile 0: 2 lines of 3 sums; tile 1: 2 lines of 2 quads of x; tile 2: 2 lines of 3 quads of
  // codes.
  TileConfig config = {1, 0, {}, {12, 8, 12}, {2, 2, 2}};
  EmulatedTiles::s = {};
  EmulatedTiles::Configure(config);
  const int8_t x[2][8] = {{1, 0, 0, 0, 0, -2, 0, 0}, {0, 0, -127, 0, 0, 0, 0, 1}};
  uint8_t codes[2][12];
  for (int i = 0; i < 24; ++i) {
    codes[i / 12][i % 12] = static_cast<uint8_t>(i < 12 ? i : 232 + i);
  }
  int32_t sums[2][3] = {{10, 20, 30}, {40, 50, 60}};
  EmulatedTiles::Load<0>(sums, 12);
  EmulatedTiles::Load<1>(x, 8);
  EmulatedTiles::Load<2>(codes, 12);
  EmulatedTiles::Dot<0, 1, 2>();
  EmulatedTiles::Store<0>(sums, 12);
  EXPECT_EQ(EmulatedTiles::s.fault, "");
  // codes[0] = 0 .. 11, codes[1] = 244 .. 255: x picks byte 0 of quad 0 and byte 1 of quad 1, ...
  const std::array<int32_t, 6> expected = {10 + 0 - 2 * 245,   20 + 4 - 2 * 249,
                                           30 + 8 - 2 * 253,   40 - 127 * 2 + 247,
                                           50 - 127 * 6 + 251, 60 - 127 * 10 + 255};
  std::array<int32_t, 6> got{};
  std::memcpy(got.data(), sums, sizeof(sums));
  EXPECT_EQ(got, expected);
}

TEST(EmulatedTiles, WrongUseFaults) {
  const auto fault_of = [](const TileConfig& config, void (*use)()) {
    EmulatedTiles::s = {};
    EmulatedTiles::Configure(config);
    use();
    return EmulatedTiles::s.fault;
  };
  const auto dot = [] { EmulatedTiles::Dot<0, 1, 2>(); };
  const auto none = [] {};
  TileConfig good = kWholeTiles;
  EXPECT_EQ(fault_of(good, dot), "");
  EXPECT_EQ(fault_of(good, [] { EmulatedTiles::Dot<0, 1, 1>(); }), "one tile twice");
  EXPECT_EQ(fault_of(good,
                     [] {
                       EmulatedTiles::Release();
                       EmulatedTiles::Zero<0>();
                     }),
            "tile not configured");
  TileConfig bad = good;
  bad.lines[2] = 8;
  EXPECT_EQ(fault_of(bad, dot), "shapes");
  bad = good;
  bad.palette = 0;
  EXPECT_EQ(fault_of(bad, none), "palette");
  bad = good;
  bad.reserved[13] = 1;
  EXPECT_EQ(fault_of(bad, none), "reserved byte");
  bad = good;
  bad.lines[0] = 17;
  EXPECT_EQ(fault_of(bad, none), "tile too large");
  bad = good;
  bad.bytes_of_line[7] = 0;
  EXPECT_EQ(fault_of(bad, none), "empty lines");
  bad.lines[7] = 0;
  EXPECT_EQ(fault_of(bad, [] { EmulatedTiles::Zero<7>(); }), "tile not configured");
  bad = good;
  bad.lines[8] = 1;
  EXPECT_EQ(fault_of(bad, none), "tile that does not exist");
}

TEST(Tiles, PeakMultipliesWholeTiles) {
  EmulatedTiles::s = {};
  double done = 0;
  uint32_t sum = 0;
  const PeakArgs a{PeakUnit::kI8, 3, nullptr, 0, 0, &done, &sum};
  Buffer scratch(PeakTiles<EmulatedTiles>::ScratchBytes(a));
  PeakTiles<EmulatedTiles>::Run(a, {scratch.data()});
  EXPECT_EQ(EmulatedTiles::s.fault, "");
  EXPECT_FALSE(EmulatedTiles::s.configured);
  // 3 rounds of 4 tiles of 16 by 16 sums of 64 products of ones; a multiply-add is two operations.
  EXPECT_EQ(sum, 3u * 4 * 16 * 16 * 64);
  EXPECT_EQ(done, 2.0 * sum);
}

}  // namespace
}  // namespace octet
