// Hostile files: each rule of the format and each limit, with files made by hand.
#include <catch2/catch.hpp>
#include "tests/faulty_files.h"
#include "tests/safetensors_text.h"

using namespace stopgrad;
using Catch::Contains;

namespace {

// One tensor of four bytes.
const std::string plain = entry("a", "F32", "[1]", "[0,4]");

// Why a file is refused; "" when it is accepted.
std::string why(const std::string& file) {
  return refusal(Exit::checkpoint, [&] { parse(file); });
}
std::string why(const std::string& header, size_t data_bytes) { return why(file_of(header, data_bytes)); }

// Why a file with one tensor of this description is refused.
std::string why_tensor(const std::string& dtype, const std::string& shape, const std::string& offsets,
                       size_t data_bytes) {
  return why(object(entry("a", dtype, shape, offsets)), data_bytes);
}

}  // namespace

TEST_CASE("rule 1: a header has a length, and the file has that many bytes", "[safetensors]") {
  const std::string good = file_of(object(plain), 4);
  CHECK(why(good) == "");
  CHECK_THAT(why(""), Contains("f: has 0 bytes: too short"));
  CHECK_THAT(why(good.substr(0, 7)), Contains("7 bytes: too short"));
  CHECK_THAT(why(good.substr(0, 20)), Contains("has 20 bytes and a header of") && Contains("cut off"));
  CHECK_THAT(why(length_prefix(1)), Contains("cut off"));
  CHECK_THAT(why(length_prefix(100'000'000)), Contains("cut off"));
  CHECK_THAT(why(length_prefix(100'000'001)), Contains("not safetensors"));
  CHECK_THAT(why(length_prefix(UINT64_MAX) + "{}"), Contains("not safetensors"));  // 8 + N would wrap to 7
  CHECK_THAT(why(length_prefix(UINT64_MAX - 7) + "{}"), Contains("not safetensors"));  // and to 0
  CHECK_THAT(why("PK\x03\x04 a zip of pickles"), Contains("convert a .pth file"));
  CHECK_THAT(why("version https://git-lfs"), Contains("git-lfs"));
}

TEST_CASE("the header parser reads no byte that it was not given", "[safetensors]") {
  const std::string file = file_of(object(plain), 4);
  const auto from = [&](size_t count) {
    return refusal(Exit::failed,
                   [&] { parse_header(std::as_bytes(std::span(file)).first(count), file.size(), "f"); });
  };
  CHECK_THAT(from(7), Contains("pass the first 8"));
  CHECK_THAT(from(file.size() - 5), Contains("pass the first"));
  CHECK(from(file.size() - 4) == "");
}

TEST_CASE("rule 2: the header begins with a brace and ends with one and spaces", "[safetensors]") {
  CHECK(why(object(plain) + "     ", 4) == "");
  CHECK(why("{\n \"a\" :\t" + plain.substr(4) + "\r}", 4) == "");
  CHECK_THAT(why(file_of("")), Contains("begin with '{' at byte 8"));
  CHECK_THAT(why(fmt::format(" {}", object(plain)), 4), Contains("begin with '{' at byte 8"));
  CHECK_THAT(why("\xef\xbb\xbf{}", 0), Contains("begin with '{'"));
  CHECK_THAT(why("[]", 0), Contains("begin with '{'"));
  CHECK_THAT(why("{}\n", 0), Contains("end in '}' and spaces at byte 10"));
  CHECK_THAT(why("{} \t ", 0), Contains("end in '}' and spaces"));
  CHECK_THAT(why("{", 0), Contains("end in '}'"));
  CHECK_THAT(why("{} {}", 0), Contains("not JSON near byte"));
  CHECK_THAT(why("{},}", 0), Contains("not JSON"));
  CHECK_THAT(why(std::string("{}\0{\"hidden\":1}", 15), 0), Contains("NUL at byte 10"));
  CHECK_THAT(why("{/**/}", 0), Contains("not JSON near byte 10"));
  CHECK_THAT(why(object(plain + ","), 4), Contains("not JSON"));
  CHECK_THAT(why(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})", 4), Contains("not JSON"));
}

