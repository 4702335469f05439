// Every kernel of a table against the reference table, bit for bit, on generated input.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tool/tool.h"

namespace sanderling::tool {
namespace {

// Knuth's MMIX generator: the same values everywhere, from integers only.
class Generator {
 public:
  std::uint32_t next() {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::uint32_t>(state_ >> 40);  // 24 bits
  }
  float uniform(float amplitude) {
    return (static_cast<float>(static_cast<std::int32_t>(next()) - (1 << 23)) / 8388608.0f) * amplitude;
  }
  std::vector<float> floats(std::size_t n, float amplitude) {
    std::vector<float> x(n);
    for (float& v : x) v = uniform(amplitude);
    return x;
  }
  std::vector<float> scales(std::size_t n) {
    std::vector<float> x(n);
    for (float& v : x) v = 1e-3f + std::fabs(uniform(0.05f));
    return x;
  }
  std::vector<std::int8_t> ints(std::size_t n) {
    std::vector<std::int8_t> x(n);
    for (std::int8_t& v : x) v = static_cast<std::int8_t>(static_cast<int>(next() % 255) - 127);
    return x;
  }

 private:
  std::uint64_t state_ = 2463534242ULL;
};

template <typename T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// Below the widest register, one 16-lane step, one more, and several with a tail.
constexpr std::size_t kLengths[] = {1, 7, 15, 16, 17, 64, 83};

bool gelu(const KernelTable& r, const KernelTable& c) {
  Generator g;
  for (const std::size_t n : kLengths) {
    const auto x = g.floats(n, 12.0f);
    std::vector<float> want(n), got(n);
    r.gelu(x.data(), want.data(), n);
    c.gelu(x.data(), got.data(), n);
    if (!same(want, got)) return false;
  }
  return true;
}

bool layer_norm(const KernelTable& r, const KernelTable& c) {
  Generator g;
  for (const std::size_t d : kLengths) {
    const auto x = g.floats(3 * d, 5.0f), gain = g.floats(d, 2.0f), bias = g.floats(d, 1.0f);
    std::vector<float> want(3 * d), got(3 * d);
    r.layer_norm(x.data(), gain.data(), bias.data(), want.data(), 3, d, 1e-5f);
    c.layer_norm(x.data(), gain.data(), bias.data(), got.data(), 3, d, 1e-5f);
    if (!same(want, got)) return false;
  }
  return true;
}

bool quantize_rows(const KernelTable& r, const KernelTable& c) {
  Generator g;
  for (const std::size_t k : kLengths) {
    constexpr std::size_t kRows = 33;
    auto x = g.floats(kRows * k, 20.0f);
    // Ties: halves of the grid step; a row of zeros; a row of denormals.
    for (std::size_t i = 0; i < k; ++i) {
      x[i] = (static_cast<float>(i % 127) + 0.5f) * (i % 2 ? 1.0f : -1.0f);
      x[k + i] = 0.0f;
      x[2 * k + i] = 1e-40f * static_cast<float>(i + 1);
    }
    x[0] = 127.0f;
    std::vector<std::int8_t> want(kRows * k), got(kRows * k);
    std::vector<float> want_scale(kRows), got_scale(kRows);
    r.quantize_rows(x.data(), want.data(), want_scale.data(), kRows, k);
    c.quantize_rows(x.data(), got.data(), got_scale.data(), kRows, k);
    if (!same(want, got) || !same(want_scale, got_scale)) return false;
  }
  return true;
}

bool linear_f32(const KernelTable& r, const KernelTable& c) {
  Generator g;
  for (const std::size_t n : kLengths) {
    constexpr std::size_t kM = 3, kK = 24;
    const auto x = g.floats(kM * kK, 5.0f), w = g.floats(kK * n, 1.0f), bias = g.floats(n, 1.0f);
    std::vector<float> want(kM * n), got(kM * n);
    r.linear_f32(x.data(), w.data(), bias.data(), want.data(), kM, kK, n);
    c.linear_f32(x.data(), w.data(), bias.data(), got.data(), kM, kK, n);
    if (!same(want, got)) return false;
  }
  return true;
}

bool atrous(const KernelTable& r, const KernelTable& c) {
  Generator g;
  for (const std::size_t n : kLengths)
    for (const std::size_t n_taps : {std::size_t{2}, std::size_t{8}})
      for (const std::size_t stride : {std::size_t{1}, std::size_t{16}}) {
        const std::size_t before = (n_taps - 1) * stride;
        const auto x = g.floats(before + n, 5.7f), taps = g.floats(n_taps, 1.0f);
        std::vector<float> want(2 * n), got(2 * n);
        r.atrous(x.data() + before, taps.data(), n_taps, stride, n, want.data(), want.data() + n);
        c.atrous(x.data() + before, taps.data(), n_taps, stride, n, got.data(), got.data() + n);
        if (!same(want, got)) return false;
      }
  return true;
}

bool moments(const KernelTable& r, const KernelTable& c) {
  Generator g;
  for (const std::size_t n : kLengths) {
    const auto x = g.floats(n, 5.7f), weight = g.floats(n, 1.0f);
    std::vector<double> want(2), got(2);
    r.moments(x.data(), weight.data(), n, want.data());
    c.moments(x.data(), weight.data(), n, got.data());
    if (!same(want, got)) return false;
  }
  return true;
}

// Both filter banks, for one signal and for signals side by side, in float and double.
template <typename T>
bool filter_banks(const KernelTable& r, const KernelTable& c) {
  Generator g;
  for (const std::size_t n : kLengths)
    for (const std::size_t lanes : {std::size_t{1}, std::size_t{9}})
      for (const std::size_t taps : {std::size_t{2}, std::size_t{8}}) {
        const auto wave = [&](std::size_t size) {
          const auto x = g.floats(size, 5.7f);
          return std::vector<T>(x.begin(), x.end());
        };
        const auto x = wave((taps - 1 + 2 * n) * lanes), lo = wave(taps), hi = wave(taps);
        std::vector<T> want(2 * n * lanes), got(want.size());
        const T* newest = x.data() + (taps - 1) * lanes;
        r.dwt({newest, lo.data(), hi.data(), taps, n, lanes, want.data(), want.data() + n * lanes, sizeof(T) == 8});
        c.dwt({newest, lo.data(), hi.data(), taps, n, lanes, got.data(), got.data() + n * lanes, sizeof(T) == 8});
        if (!same(want, got)) return false;
        const T *a = x.data() + (taps / 2 - 1) * lanes, *d = a + n * lanes;
        r.idwt({a, d, lo.data(), hi.data(), taps, n, lanes, want.data(), sizeof(T) == 8});
        c.idwt({a, d, lo.data(), hi.data(), taps, n, lanes, got.data(), sizeof(T) == 8});
        if (!same(want, got)) return false;
      }
  return true;
}

bool run_qgemm(const KernelTable& table, const std::vector<std::int8_t>& a, const std::vector<float>& a_scale,
               const std::vector<std::int8_t>& w, const std::vector<float>& w_scale, const float* bias,
               std::vector<float>* y, std::size_t M, std::size_t N, std::size_t K, bool add) {
  const std::size_t bytes = (table.qgemm_size(N, K) + 63) / 64 * 64;
  void* const packed = std::aligned_alloc(64, bytes);
  if (!packed) return false;
  table.qgemm_pack(w.data(), N, K, packed);
  table.qgemm_run(a.data(), a_scale.data(), packed, w_scale.data(), bias, y->data(), N, M, N, K, add);
  std::free(packed);
  return true;
}

bool qgemm(const KernelTable& r, const KernelTable& c) {
  Generator g;
  for (const std::size_t M : {1, 3, 4, 8, 13})
    for (const std::size_t N : {1, 8, 16, 17, 48})
      for (const std::size_t K : {16, 32, 80}) {
        const auto a = g.ints(M * K), w = g.ints(N * K);
        const auto a_scale = g.scales(M), w_scale = g.scales(N), bias = g.floats(N, 1.0f);
        for (const float* b : {bias.data(), static_cast<const float*>(nullptr)}) {
          const bool add = !b;
          auto want = g.floats(M * N, 1.0f), got = want;
          if (!run_qgemm(r, a, a_scale, w, w_scale, b, &want, M, N, K, add) ||
              !run_qgemm(c, a, a_scale, w, w_scale, b, &got, M, N, K, add) || !same(want, got))
            return false;
        }
      }
  return true;
}

bool attention(const KernelTable& r, const KernelTable& c) {
  Generator g;
  constexpr std::size_t kHeads = 2, kDim = 32;
  for (const std::size_t window : {std::size_t{0}, std::size_t{16}})
    for (const std::size_t before : {std::size_t{0}, std::size_t{5}, std::size_t{15}})
      for (const std::size_t T : {1, 4, 21}) {
        const std::size_t keys = before + T;
        const auto q = g.ints(T * kHeads * kDim), k = g.ints(keys * kHeads * kDim), v = g.ints(keys * kHeads * kDim);
        const auto q_scale = g.scales(T * kHeads), k_scale = g.scales(keys * kHeads), v_scale = g.scales(keys * kHeads);
        const auto bias = g.floats(kHeads * 16, 1.0f);
        std::vector<float> want(T * kHeads * kDim), got(want.size()), work(window ? attention_work(window) : attention_full_work(keys, kDim));
        AttentionArgs args = {q.data(), k.data(), v.data(), q_scale.data(), k_scale.data(), v_scale.data(),
                              window ? bias.data() : nullptr, 0.17677669f, T, before, kHeads, kDim, window,
                              want.data(), work.data()};
        r.attention(args);
        args.out = got.data();
        c.attention(args);
        if (!same(want, got)) return false;
      }
  return true;
}

bool softmin(const KernelTable& r, const KernelTable& c) {
  Generator g;
  for (const std::size_t n : kLengths) {
    const auto dot = g.floats(n, 1.0f), norm = g.scales(n);
    for (const float* rows : {norm.data(), static_cast<const float*>(nullptr)})
      for (const std::size_t hi : {std::size_t{0}, n / 2, n}) {
        const float want = r.softmin(dot.data(), rows, 1.0f, n, 20.0f, hi / 2, hi);
        const float got = c.softmin(dot.data(), rows, 1.0f, n, 20.0f, hi / 2, hi);
        if (std::memcmp(&want, &got, sizeof want) != 0) return false;
      }
  }
  return true;
}

bool norm_quantize(const KernelTable& r, const KernelTable& c) {
  Generator g;
  for (const std::size_t d : kLengths) {
    constexpr std::size_t kRows = 18;
    const auto x = g.floats(kRows * d, 5.0f), gain = g.floats(d, 2.0f), bias = g.floats(d, 1.0f);
    std::vector<std::int8_t> want(kRows * d), got(kRows * d);
    std::vector<float> want_scale(kRows), got_scale(kRows), work(norm_quantize_rows * d);
    r.norm_quantize(x.data(), gain.data(), bias.data(), want.data(), want_scale.data(), kRows, d, 1e-5f, work.data());
    c.norm_quantize(x.data(), gain.data(), bias.data(), got.data(), got_scale.data(), kRows, d, 1e-5f, work.data());
    if (!same(want, got) || !same(want_scale, got_scale)) return false;
  }
  return true;
}

bool gelu_quantize(const KernelTable& r, const KernelTable& c) {
  Generator g;
  for (const std::size_t k : kLengths) {
    constexpr std::size_t kRows = 18;
    auto x = g.floats(kRows * k, 12.0f), again = x;
    std::vector<std::int8_t> want(kRows * k), got(kRows * k);
    std::vector<float> want_scale(kRows), got_scale(kRows);
    r.gelu_quantize(x.data(), want.data(), want_scale.data(), kRows, k, {});
    c.gelu_quantize(again.data(), got.data(), got_scale.data(), kRows, k, {x.data(), x.size() * sizeof(float)});
    if (!same(x, again) || !same(want, got) || !same(want_scale, got_scale)) return false;
  }
  return true;
}

bool quantize_heads(const KernelTable& r, const KernelTable& c) {
  Generator g;
  constexpr std::size_t kTokens = 7, kHeads = 3, kDim = 32, kRow = 2 * kHeads * kDim;
  const auto x = g.floats(kTokens * kRow, 20.0f);
  std::vector<std::int8_t> want(kTokens * kRow), got(want.size());
  std::vector<float> want_scale(kTokens * kHeads), got_scale(want_scale.size());
  r.quantize_heads(x.data(), kRow, want.data(), kRow, want_scale.data(), kHeads, kTokens, kHeads, kDim);
  c.quantize_heads(x.data(), kRow, got.data(), kRow, got_scale.data(), kHeads, kTokens, kHeads, kDim);
  return same(want, got) && same(want_scale, got_scale);
}

constexpr struct {
  const char* name;
  bool (*equal)(const KernelTable& reference, const KernelTable& candidate);
} kChecks[] = {
    {"gelu", gelu},   {"layer_norm", layer_norm}, {"quantize_rows", quantize_rows}, {"linear_f32", linear_f32},
    {"moments", moments}, {"dwt and idwt", filter_banks<float>}, {"dwt and idwt in float64", filter_banks<double>},
    {"atrous", atrous}, {"qgemm", qgemm},           {"attention", attention},         {"softmin", softmin},
    {"norm_quantize", norm_quantize}, {"gelu_quantize", gelu_quantize}, {"quantize_heads", quantize_heads},
};

}  // namespace

const char* first_unequal_kernel(const KernelTable& reference, const KernelTable& candidate) {
  for (const auto& check : kChecks)
    if (!check.equal(reference, candidate)) return check.name;
  return nullptr;
}

}  // namespace sanderling::tool
