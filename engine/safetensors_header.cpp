#include <algorithm>

#include "engine/safetensors_json.h"

namespace stopgrad {

namespace {

void check_size(const TensorInfo& tensor, std::string_view file) {
  const std::string& name = tensor.name;
  if (bits_of(tensor.dtype) == 0) {
    refuse(file, "tensor {}: unknown dtype {}", quoted_ascii(name), quoted_ascii(tensor.dtype));
  }
  const auto bytes = bytes_of(tensor.dtype, tensor.shape);
  if (!bytes) refuse(file, "tensor {}: its size overflows or ends inside a byte", quoted_ascii(name));
  if (tensor.end < tensor.begin || tensor.end - tensor.begin != *bytes) {
    refuse(file, "tensor {}: {} [{}] is {} bytes, but data_offsets are [{}, {}]", quoted_ascii(name),
           tensor.dtype, fmt::join(tensor.shape, ", "), *bytes, tensor.begin, tensor.end);
  }
}

// The tensors cover the bytes behind the header exactly: no hole, no overlap, no tail.
void check_tiling(const SafetensorsHeader& header, uint64_t file_size, std::string_view file) {
  uint64_t end = 0;
  for (const TensorInfo& tensor : header.tensors) {
    if (tensor.begin != end) {
      refuse(file, "tensor {} begins at byte {} of the data, but what is before it ends at byte {}",
             quoted_ascii(tensor.name), tensor.begin, end);
    }
    end = tensor.end;
  }
  const uint64_t present = file_size - header.data_begin;
  if (end > present) refuse(file, "ends {} bytes too early: it is cut off", end - present);
  if (end < present) refuse(file, "has {} bytes behind its last tensor", present - end);
}

}  // namespace

std::string quoted_ascii(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, 80)) {
    if (c == '"' || c == '\\') out += {'\\', c};
    else if (c >= 0x20 && c < 0x7f) out += c;
    else out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return out + (text.size() > 80 ? "\"..." : "\"");
}

const TensorInfo* SafetensorsHeader::find(const std::string& name) const {
  const auto found = index.find(name);
  return found == index.end() ? nullptr : &tensors[found->second];
}

int bits_of(std::string_view dtype) {
  for (const auto& [name, bits] : safetensors_dtypes) {
    if (name == dtype) return bits;
  }
  return 0;
}

std::optional<uint64_t> bytes_of(std::string_view dtype, std::span<const int64_t> shape) {
  uint64_t size = 1;
  for (const int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(size, static_cast<uint64_t>(extent), &size)) return {};
  }
  const int bits = bits_of(dtype);
  if (bits == 0 || __builtin_mul_overflow(size, static_cast<uint64_t>(bits), &size) || size % 8 != 0)
    return {};
  return size / 8;
}

uint64_t data_begin(std::span<const std::byte> bytes, uint64_t file_size, std::string_view file) {
  if (file_size < prefix_bytes) refuse(file, "has {} bytes: too short for safetensors", file_size);
  ENSURE(bytes.size() >= prefix_bytes, "data_begin: {} bytes given, pass the first 8", bytes.size());
  uint64_t length = 0;
  for (size_t i = 0; i < prefix_bytes; ++i) length |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
  if (length > max_header_bytes) {
    refuse(file,
           "is not safetensors (its first 8 bytes ask for a header of {} bytes): convert a .pth file, pull a "
           "git-lfs pointer",
           length);
  }
  if (length > file_size - prefix_bytes) {
    refuse(file, "has {} bytes and a header of {}: it is cut off", file_size, length);
  }
  return prefix_bytes + length;
}

SafetensorsHeader parse_header(std::span<const std::byte> bytes, uint64_t file_size, std::string_view file) {
  SafetensorsHeader header;
  header.data_begin = data_begin(bytes, file_size, file);
  ENSURE(bytes.size() >= header.data_begin, "parse_header: {} bytes given, pass the first {}", bytes.size(),
         header.data_begin);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + prefix_bytes,
                              header.data_begin - prefix_bytes);
  read_json(header, text, file);

  const auto by_place = [](const TensorInfo& a, const TensorInfo& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  };
  std::stable_sort(header.tensors.begin(), header.tensors.end(), by_place);
  for (size_t i = 0; i < header.tensors.size(); ++i) {
    check_size(header.tensors[i], file);
    header.index[header.tensors[i].name] = i;
  }
  check_tiling(header, file_size, file);
  return header;
}

}  // namespace stopgrad
