#include "data/idx.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>

#include "data/free_memory.h"
#include "engine/file.h"
#include "kernels/check.h"

namespace stopgrad {
namespace {

constexpr int kMaxSide = 16384;
constexpr int64_t kMaxFile = UINT32_MAX;  // what zlib can be handed at once
// Deflate cannot expand more than this (zlib technical notes), so a header that promises more is lying.
constexpr int64_t kMaxExpansion = 1032;

std::string read_whole(const std::string& path) {
  std::error_code unknown;  // the file is: read_file says so
  const auto bytes = std::filesystem::file_size(path, unknown);
  if (!unknown) require_memory(static_cast<int64_t>(bytes), path + ": its bytes", "use a smaller set");
  return read_file(path, kMaxFile, Exit::data);
}

/// The unpacked bytes of a plain or gzip file, in order.
class IdxReader {
 public:
  explicit IdxReader(const std::string& path) : path_(path), file_(read_whole(path)) {
    stream_.next_in = reinterpret_cast<Bytef*>(file_.data());
    stream_.avail_in = static_cast<uInt>(file_.size());
    packed_ = file_.starts_with("\x1f\x8b");
    if (packed_) ENSURE(inflateInit2(&stream_, 15 + 16) == Z_OK, "{}: zlib does not start", path_);
  }
  ~IdxReader() {
    if (packed_) inflateEnd(&stream_);
  }
  IdxReader(const IdxReader&) = delete;
  IdxReader& operator=(const IdxReader&) = delete;

  void read(uint8_t* to, int64_t bytes, const char* what) {
    const int64_t got = packed_ ? unpack(to, bytes) : copy(to, bytes);
    offset_ += got;
    if (got < bytes)
      fail(Exit::data, "{}: ends at offset {} inside its {}, {} bytes are missing", path_, offset_, what,
           bytes - got);
  }

  /// Also what makes zlib compare the checksum, which lies behind the last byte.
  void expect_end() {
    uint8_t extra;
    const bool more = packed_ ? unpack(&extra, 1) != 0 : stream_.avail_in != 0;
    if (more) fail(Exit::data, "{}: goes on after offset {}, where its header says it ends", path_, offset_);
    if (stream_.avail_in != 0)
      fail(Exit::data, "{}: {} bytes behind the end of its gzip data", path_, stream_.avail_in);
  }

  /// The most bytes that can follow.
  int64_t room() const { return int64_t{stream_.avail_in} * (packed_ ? kMaxExpansion : 1); }

  const std::string& path() const { return path_; }

 private:
  int64_t copy(uint8_t* to, int64_t bytes) {
    const int64_t got = std::min<int64_t>(bytes, stream_.avail_in);
    std::memcpy(to, stream_.next_in, static_cast<size_t>(got));
    stream_.next_in += got;
    stream_.avail_in -= static_cast<uInt>(got);
    return got;
  }

  /// Fewer bytes than asked for only at the end of the gzip data; anything else is damage.
  int64_t unpack(uint8_t* to, int64_t bytes) {
    constexpr int64_t chunk = 1 << 30;
    int64_t done = 0;
    while (done < bytes && !ended_) {
      const auto wanted = static_cast<uInt>(std::min(chunk, bytes - done));
      stream_.next_out = to + done;
      stream_.avail_out = wanted;
      const int code = inflate(&stream_, Z_SYNC_FLUSH);
      done += wanted - stream_.avail_out;
      ended_ = code == Z_STREAM_END;
      if (code == Z_BUF_ERROR || (code == Z_OK && stream_.avail_out != 0))
        fail(Exit::data, "{}: truncated gzip, its data end at offset {}", path_, offset_ + done);
      if (code != Z_OK && code != Z_STREAM_END)
        fail(Exit::data, "{}: damaged gzip at offset {}: {}", path_, offset_ + done,
             stream_.msg != nullptr ? stream_.msg : "no more is known");
    }
    return done;
  }

  std::string path_, file_;
  z_stream stream_{};
  bool packed_ = false, ended_ = false;
  int64_t offset_ = 0;  // in the unpacked bytes
};

/// Reads the header (two zero bytes, type 8 = uint8, rank, then the sizes) and returns the sizes.
template <int kRank>
std::array<int64_t, kRank> read_header(IdxReader& reader, const char* what) {
  uint8_t magic[4];
  reader.read(magic, sizeof(magic), "magic number");
  if (magic[0] != 0 || magic[1] != 0 || magic[2] != 8)
    fail(Exit::data, "{}: starts with {:02x} {:02x} {:02x}, IDX bytes start with 00 00 08 (offset 0)",
         reader.path(), magic[0], magic[1], magic[2]);
  if (magic[3] != kRank)
    fail(Exit::data, "{}: rank {} at offset 3, {} have rank {}", reader.path(), magic[3], what, kRank);
  std::array<int64_t, kRank> sizes;
  for (auto& size : sizes) {
    uint8_t b[4];
    reader.read(b, sizeof(b), "header");
    size = int64_t{b[0]} << 24 | b[1] << 16 | b[2] << 8 | b[3];
  }
  if (sizes[0] < 1) fail(Exit::data, "{}: holds no {} (count 0 at offset 4)", reader.path(), what);
  return sizes;
}

std::vector<uint8_t> read_payload(IdxReader& reader, int64_t bytes, const char* what) {
  if (bytes > reader.room())
    fail(Exit::data, "{}: the header promises {} bytes of {}, the file can hold at most {}", reader.path(),
         bytes, what, reader.room());
  require_memory(bytes, fmt::format("{}: its {}", reader.path(), what), "use a smaller set");
  std::vector<uint8_t> payload(static_cast<size_t>(bytes));
  reader.read(payload.data(), bytes, what);
  reader.expect_end();
  return payload;
}

}  // namespace

Dataset read_idx(const std::string& images_path, const std::string& labels_path) {
  Dataset set;
  set.name = "idx";
  IdxReader images(images_path);
  const auto [count, height, width] = read_header<3>(images, "images");
  for (const int64_t side : {height, width})
    if (side < 1 || side > kMaxSide)
      fail(Exit::data, "{}: images of {} x {} (offset 8), sides go from 1 to {}", images_path, height, width,
           kMaxSide);
  set.count = count;
  set.height = static_cast<int>(height);
  set.width = static_cast<int>(width);
  set.channels = 1;
  set.images = read_payload(images, count * height * width, "images");
  if (labels_path.empty()) return set;

  IdxReader labels(labels_path);
  const auto [label_count] = read_header<1>(labels, "labels");
  if (label_count != count)
    fail(Exit::data, "{}: {} labels (offset 4) for the {} images of {}", labels_path, label_count, count,
         images_path);
  const auto bytes = read_payload(labels, label_count, "labels");
  set.labels.assign(bytes.begin(), bytes.end());
  return set;
}

}  // namespace stopgrad
