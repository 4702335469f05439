#include "mask.h"

#include "unicode.h"

namespace sanderling {

const char* const mask_names[n_mask_rules] = {"email", "url", "card", "mac", "ip", "phone"};

namespace {

constexpr char32_t long_s = 0x17f;  // S when case is ignored

// Each rule says where a match that starts at `at` ends, or `at` when there is none. Where a pattern could give characters back, what
// follows them could not match there: only the numbers of digits are tried from the most to the least.
class Scanner {
 public:
  Scanner(char32_t* text, std::size_t n) : text_(text), n_(n) {}

  void hide(MaskRule rule) {
    from_ = 0;
    for (std::size_t at = 0; at < n_;) {
      const std::size_t end = match(rule, at);
      for (std::size_t i = at; i < end; ++i) {
        if (is_decimal(text_[i])) text_[i] = '0';
        else if (text_[i] != '_' && is_word(text_[i])) text_[i] = 'x';
      }
      if (end > at) from_ = at = end;
      else ++at;
    }
  }

 private:
  std::size_t match(MaskRule rule, std::size_t at) const {
    switch (rule) {
      case mask_email: return email(at);
      case mask_url: return url(at);
      case mask_card: return digits(at, at, 13, 19, " -");
      case mask_mac: return mac(at);
      case mask_ip: return ip(at);
      case mask_phone: return digits(at, text_[at] == '+' ? at + 1 : at, 7, 14, " ()/-");
      default: return at;
    }
  }

  char32_t get(std::size_t i) const { return i < n_ ? text_[i] : 0; }
  bool word(std::size_t i) const { return i < n_ && is_word(text_[i]); }
  bool digit(std::size_t i) const { return i < n_ && is_decimal(text_[i]); }
  bool starts(std::size_t at) const { return at == 0 || !word(at - 1); }  // of a word character

  static bool among(const char* set, char32_t c) {
    for (; *set != 0; ++set)
      if (c == static_cast<unsigned char>(*set)) return true;
    return false;
  }

  std::size_t run(std::size_t at, const char* beside) const {
    while (at < n_ && (is_word(text_[at]) || among(beside, text_[at]))) ++at;
    return at;
  }

  std::size_t email(std::size_t at) const {
    // Inside a run a match would have begun at its start.
    if (at > from_ && (word(at - 1) || among(".+-", text_[at - 1]))) return at;
    const std::size_t user = run(at, ".+-");
    if (user == at || get(user) != '@') return at;
    const std::size_t host = run(user + 1, "-");
    if (host == user + 1 || get(host) != '.') return at;
    const std::size_t end = run(host + 1, ".-");
    return end == host + 1 ? at : end;
  }

  // `letters` in lower case, whatever the text's case is.
  bool spelled(std::size_t at, const char* letters) const {
    for (; *letters != 0; ++letters, ++at) {
      const char32_t c = get(at), wanted = static_cast<unsigned char>(*letters);
      const bool upper = wanted >= 'a' && wanted <= 'z' && c == wanted - 32;
      if (c != wanted && !upper && !(wanted == 's' && c == long_s)) return false;
    }
    return true;
  }

  std::size_t url(std::size_t at) const {
    if (!starts(at)) return at;
    const std::size_t head = spelled(at, "https://") ? 8 : spelled(at, "http://") ? 7 : spelled(at, "www.") ? 4 : 0;
    if (head == 0 || at + head >= n_ || text_[at + head] == ' ') return at;
    std::size_t end = at + head;
    while (end < n_ && text_[end] != ' ') ++end;
    return end;
  }

  // `least` to `most` digits from `first` on, at most one of `between` between two; a word's start and end around them.
  std::size_t digits(std::size_t at, std::size_t first, std::size_t least, std::size_t most, const char* between) const {
    if (!digit(first) || !starts(first)) return at;
    std::size_t end = at, count = 0;
    for (std::size_t i = first; count < most;) {
      ++count;
      if (count >= least && !word(i + 1)) end = i + 1;
      const std::size_t next = i + 1 < n_ && among(between, text_[i + 1]) ? i + 2 : i + 1;
      if (!digit(next)) break;
      i = next;
    }
    return end;
  }

  std::size_t mac(std::size_t at) const {
    if (!starts(at)) return at;
    for (std::size_t i = 0; i < 17; ++i)
      if (i % 3 == 2 ? get(at + i) != ':' : !among("0123456789abcdefABCDEF", get(at + i))) return at;
    return word(at + 17) ? at : at + 17;
  }

  std::size_t ip(std::size_t at) const {
    if (!starts(at)) return at;
    std::size_t end = at;
    for (int part = 0; part < 4; ++part) {
      if (part > 0 && get(end++) != '.') return at;
      const std::size_t first = end;
      while (digit(end) && end - first < 4) ++end;
      if (end == first || end - first > 3) return at;
    }
    return word(end) ? at : end;
  }

  char32_t* text_;
  std::size_t n_;
  std::size_t from_ = 0;  // the end of the match before
};

}  // namespace

void mask_text(unsigned on, char32_t* text, std::size_t n) {
  Scanner scanner(text, n);
  for (std::size_t rule = 0; rule < n_mask_rules; ++rule)
    if ((on >> rule & 1u) != 0) scanner.hide(static_cast<MaskRule>(rule));
}

}  // namespace sanderling
