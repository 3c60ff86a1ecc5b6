#include "engine/safetensors_json.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <set>

namespace stopgrad {

namespace {

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

}  // namespace

void read_json(SafetensorsHeader& header, std::string_view text, std::string_view file) {
  check_text(text, file);
  HeaderReader reader(header, file);
  nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
}

}  // namespace stopgrad
