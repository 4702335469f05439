#include "bundle/archive.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "bundle/minisign.h"
#include "core/error.h"

namespace sanderling {
namespace {

constexpr std::size_t kBlock = 512, kStep = std::size_t{1} << 16;

bool read_exactly(Source* source, void* to, std::size_t size, const char* what, Error* error) {
  const long got = source->read(to, size);
  if (got < 0) return fail(error, Status::io, "%.200s: expected to read the bundle, found: %s; check the disk", what, std::strerror(errno));
  if (static_cast<std::size_t>(got) == size) return true;
  return fail(error, Status::data, "%.200s: expected a whole bundle, found its end too early; fetch the file again", what);
}

// The one header (POSIX.1-1988) that a bundle has for a member.
void write_header(const char* name, std::uint64_t size, unsigned mode, char header[kBlock]) {
  std::memset(header, 0, kBlock);
  std::snprintf(header, 100, "%s", name);
  std::snprintf(header + 100, 8, "%07o", mode & 07777u);
  std::memcpy(header + 108, "0000000", 8);
  std::memcpy(header + 116, "0000000", 8);
  std::snprintf(header + 124, 12, "%011llo", static_cast<unsigned long long>(size & 077777777777u));
  std::memcpy(header + 136, "00000000000", 12);
  std::memcpy(header + 148, "        ", 8);
  header[156] = '0';
  std::memcpy(header + 257, "ustar\00000", 8);
  unsigned sum = 0;
  for (std::size_t i = 0; i < kBlock; ++i) sum += static_cast<unsigned char>(header[i]);
  std::snprintf(header + 148, 8, "%06o", sum);
  header[155] = ' ';
}

bool same_header(const char found[kBlock], const char* name, std::uint64_t size, unsigned mode) {
  char wanted[kBlock];
  write_header(name, size, mode, wanted);
  return std::memcmp(found, wanted, kBlock) == 0;
}

bool other_member(const char* what, const char* name, Error* error) {
  return fail(error, Status::data, "%.200s: expected '%s' as bundles have it, found another member; fetch the file again", what, name);
}

bool read_padding(Source* source, std::uint64_t size, const char* what, Error* error) {
  char padding[kBlock];
  const std::size_t count = static_cast<std::size_t>((kBlock - size % kBlock) % kBlock);
  if (!read_exactly(source, padding, count, what, error)) return false;
  for (std::size_t i = 0; i < count; ++i)
    if (padding[i] != 0)
      return fail(error, Status::data, "%.200s: expected zeros between the members, found others; fetch the file again", what);
  return true;
}

bool read_text(Source* source, const char* what, const char* name, std::string* text, Error* error) {
  char header[kBlock];
  if (!read_exactly(source, header, kBlock, what, error)) return false;
  std::uint64_t size = 0;
  for (std::size_t i = 124; i < 135; ++i) {
    if (header[i] < '0' || header[i] > '7') return other_member(what, name, error);
    size = size * 8 + static_cast<unsigned>(header[i] - '0');
  }
  if (size > kMaxManifest || !same_header(header, name, size, 0644)) return other_member(what, name, error);
  text->resize(static_cast<std::size_t>(size));
  return read_exactly(source, text->data(), text->size(), what, error) && read_padding(source, size, what, error);
}

bool read_part(Source* source, const char* what, const Part& part, std::string* buffer, Sink* sink, Error* error) {
  char header[kBlock];
  if (!read_exactly(source, header, kBlock, what, error)) return false;
  if (!same_header(header, part.name.c_str(), part.size, part.mode)) return other_member(what, part.name.c_str(), error);
  if (!sink->begin(part, error)) return false;
  Sha256 hash;
  for (std::uint64_t left = part.size; left > 0;) {
    const std::size_t n = left < kStep ? static_cast<std::size_t>(left) : kStep;
    if (!read_exactly(source, buffer->data(), n, what, error)) return false;
    hash.add(buffer->data(), n);
    if (!sink->data(buffer->data(), n, error)) return false;
    left -= n;
  }
  unsigned char digest[kDigestBytes];
  hash.finish(digest);
  if (std::memcmp(digest, part.sha256, kDigestBytes) != 0)
    return fail(error, Status::data, "%.200s: expected '%s' as signed, found altered bytes; fetch the file again", what, part.name.c_str());
  return read_padding(source, part.size, what, error) && sink->end(part, error);
}

}  // namespace

bool read_head(Source* source, const char* what, std::string* manifest, std::string* signature, Error* error) {
  return read_text(source, what, kManifestName, manifest, error) && read_text(source, what, kSignatureName, signature, error);
}

bool read_parts(Source* source, const char* what, const Manifest& manifest, Sink* sink, Error* error) {
  std::string buffer(kStep, 0);
  for (const Part& part : manifest.parts)
    if (!read_part(source, what, part, &buffer, sink, error)) return false;
  char end[2 * kBlock] = {};
  const char zeros[2 * kBlock] = {};
  if (!read_exactly(source, end, sizeof end, what, error)) return false;
  char more = 0;
  if (std::memcmp(end, zeros, sizeof end) == 0 && source->read(&more, 1) == 0) return true;
  return fail(error, Status::data, "%.200s: expected the archive's end after its parts, found more; fetch the file again", what);
}

}  // namespace sanderling