TEST_CASE("rule 3: names are UTF-8 without NUL, not too long and not too many", "[safetensors]") {
  const auto named = [](const std::string& name) {
    return why(object(entry(name, "F32", "[1]", "[0,4]")), 4);
  };
  CHECK(named("") == "");
  CHECK(named("\xc3\xa9 \\u00e9\\ud83d\\ude00") == "");
  CHECK(named(std::string(512, 'n')) == "");
  CHECK_THAT(named(std::string(513, 'n')), Contains("longer than 512 bytes"));
  CHECK_THAT(named("a\\u0000b"), Contains("tensor \"a\\x00b\": its name contains a NUL"));
  CHECK_THAT(named("a\xff"), Contains("not JSON"));
  CHECK_THAT(named("\xc0\x80"), Contains("not JSON"));      // an overlong NUL
  CHECK_THAT(named("\xed\xa0\x80"), Contains("not JSON"));  // half a surrogate pair
  CHECK_THAT(named("\\ud800"), Contains("not JSON"));
  CHECK_THAT(named("a\nb"), Contains("not JSON"));

  std::string many = plain;
  for (int i = 1; i < 100'000; ++i) many.append(",").append(entry(std::to_string(i), "U8", "[0]", "[4,4]"));
  CHECK(why(object(many), 4) == "");
  CHECK_THAT(why(object(many + "," + entry("b", "U8", "[0]", "[4,4]")), 4),
             Contains("more than 100000 tensors"));
}

TEST_CASE("rule 4: no key appears twice, at any level", "[safetensors]") {
  CHECK_THAT(why(object(plain + "," + plain), 4), Contains("tensor \"a\" appears twice"));
  CHECK_THAT(why(object(plain + "," + entry("\\u0061", "U8", "[4]", "[0,4]")), 4),
             Contains("\"a\" appears twice"));
  CHECK_THAT(why(R"({"a":{"dtype":"F32","dtype":"U8","shape":[1],"data_offsets":[0,4]}})", 4),
             Contains("tensor \"a\" has dtype twice"));
  CHECK_THAT(why(R"({"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}})", 4),
             Contains("has shape twice"));
  CHECK_THAT(why(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"data_offsets":[0,4]}})", 4),
             Contains("has data_offsets twice"));
  CHECK_THAT(why(R"({"__metadata__":{"k":"1","k":"2"}})", 0), Contains("__metadata__ has \"k\" twice"));
  CHECK_THAT(why(R"({"__metadata__":{},"__metadata__":{}})", 0), Contains("__metadata__ appears twice"));
}

