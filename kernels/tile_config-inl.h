// Tiles as AMX has them: 8 of 16 lines of 64 bytes.
//
// Included inside the anonymous namespace of files that define a class `T`:
//   Configure(config), Release()   before the first use of a tile, after the last
//   Zero<t>()
//   Load<t>(p, stride), Store<t>(p, stride)   lines stride bytes apart
//   Dot<sums, x, codes>()   sums[i][j] += sum_k sum_b x[i][4 k + b] codes[k][4 j + b], int32 modulo
//                           2^32, x signed, codes unsigned, k < 16, b < 4
// The instructions are those of kernels/amx/instructions-inl.h, or of kernels/tiles_test.cc, which
// emulates them.

// What ldtilecfg reads.
struct alignas(64) TileConfig {
  uint8_t palette;
  uint8_t start_line;
  uint8_t reserved[14];
  uint16_t bytes_of_line[16];  // of tiles 0 .. 7; 0 for tiles that do not exist
  uint8_t lines[16];
};
static_assert(sizeof(TileConfig) == 64);

// All tiles whole: what a problem lacks is zeros.
constexpr TileConfig kWholeTiles = {
    1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
