#include "engine/safetensors.h"

#include <algorithm>
#include <bit>

namespace stopgrad {

static_assert(std::endian::native == std::endian::little,
              "safetensors is little-endian and bytes are not swapped");

namespace {

SafetensorsHeader read_header(InputFile& file, const std::string& path) {
  std::vector<std::byte> bytes(std::min<uint64_t>(file.size(), 8));
  file.read(bytes);
  const size_t first = bytes.size();
  bytes.resize(data_begin(bytes, file.size(), path));
  file.read(std::span(bytes).subspan(first));
  return parse_header(bytes, file.size(), path);
}

// JSON as the reference prints it: short escapes where there are any, everything above 0x1f as it is.
void append_quoted(std::string& out, std::string_view text) {
  static constexpr std::string_view special = "\"\\\b\f\n\r\t", letters = "\"\\bfnrt";
  out += '"';
  for (const char c : text) {
    if (const size_t i = special.find(c); i != special.npos) out += {'\\', letters[i]};
    else if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else out += c;
  }
  out += '"';
}

void append_tensor(std::string& out, const TensorInfo& tensor) {
  append_quoted(out, tensor.name);
  out += fmt::format(R"(:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", tensor.dtype,
                     fmt::join(tensor.shape, ","), tensor.begin, tensor.end);
}

// The 8 bytes of length and the JSON, padded so that the tensors begin at a multiple of 8.
std::string header_text(const std::map<std::string, std::string>& metadata,
                        const std::vector<TensorInfo>& tensors) {
  std::string json = "{";
  for (const auto& [key, value] : metadata) {
    json += json.size() == 1 ? R"("__metadata__":{)" : ",";
    append_quoted(json, key);
    json += ':';
    append_quoted(json, value);
  }
  if (!metadata.empty()) json += '}';
  for (const TensorInfo& tensor : tensors) {
    if (json.size() > 1) json += ',';
    append_tensor(json, tensor);
  }
  json += '}';
  json.append((8 - json.size() % 8) % 8, ' ');
  std::string length(8, '\0');
  for (size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(json.size() >> (8 * i));
  return length + json;
}

// What a reader would refuse is not written: one set of rules for both.
void check_readable(const std::string& header, uint64_t data_bytes, const std::string& path) {
  try {
    parse_header(std::as_bytes(std::span(header)), header.size() + data_bytes, path);
  } catch (const Error& error) {
    fail(Exit::failed, "safetensors: not written, because no reader would take it: {}", error.what());
  }
}

size_t rank_of(std::string_view dtype) {
  const auto has_name = [&](const auto& entry) { return entry.first == dtype; };
  return static_cast<size_t>(std::ranges::find_if(safetensors_dtypes, has_name) - safetensors_dtypes);
}

}  // namespace

SafetensorsHeader read_header(const std::string& path, FileCalls& calls) {
  InputFile file(path, UINT64_MAX, Exit::checkpoint, calls);
  return read_header(file, path);
}

SafetensorsFile SafetensorsFile::open(const std::string& path, uint64_t max_bytes, FileCalls& calls) {
  InputFile file(path, max_bytes, Exit::checkpoint, calls);
  SafetensorsFile out;
  out.header_ = read_header(file, path);
  out.size_ = file.size() - out.header_.data_begin;
  out.data_ = std::make_unique_for_overwrite<std::byte[]>(out.size_);
  file.read({out.data_.get(), out.size_});
  file.expect_end();
  return out;
}

std::span<const std::byte> SafetensorsFile::bytes(const TensorInfo& tensor) const {
  ENSURE(tensor.begin <= tensor.end && tensor.end <= size_,
         "safetensors: bytes {} to {} of {}: pass a tensor of this file", tensor.begin, tensor.end, size_);
  return {data_.get() + tensor.begin, tensor.end - tensor.begin};
}

void SafetensorsWriter::append(Entry entry) {
  TensorInfo& info = entry.info;
  const auto bytes = bytes_of(info.dtype, info.shape);
  ENSURE(bytes, "safetensors: tensor {}: {} [{}] has no size; give a dtype of the format and a sane shape",
         quoted_ascii(info.name), quoted_ascii(info.dtype), fmt::join(info.shape, ", "));
  ENSURE(entry.fill || entry.data.size() == *bytes,
         "safetensors: tensor {}: {} [{}] is {} bytes, but {} are given", quoted_ascii(info.name), info.dtype,
         fmt::join(info.shape, ", "), *bytes, entry.data.size());
  info.end = *bytes;
  entries_.push_back(std::move(entry));
}

void SafetensorsWriter::add(std::string name, std::string dtype, std::vector<int64_t> shape,
                            std::span<const std::byte> data) {
  append({{std::move(name), std::move(dtype), std::move(shape)}, data, {}});
}

void SafetensorsWriter::add(std::string name, std::string dtype, std::vector<int64_t> shape, Fill fill) {
  ENSURE(fill, "safetensors: tensor {}: give a function that fills its memory", quoted_ascii(name));
  append({{std::move(name), std::move(dtype), std::move(shape)}, {}, std::move(fill)});
}

void SafetensorsWriter::metadata(const std::string& key, std::string value) {
  ENSURE(metadata_.emplace(key, std::move(value)).second, "safetensors: metadata {} given twice",
         quoted_ascii(key));
}

void SafetensorsWriter::write(const std::string& path, FileCalls& calls) const {
  std::vector<const Entry*> order;
  for (const Entry& entry : entries_) order.push_back(&entry);
  std::ranges::stable_sort(order, [](const Entry* a, const Entry* b) {
    const size_t rank_a = rank_of(a->info.dtype), rank_b = rank_of(b->info.dtype);
    return rank_a != rank_b ? rank_a > rank_b : a->info.name < b->info.name;
  });
  std::vector<TensorInfo> placed;
  uint64_t end = 0, largest = 0;
  for (const Entry* entry : order) {
    const uint64_t bytes = entry->info.end;
    placed.push_back(entry->info);
    placed.back().begin = end;
    placed.back().end = end += bytes;
    largest = std::max(largest, entry->fill ? bytes : 0);
  }
  const std::string header = header_text(metadata_, placed);
  check_readable(header, end, path);

  AtomicFile file(path, calls);
  file.write(header);
  std::vector<std::byte> filled(largest);
  for (const Entry* entry : order) {
    const std::span memory = std::span(filled).first(entry->fill ? entry->info.end : 0);
    if (entry->fill) entry->fill(memory);
    file.write(entry->fill ? memory : entry->data);
  }
  file.commit();
}

}  // namespace stopgrad