TEST_CASE("rule 5: a tensor has dtype, shape and data_offsets and nothing else", "[safetensors]") {
  CHECK(why(R"({"a":{"data_offsets":[0,4],"shape":[1],"dtype":"F32"}})", 4) == "");
  CHECK_THAT(why(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x\u001b":1}})", 4),
             Contains("tensor \"a\": unknown key \"x\\x1b\""));
  CHECK_THAT(why(R"({"a":{}})", 0), Contains("tensor \"a\": needs dtype, shape and data_offsets"));
  CHECK_THAT(why(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4), Contains("needs dtype"));
  CHECK_THAT(why(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4), Contains("needs dtype"));
  CHECK_THAT(why(R"({"a":{"dtype":"F32","shape":[1]}})", 0), Contains("needs dtype"));
  CHECK_THAT(why(R"({"a":["F32",[1],[0,4]]})", 4), Contains("entry \"a\" is a list, not an object"));
  CHECK_THAT(why(R"({"a":4})", 0), Contains("entry \"a\" is a number, not an object"));
  CHECK_THAT(why(R"({"a":"F32"})", 0), Contains("entry \"a\" is a string, not an object"));
  CHECK_THAT(why(R"({"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})", 4),
             Contains("tensor \"a\": its shape is or contains a number"));
  CHECK_THAT(why(R"({"a":{"dtype":"F32","shape":"1","data_offsets":[0,4]}})", 4),
             Contains("contains a string"));
  CHECK_THAT(why(R"({"a":{"dtype":["F32"],"shape":[1],"data_offsets":[0,4]}})", 4),
             Contains("contains a list"));
  CHECK_THAT(why(R"({"a":{"dtype":null,"shape":[1],"data_offsets":[0,4]}})", 4), Contains("contains null"));
  CHECK_THAT(why(R"({"a":{"dtype":{"F32":1},"shape":[1],"data_offsets":[0,4]}})", 4), Contains("an object"));
  CHECK_THAT(why_tensor("F32", "[1]", "[]", 4), Contains("needs two data_offsets"));
  CHECK_THAT(why_tensor("F32", "[1]", "[4]", 4), Contains("needs two data_offsets"));
  CHECK_THAT(why_tensor("F32", "[1]", "[0,4,4]", 4), Contains("more than two data_offsets"));
}

TEST_CASE("rule 6: numbers are whole, not negative and below 2^63", "[safetensors]") {
  CHECK(why_tensor("U8", "[0,9223372036854775807]", "[0,0]", 0) == "");
  CHECK_THAT(why_tensor("U8", "[0,9223372036854775808]", "[0,0]", 0), Contains("a number of 2^63 or more"));
  CHECK_THAT(why_tensor("U8", "[0,18446744073709551616]", "[0,0]", 0),
             Contains("a fraction or a huge number"));
  CHECK_THAT(why_tensor("U8", "[4]", "[0,18446744073709551620]", 4), Contains("a fraction or a huge number"));
  CHECK_THAT(why_tensor("U8", "[4]", "[18446744073709551612,4]", 4), Contains("2^63 or more"));
  CHECK_THAT(why_tensor("F32", "[-1]", "[0,4]", 4), Contains("its shape is or contains a negative number"));
  CHECK_THAT(why_tensor("F32", "[-0]", "[0,0]", 0), Contains("a negative number"));
  CHECK_THAT(why_tensor("F32", "[1]", "[-4,0]", 0),
             Contains("data_offsets is or contains a negative number"));
  CHECK_THAT(why_tensor("F32", "[1.0]", "[0,4]", 4), Contains("a fraction"));
  CHECK_THAT(why_tensor("F32", "[1e0]", "[0,4]", 4), Contains("a fraction"));
  CHECK_THAT(why_tensor("F32", "[1e999]", "[0,4]", 4), Contains("not JSON"));
  CHECK_THAT(why_tensor("F32", "[01]", "[0,4]", 4), Contains("not JSON"));
  CHECK_THAT(why_tensor("F32", "[true]", "[0,4]", 4), Contains("true or false"));
}

