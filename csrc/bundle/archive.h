// A bundle's archive: POSIX ustar of one form, read once from front to back.
#pragma once
#include <string>

#include "bundle/manifest.h"

namespace sanderling {

class Source {
 public:
  virtual ~Source() = default;
  // Bytes read: fewer than `size` at the end only; negative: errno says why.
  virtual long read(void* to, std::size_t size) = 0;
};

// Where the parts go, in the manifest's order; false and an error stop the reading.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual bool begin(const Part& part, Error* error) = 0;
  virtual bool data(const void* bytes, std::size_t size, Error* error) = 0;
  virtual bool end(const Part& part, Error* error) = 0;  // the part's hash fits
};

// The first two members: manifest and signature, of at most kMaxManifest bytes each, neither looked into. False and an error (data, io).
bool read_head(Source* source, const char* what, std::string* manifest, std::string* signature, Error* error);

// The parts that the manifest lists, in its order, each with its size, mode and hash, and nothing after them. Their bytes reach the
// sink before the hash is known: end() says that it fits. False and an error (data, io, or the sink's).
bool read_parts(Source* source, const char* what, const Manifest& manifest, Sink* sink, Error* error);

}  // namespace sanderling
