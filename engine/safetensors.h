#pragma once
// Weight files: the safetensors format (8 bytes of header length, a JSON header, the tensors' bytes), read as
// hostile input and written as the reference implementation does. Knows names, shapes and bytes, no Tensor.
// https://github.com/huggingface/safetensors, README "Format".
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/file.h"

namespace stopgrad {

struct TensorInfo {
  std::string name;
  std::string dtype;            // "F32", "BF16", "I64", ...
  std::vector<int64_t> shape;   // row-major; empty: a scalar
  uint64_t begin = 0, end = 0;  // bytes, from the end of the header
};

/// The format's element types and their bits, in the reference's order: a writer sorts by it, last one first.
inline constexpr std::pair<std::string_view, int> safetensors_dtypes[] = {
    {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6},     {"U8", 8},          {"I8", 8},
    {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16},
    {"U16", 16},    {"F16", 16},    {"BF16", 16},   {"I32", 32},        {"U32", 32},        {"F32", 32},
    {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}};

/// Bits of one element; 0 when the format has no such dtype.
int bits_of(std::string_view dtype);

/// Bytes of a tensor; nothing when the dtype is unknown, a dimension is negative, the size overflows 64 bits
/// or ends inside a byte.
std::optional<uint64_t> bytes_of(std::string_view dtype, std::span<const int64_t> shape);

struct SafetensorsHeader {
  std::map<std::string, std::string> metadata;  // untrusted text: data, never a path or a format string
  std::vector<TensorInfo> tensors;              // in the order of their bytes, which they tile without a gap
  std::map<std::string, size_t> index;          // name -> position in `tensors`
  uint64_t data_begin = 0;                      // bytes before the first tensor

  const TensorInfo* find(const std::string& name) const;  // nullptr when there is none
};

/// Where the tensors begin in a file of `file_size` bytes, from its first 8 bytes (or all, if it has fewer).
uint64_t data_begin(std::span<const std::byte> bytes, uint64_t file_size, std::string_view file);

/// Parses the header of a file of `file_size` bytes from its first data_begin() bytes (or all, if it has
/// fewer). What breaks a rule of the format, or a limit below, is Error(Exit::checkpoint) naming `file`, the
/// byte or the key. Accepts no more than the reference; refuses also duplicate and unknown keys.
SafetensorsHeader parse_header(std::span<const std::byte> bytes, uint64_t file_size, std::string_view file);

/// The header of a file; its tensors are not read.
SafetensorsHeader read_header(const std::string& path, FileCalls& calls = real_files());

constexpr uint64_t max_header_bytes = 100'000'000;  // the format's own limit
constexpr size_t max_tensors = 100'000, max_name_bytes = 512, max_metadata_bytes = 1'000'000, max_rank = 8;
constexpr uint64_t max_weight_bytes = uint64_t{1} << 36;  // 64 GiB

/// Text of unknown origin made fit for a terminal: quoted, printable ASCII, cut after 80 characters.
std::string quoted_ascii(std::string_view text);

/// A weight file in memory: copied, because a file that changes under a map kills the process.
class SafetensorsFile {
 public:
  /// Errors are Exit::checkpoint. Memory, at most the file's size, is asked for after the header's checks.
  static SafetensorsFile open(const std::string& path, uint64_t max_bytes = max_weight_bytes,
                              FileCalls& calls = real_files());

  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  const std::vector<TensorInfo>& tensors() const { return header_.tensors; }
  const TensorInfo* find(const std::string& name) const { return header_.find(name); }

  /// The tensor's bytes, little-endian. In a foreign file they may begin at any address: memcpy, do not cast.
  std::span<const std::byte> bytes(const TensorInfo& tensor) const;

 private:
  SafetensorsHeader header_;
  std::unique_ptr<std::byte[]> data_;
  uint64_t size_ = 0;
};

/// Collects tensors and writes them as the reference does, byte for byte (with more than one metadata key the
/// reference has no order of its own; here they are sorted).
class SafetensorsWriter {
 public:
  using Fill = std::function<void(std::span<std::byte>)>;

  /// `data` is not copied: it must live until write(). Errors of both: Exit::failed.
  void add(std::string name, std::string dtype, std::vector<int64_t> shape, std::span<const std::byte> data);

  /// `fill` is called by write() with the tensor's memory, to bring bytes from a device or transpose on the
  /// way.
  void add(std::string name, std::string dtype, std::vector<int64_t> shape, Fill fill);

  void metadata(const std::string& key, std::string value);

  /// Through AtomicFile: the old file or the new one. Exit::write when the disk fails; Exit::failed when what
  /// was added breaks a rule that parse_header would refuse (duplicate name, too many tensors, ...).
  void write(const std::string& path, FileCalls& calls = real_files()) const;

 private:
  struct Entry {
    TensorInfo info;
    std::span<const std::byte> data;
    Fill fill;
  };
  void append(Entry entry);

  std::vector<Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace stopgrad