TEST_CASE("rule 7: the dtype is known, the rank small, and the size fits the offsets without overflow",
          "[safetensors]") {
  for (const auto& [dtype, bits] : safetensors_dtypes) {
    CAPTURE(dtype);
    const std::string bytes = std::to_string(bits);  // of eight elements
    CHECK(why_tensor(std::string(dtype), "[2,4]", "[0," + bytes + "]", static_cast<size_t>(bits)) == "");
    CHECK_THAT(why_tensor(std::string(dtype), "[2,8]", "[0," + bytes + "]", static_cast<size_t>(bits)),
               Contains("[2, 8] is " + std::to_string(2 * bits) + " bytes"));
  }
  CHECK_THAT(why_tensor("f32", "[1]", "[0,4]", 4), Contains("tensor \"a\": unknown dtype \"f32\""));
  CHECK_THAT(why_tensor("", "[1]", "[0,4]", 4), Contains("unknown dtype \"\""));
  CHECK(why_tensor("F32", "[1,1,1,1,1,1,1,1]", "[0,4]", 4) == "");
  CHECK_THAT(why_tensor("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]", 4), Contains("more than 8 dimensions"));
  CHECK_THAT(why_tensor("F32", "[4294967296,4294967296]", "[0,0]", 0), Contains("size overflows"));
  CHECK_THAT(why_tensor("F32", "[4294967296,4294967296,0]", "[0,0]", 0), Contains("size overflows"));
  CHECK(why_tensor("F32", "[0,4294967296,4294967296]", "[0,0]", 0) == "");
  CHECK_THAT(why_tensor("F32", "[4611686018427387905]", "[0,4]", 4),
             Contains("size overflows"));  // times 32 bits
  CHECK_THAT(why_tensor("F4", "[3]", "[0,1]", 1), Contains("ends inside a byte"));
  CHECK_THAT(why_tensor("F32", "[1]", "[4,0]", 4), Contains("data_offsets are [4, 0]"));
  CHECK_THAT(why_tensor("F32", "[2]", "[0,4]", 4),
             Contains("F32 [2] is 8 bytes, but data_offsets are [0, 4]"));
}

TEST_CASE("rule 8: the tensors tile the data without hole, overlap or tail", "[safetensors]") {
  const auto two = [](const std::string& a, const std::string& b, size_t data_bytes) {
    return why(object(entry("a", "F32", "[1]", a) + "," + entry("b", "F32", "[1]", b)), data_bytes);
  };
  CHECK(two("[0,4]", "[4,8]", 8) == "");
  CHECK(two("[4,8]", "[0,4]", 8) == "");
  CHECK_THAT(two("[0,4]", "[5,9]", 9), Contains("\"b\" begins at byte 5") && Contains("ends at byte 4"));
  CHECK_THAT(two("[0,4]", "[3,7]", 7), Contains("\"b\" begins at byte 3") && Contains("ends at byte 4"));
  CHECK_THAT(two("[0,4]", "[0,4]", 4), Contains("begins at byte 0") && Contains("ends at byte 4"));
  CHECK_THAT(two("[1,5]", "[5,9]", 9), Contains("\"a\" begins at byte 1") && Contains("ends at byte 0"));
  CHECK_THAT(two("[0,4]", "[4,8]", 9), Contains("has 1 bytes behind its last tensor"));
  CHECK_THAT(two("[0,4]", "[4,8]", 5), Contains("ends 3 bytes too early"));
  CHECK(why("{}", 0) == "");
  CHECK_THAT(why("{}", 1), Contains("1 bytes behind"));
}

TEST_CASE("rule 9: a tensor without elements lies on a boundary", "[safetensors]") {
  const auto with_empty = [](const std::string& offsets) {
    return why(
        object(plain + "," + entry("e", "F64", "[3,0]", offsets) + "," + entry("b", "U8", "[2]", "[4,6]")),
        6);
  };
  CHECK(with_empty("[0,0]") == "");
  CHECK(with_empty("[4,4]") == "");
  CHECK(with_empty("[6,6]") == "");
  CHECK_THAT(with_empty("[2,2]"), Contains("\"e\" begins at byte 2"));
  CHECK_THAT(with_empty("[5,5]"), Contains("\"e\" begins at byte 5"));
  CHECK_THAT(with_empty("[7,7]"), Contains("\"e\" begins at byte 7"));
  CHECK_THAT(with_empty("[0,4]"), Contains("[3, 0] is 0 bytes"));
}

