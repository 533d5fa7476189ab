// The loop of dot products of an instruction set, for kernels/<isa>/peak.cc.
//
// Included inside the anonymous namespace of each, after kernels/peak.h. `V` has
//   Sums Set(int32_t)        all lanes
//   Codes SetI8(int8_t)      all lanes
//   Sums Dot(Sums, Codes, Codes)   adds a product of kProducts pairs of codes to each lane
//   kLanes, kProducts, Store(int32_t*, Sums)

template <class V>
struct PeakDots {
  static void Run(const PeakArgs& a, const Workspace&) {
    // More sums than the latency of a dot product times the units that do one, in variables, since
    // the compiler would copy those of an array. They differ, or it would compute one for all.
    auto s0 = V::Set(0), s1 = V::Set(1), s2 = V::Set(2), s3 = V::Set(3), s4 = V::Set(4);
    auto s5 = V::Set(5), s6 = V::Set(6), s7 = V::Set(7), s8 = V::Set(8), s9 = V::Set(9);
    const auto x = V::SetI8(3), y = V::SetI8(-5);
    for (int64_t r = 0; r < a.rounds; ++r) {
      s0 = V::Dot(s0, x, y);
      s1 = V::Dot(s1, x, y);
      s2 = V::Dot(s2, x, y);
      s3 = V::Dot(s3, x, y);
      s4 = V::Dot(s4, x, y);
      s5 = V::Dot(s5, x, y);
      s6 = V::Dot(s6, x, y);
      s7 = V::Dot(s7, x, y);
      s8 = V::Dot(s8, x, y);
      s9 = V::Dot(s9, x, y);
    }
    int32_t lanes[V::kLanes] = {};
    uint32_t total = 0;
    const decltype(s0) sums[] = {s0, s1, s2, s3, s4, s5, s6, s7, s8, s9};
    for (const auto& s : sums) {
      V::Store(lanes, s);
      for (const int32_t v : lanes) {
        total += static_cast<uint32_t>(v);
      }
    }
    *a.sum = total;
    *a.done = 2.0 * 10 * V::kProducts * V::kLanes * static_cast<double>(a.rounds);
  }

  static int64_t ScratchBytes(const PeakArgs&) { return 0; }
};
