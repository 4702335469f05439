// What a tile of the tiers whose blocks are 16 channels needs.
namespace {

struct Tile {
  const std::int8_t* a;
  const float* a_scale;
  const std::int8_t* w;
  const float *w_scale, *bias;
  float* y;
  std::size_t ldy, K;
  bool add;
};

}  // namespace