TEST_CASE("rule 10: metadata is a list of strings of bounded size", "[safetensors]") {
  const auto with = [](const std::string& value) { return why(object("\"__metadata__\":" + value), 0); };
  const auto with_value = [](size_t size) { return fmt::format(R"({{"k":"{}"}})", std::string(size, 'v')); };
  CHECK(with("{}") == "");
  CHECK(with(R"({"../../etc/passwd":"{} %s%n","":""})") == "");
  CHECK_THAT(with(R"({"step":1})"), Contains("__metadata__ \"step\" is a number, not a string"));
  CHECK_THAT(with(R"({"k":null})"), Contains("is null, not a string"));
  CHECK_THAT(with(R"({"k":["v"]})"), Contains("is a list, not a string"));
  CHECK_THAT(with(R"({"k":{}})"), Contains("is an object, not a string"));
  CHECK_THAT(with("null"), Contains("entry \"__metadata__\" is null, not an object"));
  CHECK_THAT(with("[]"), Contains("entry \"__metadata__\" is a list, not an object"));
  CHECK(with(with_value(999'999)) == "");
  CHECK_THAT(with(with_value(1'000'000)), Contains("larger than 1000000 bytes"));
  CHECK(parse(file_of(R"({"__metadata__":{"k":"v"}})")).metadata.at("k") == "v");
}

TEST_CASE("rule 11: memory is asked for only after the header has proved right", "[safetensors]") {
  TempDir dir;
  const std::string path = dir / "sparse";
  spit(path, file_of(object(entry("a", "U8", "[1099511627776]", "[0,1099511627776]"))));
  CHECK_THAT(refusal(Exit::checkpoint, [&] { SafetensorsFile::open(path); }),
             Contains("1099511627776 bytes too early"));
  std::filesystem::resize_file(
      path, std::filesystem::file_size(path) + 1099511627776);  // takes no room on the disk
  CHECK_THAT(refusal(Exit::checkpoint, [&] { SafetensorsFile::open(path); }),
             Contains("more than the limit of"));
  CHECK(read_header(path).tensors.at(0).end == 1099511627776);
}

TEST_CASE("rule 12: nesting is shallow, whatever its depth", "[safetensors]") {
  const std::string deep(1'000'000, '[');
  CHECK_THAT(why(object("\"a\":" + deep), 0), Contains("entry \"a\" is a list"));
  CHECK_THAT(why_tensor("F32", "[[1]]", "[0,4]", 4), Contains("its shape is or contains a list"));
  CHECK_THAT(why_tensor("F32", "[{}]", "[0,4]", 4), Contains("its shape is or contains an object"));
  CHECK_THAT(why_tensor("F32", deep, "[0,4]", 4), Contains("its shape is or contains a list"));
}

TEST_CASE("rule 13: a file that is cut while it is read is refused, not mapped", "[safetensors]") {
  struct Cutter : FileCalls {
    ssize_t read(int fd, void* to, size_t bytes) override {
      if (++reads == 3) std::filesystem::resize_file(path, 100);
      return FileCalls::read(fd, to, bytes);
    }
    std::string path;
    int reads = 0;
  };
  TempDir dir;
  Cutter calls;
  calls.path = dir / "x";
  spit(calls.path, file_of(object(entry("a", "U8", "[5000]", "[0,5000]")), 5000));
  CHECK_THAT(refusal(Exit::checkpoint, [&] { SafetensorsFile::open(calls.path, 10'000, calls); }),
             Contains("became shorter while it was read"));

  spit(dir / "y", file_of(object(entry("a", "U8", "[5]", "[0,5]")), 5));
  const SafetensorsFile file = SafetensorsFile::open(dir / "y");
  std::filesystem::resize_file(dir / "y", 0);
  CHECK(file.bytes(file.tensors()[0])[4] == std::byte{0x2a});
}

TEST_CASE("names from a file reach the terminal as printable text", "[safetensors]") {
  CHECK(quoted_ascii("conv1.weight") == "\"conv1.weight\"");
  CHECK(quoted_ascii("\x1b[2J\"\\\xc3\xa9\n") == "\"\\x1b[2J\\\"\\\\\\xc3\\xa9\\x0a\"");
  CHECK(quoted_ascii(std::string(81, 'n')) == fmt::format("\"{}\"...", std::string(80, 'n')));
}
