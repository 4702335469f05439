// The packed layout of the dot-product tiers: blocks of 16 output channels; inside a block, for every 4 consecutive k, 64
// bytes = 16 channels x 4 k. Channels beyond N are zero.
namespace {

inline std::size_t interleave4_size(std::size_t N, std::size_t K) { return (N + 15) / 16 * 16 * K; }

inline void interleave4_pack(const std::int8_t* w, std::size_t N, std::size_t K, void* packed) {
  std::int8_t* out = static_cast<std::int8_t*>(packed);
  for (std::size_t block = 0; block < N; block += 16)
    for (std::size_t k = 0; k < K; k += 4)
      for (std::size_t n = block; n < block + 16; ++n)
        for (std::size_t i = 0; i < 4; ++i) *out++ = n < N ? w[n * K + k + i] : std::int8_t{0};
}

}  // namespace
