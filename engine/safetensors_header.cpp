#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "engine/safetensors.h"

namespace stopgrad {

namespace {

constexpr uint64_t prefix_bytes = 8;  // the header's length, little-endian

template <class... Args>
[[noreturn]] void refuse(std::string_view file, fmt::format_string<Args...> format, Args&&... args) {
  const std::string what = fmt::format(format, std::forward<Args>(args)...);
  fail(Exit::checkpoint, "{}: {}; fetch it or save it again", file, what);
}

// Takes the parser's events one by one: nothing is kept but what the format knows, at most three levels deep.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderReader(SafetensorsHeader& header, std::string_view file) : header_(header), file_(file) {}

  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("true or false"); }
  bool number_integer(number_integer_t) override { unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { unexpected("a fraction or a huge number"); }
  bool binary(binary_t&) override { unexpected("binary data"); }
  bool number_unsigned(number_unsigned_t value) override;
  bool string(string_t& text) override;
  bool key(string_t& text) override;
  bool start_object(size_t) override;
  bool end_object() override;
  bool start_array(size_t) override;
  bool end_array() override;
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    refuse(file_, "the header is not JSON near byte {}", prefix_bytes + position);
  }

 private:
  enum class At { outside, root, metadata, tensor, shape, offsets };

  [[noreturn]] void unexpected(const char* what) {
    if (at_ == At::outside) refuse(file_, "the header is {}, not an object", what);
    if (at_ == At::metadata) refuse(file_, "__metadata__ {} is {}, not a string", quoted_ascii(field_), what);
    if (at_ == At::root) refuse(file_, "entry {} is {}, not an object", quoted_ascii(name_), what);
    refuse(file_, "tensor {}: its {} is or contains {}", quoted_ascii(name_), field_, what);
  }
  void tensor_key(const std::string& name);
  void field_key(const std::string& field);

  SafetensorsHeader& header_;
  std::string_view file_;
  At at_ = At::outside;
  std::string name_;              // key of the entry being read
  std::string field_;             // key inside it
  std::set<std::string> fields_;  // keys seen in this tensor
  size_t offsets_ = 0;            // offsets seen in this tensor
  bool has_metadata_ = false;
  size_t metadata_bytes_ = 0;
};

bool HeaderReader::number_unsigned(number_unsigned_t value) {
  if (value > uint64_t{std::numeric_limits<int64_t>::max()}) unexpected("a number of 2^63 or more");
  if (at_ == At::shape) {
    auto& shape = header_.tensors.back().shape;
    if (shape.size() == max_rank)
      refuse(file_, "tensor {}: more than {} dimensions", quoted_ascii(name_), max_rank);
    shape.push_back(static_cast<int64_t>(value));
  } else if (at_ == At::offsets) {
    if (offsets_ == 2) refuse(file_, "tensor {}: more than two data_offsets", quoted_ascii(name_));
    (offsets_++ == 0 ? header_.tensors.back().begin : header_.tensors.back().end) = value;
  } else {
    unexpected("a number");
  }
  return true;
}

bool HeaderReader::string(string_t& text) {
  if (at_ == At::metadata) {
    metadata_bytes_ += field_.size() + text.size();
    if (metadata_bytes_ > max_metadata_bytes) {
      refuse(file_, "__metadata__ is larger than {} bytes", max_metadata_bytes);
    }
    header_.metadata[field_] = text;
  } else if (at_ == At::tensor && field_ == "dtype") {
    header_.tensors.back().dtype = text;
  } else {
    unexpected("a string");
  }
  return true;
}

bool HeaderReader::key(string_t& text) {
  if (at_ == At::metadata) {
    if (header_.metadata.contains(text)) refuse(file_, "__metadata__ has {} twice", quoted_ascii(text));
    field_ = text;
  } else if (at_ == At::tensor) {
    field_key(text);
  } else if (text == "__metadata__") {
    if (std::exchange(has_metadata_, true)) refuse(file_, "__metadata__ appears twice");
    name_ = text;
  } else {
    tensor_key(text);
  }
  return true;
}

void HeaderReader::tensor_key(const std::string& name) {
  if (name.size() > max_name_bytes) {
    refuse(file_, "tensor {}: its name is longer than {} bytes", quoted_ascii(name), max_name_bytes);
  }
  if (name.find('\0') != std::string::npos)
    refuse(file_, "tensor {}: its name contains a NUL", quoted_ascii(name));
  if (header_.tensors.size() == max_tensors) refuse(file_, "has more than {} tensors", max_tensors);
  if (!header_.index.emplace(name, header_.tensors.size()).second) {
    refuse(file_, "tensor {} appears twice", quoted_ascii(name));
  }
  header_.tensors.emplace_back().name = name_ = name;
  fields_.clear();
  offsets_ = 0;
}

void HeaderReader::field_key(const std::string& field) {
  if (field != "dtype" && field != "shape" && field != "data_offsets") {
    refuse(file_, "tensor {}: unknown key {}", quoted_ascii(name_), quoted_ascii(field));
  }
  if (!fields_.insert(field).second) refuse(file_, "tensor {} has {} twice", quoted_ascii(name_), field);
  field_ = field;
}

bool HeaderReader::start_object(size_t) {
  if (at_ == At::outside) at_ = At::root;
  else if (at_ == At::root) at_ = name_ == "__metadata__" ? At::metadata : At::tensor;
  else unexpected("an object");
  return true;
}

bool HeaderReader::end_object() {
  if (at_ == At::tensor && fields_.size() != 3) {
    refuse(file_, "tensor {}: needs dtype, shape and data_offsets", quoted_ascii(name_));
  }
  at_ = at_ == At::root ? At::outside : At::root;
  return true;
}

bool HeaderReader::start_array(size_t) {
  if (at_ == At::tensor && field_ == "shape") at_ = At::shape;
  else if (at_ == At::tensor && field_ == "data_offsets") at_ = At::offsets;
  else unexpected("a list");
  return true;
}

bool HeaderReader::end_array() {
  if (at_ == At::offsets && offsets_ != 2) {
    refuse(file_, "tensor {}: needs two data_offsets", quoted_ascii(name_));
  }
  at_ = At::tensor;
  return true;
}

// What can be said before a JSON parser sees the text.
void check_text(std::string_view text, std::string_view file) {
  if (!text.starts_with('{')) refuse(file, "the header does not begin with '{{' at byte {}", prefix_bytes);
  // The parser takes a NUL for the end of its input: what follows would be carried along unseen.
  if (const size_t nul = text.find('\0'); nul != text.npos) {
    refuse(file, "the header has a NUL at byte {}", prefix_bytes + nul);
  }
  const size_t last = text.find_last_not_of(' ');
  if (text[last] != '}')
    refuse(file, "the header does not end in '}}' and spaces at byte {}", prefix_bytes + last);
}

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
  check_text(text, file);
  HeaderReader reader(header, file);
  nlohmann::json::sax_parse(text.begin(), text.end(), &reader);

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
