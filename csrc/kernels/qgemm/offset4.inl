// The packed layout of the tiers that multiply unsigned by signed bytes: blocks of 16 output channels; inside a block, for every 4
// consecutive k, 64 bytes = 16 channels x 4 k of w + 128. Channels beyond N and k beyond K, up to the next multiple of STEP, are 0.
// The exact sum is that of (w + 128) * a less 128 * sum(a); |sum| <= 65536 * 255 * 127 < 2^31.
namespace {

template <int STEP>
std::size_t offset4_depth(std::size_t K) {
  return (K + STEP - 1) / STEP * STEP;
}

template <int STEP>
std::size_t offset4_size(std::size_t N, std::size_t K) {
  return (N + 15) / 16 * 16 * offset4_depth<STEP>(K);
}

template <int STEP>
void offset4_pack(const std::int8_t* w, std::size_t N, std::size_t K, void* packed) {
  std::uint8_t* out = static_cast<std::uint8_t*>(packed);
  const std::size_t depth = offset4_depth<STEP>(K);
  for (std::size_t block = 0; block < N; block += 16)
    for (std::size_t k = 0; k < depth; k += 4)
      for (std::size_t n = block; n < block + 16; ++n)
        for (std::size_t i = k; i < k + 4; ++i)
          *out++ = n < N && i < K ? static_cast<std::uint8_t>(w[n * K + i] + 128) : std::uint8_t{0};
}

}  // namespace
